/* SPDX-License-Identifier: MIT */
#include "smp.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/psci_host.h>

#define PSCI_CPU_ON_64    0xc4000003u
#define PSCI_SYSTEM_OFF   0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

static int64_t smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;

    __asm__ volatile("smc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "memory");
    return (int64_t)x0;
}

int32_t psci_host_cpu_on(uint64_t mpidr, pa_t entry, uint64_t context)
{
    return (int32_t)smc(PSCI_CPU_ON_64, mpidr, entry.addr, context);
}

void host_power_off(void)
{
    cpu_stop_others();
    smc(PSCI_SYSTEM_OFF, 0, 0, 0);
    printk("power-off failed, halted\n");
    cpu_halt();
}

void host_reset(void)
{
    cpu_stop_others();
    smc(PSCI_SYSTEM_RESET, 0, 0, 0);
    printk("reset failed, halted\n");
    cpu_halt();
}
