/* SPDX-License-Identifier: MIT */
/* Messages of the hypervisor: to the PL011 of the host and to a ring that XEN_SYSCTL_readconsole
 * reads. */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * printf subset: %d %u %x %lu %lx %llx %s %c %p %zu, width and zero padding, %%. Any context, any
 * CPU, before the console is up as well (kept in the ring). Takes the console lock.
 */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vprintk(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
int snprintk(char *buffer, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Raw bytes from the control domain or a guest (console_io), and one received byte or -1. */
void console_write(const char *text, size_t bytes);
int console_getc(void);
/* Copies from the message ring at *position on, advances it; returns bytes copied. */
size_t console_ring_read(uint32_t *position, char *buffer, size_t bytes, uint32_t clear);

/* A broken invariant: prints registers, backtrace with symbols, the domain concerned, stops all. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition);                  \
        }                                                                                          \
    } while (0)

#endif
