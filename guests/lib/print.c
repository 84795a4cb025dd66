/* SPDX-License-Identifier: MIT */
#include <guest/print.h>
#include <printf.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

static atomic_flag print_lock = ATOMIC_FLAG_INIT;

void print(const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintk(line, sizeof(line), format, args);
    va_end(args);
    /* acquire pairs with the release below: one line at a time */
    while (atomic_flag_test_and_set_explicit(&print_lock, memory_order_acquire)) {
    }
    console_put(line, strlen(line));
    atomic_flag_clear_explicit(&print_lock, memory_order_release);
}
