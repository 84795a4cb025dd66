/* SPDX-License-Identifier: MIT */
/* The formatter behind printk and snprintk. */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>
#include <stddef.h>

/* Receives the formatted characters one by one. */
typedef void (*printf_put_fn)(void *context, char c);

/*
 * %d %i %u %x %X %c %s %p %% with the lengths l, ll, z, the flags 0 and -, a width and, for %s, a
 * precision (also *). An unknown conversion is printed as it stands.
 */
void format_text(printf_put_fn put, void *context, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

int vsnprintk(char *buffer, size_t bytes, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
