/* SPDX-License-Identifier: MIT */
/* Output of a test guest; where it goes is decided by the console file it is linked with. */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include <stddef.h>

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Supplied by console_pl011.c or console_hypercall.c. */
void console_put(const char *text, size_t bytes);

#endif
