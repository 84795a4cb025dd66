/* SPDX-License-Identifier: MIT */
/*
 * Verdicts of a test guest. The last line is "Test result: PASS", FAIL, SKIP or ERROR; the runner
 * reads nothing else.
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include <stdbool.h>

/* One check: prints "PASS: ..." or "FAIL: ...". Returns ok. */
bool report(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_skip(const char *why);

/* Prints the verdict and powers off. A test that checked nothing is an ERROR. */
_Noreturn void report_finish(void);
_Noreturn void report_abort(const char *why);

#endif
