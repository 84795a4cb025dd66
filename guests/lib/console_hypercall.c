/* SPDX-License-Identifier: MIT */
#include <guest/hypercall.h>
#include <guest/print.h>

void console_put(const char *text, size_t bytes)
{
    hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, bytes, (uint64_t)text, 0, 0);
}
