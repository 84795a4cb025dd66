/* SPDX-License-Identifier: MIT */
/*
 * Ends as it is told by one byte of console input: p powers off, r reboots, c crashes, s says that
 * it is still there. For tests of what happens to a guest that ends.
 */
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <xen/sched.h>

#define PL011_DR      (GUEST_PL011_BASE + 0x00)
#define PL011_FR      (GUEST_PL011_BASE + 0x18)
#define PL011_FR_RXFE (1u << 4)

static char wait_for_input(void)
{
    while (mmio_read32(PL011_FR) & PL011_FR_RXFE) {
        __asm__ volatile("yield");
    }
    return (char)mmio_read32(PL011_DR);
}

static void crash(void)
{
    struct sched_shutdown shutdown = {.reason = SHUTDOWN_crash};

    hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uintptr_t)&shutdown, 0, 0, 0);
}

void guest_main(const void *dtb)
{
    print("ender is up\n");
    for (;;) {
        switch (wait_for_input()) {
        case 'p':
            print("powering off\n");
            psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
            break;
        case 'r':
            print("rebooting\n");
            psci_call(PSCI_SYSTEM_RESET, 0, 0, 0);
            break;
        case 'c':
            print("crashing\n");
            crash();
            break;
        case 's':
            print("still there\n");
            break;
        }
    }
}
