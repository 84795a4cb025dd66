/* SPDX-License-Identifier: MIT */
#include <guest/print.h>
#include <guest/sysreg.h>
#include <xen/xen.h>

#define PL011_DR      (GUEST_PL011_BASE + 0x00)
#define PL011_FR      (GUEST_PL011_BASE + 0x18)
#define PL011_FR_TXFF (1u << 5)

void console_put(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        while (mmio_read32(PL011_FR) & PL011_FR_TXFF) {
        }
        mmio_write32(PL011_DR, (uint8_t)text[i]);
    }
}
