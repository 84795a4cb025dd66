/* SPDX-License-Identifier: MIT */
#include <guest/layout.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <stddef.h>

void secondary_start(void);
void smp_secondary_main(uint64_t cpu);

static void (*entries[GUEST_CPUS_MAX])(unsigned cpu);

unsigned smp_cpu_index(void)
{
    uint64_t mpidr = read_sysreg(mpidr_el1);

    return (unsigned)((mpidr & 0xff) + (mpidr >> 8 & 0xff) * 16);
}

uint64_t smp_mpidr(unsigned cpu)
{
    return (cpu % 16) | (uint64_t)(cpu / 16) << 8;
}

int64_t psci_call(uint32_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;

    __asm__ volatile("hvc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory", "x4", "x5", "x6", "x7",
                       "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17");
    return (int64_t)x0;
}

int64_t smp_start(unsigned cpu, void (*entry)(unsigned cpu))
{
    entries[cpu] = entry;
    dsb();
    return psci_call(PSCI_CPU_ON, smp_mpidr(cpu), (uint64_t)&secondary_start, cpu);
}

void smp_secondary_main(uint64_t cpu)
{
    entries[cpu]((unsigned)cpu);
}
