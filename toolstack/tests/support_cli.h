/* SPDX-License-Identifier: MIT */
/* Runs commands as a user types them. */
#ifndef TESTS_SUPPORT_CLI_H
#define TESTS_SUPPORT_CLI_H

extern char out[65536], errors[65536]; /* what the last one printed */

/*
 * Runs `godwit LINE` with its words split at blanks and returns its exit code; state changes stay
 * in this process.
 */
int run(const char *line);

#endif
