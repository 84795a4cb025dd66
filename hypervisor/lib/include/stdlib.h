/* SPDX-License-Identifier: MIT */
/* Only what libfdt's headers ask for. */
#ifndef LIB_STDLIB_H
#define LIB_STDLIB_H

#include <stddef.h>

/* As C's strtoul for bases 0, 10 and 16; saturates at ULONG_MAX. */
unsigned long strtoul(const char *text, char **ret_end, int base);

#endif
