/* SPDX-License-Identifier: MIT */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <libgodwit/error.h>

/*
 * Joins stdin and stdout with a console's socket until ^] is typed, the guest's console ends, or
 * timeout_ms have passed (0: no limit). A terminal is in raw mode meanwhile and restored whatever
 * happens; without one, bytes pass unchanged and the end of stdin only ends input.
 */
int terminal_run(int fd, unsigned timeout_ms, struct gw_error *err);

#endif
