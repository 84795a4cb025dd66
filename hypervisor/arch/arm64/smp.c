/* SPDX-License-Identifier: MIT */
#include "smp.h"

#include "barrier.h"
#include "cache.h"
#include "cpu_features.h"
#include "sysreg.h"

#include <host_fdt.h>
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/el2_map.h>
#include <hv/frame.h>
#include <hv/irq.h>
#include <hv/psci_host.h>
#include <hv/sched.h>
#include <hv/time.h>

#define MPIDR_AFFINITY   UINT64_C(0xff00ffffff)
#define START_TIMEOUT_NS UINT64_C(5000000000)

extern char start_secondary[]; /* head.S */
void smp_secondary_main(void);

/* Root table for a CPU that has its MMU off still: cleaned to memory before CPU_ON. */
uint64_t secondary_root __attribute__((aligned(64)));

void smp_init_boot_cpu(void)
{
    struct cpu *cpu = &cpus[0];

    cpu->id = 0;
    cpu->mpidr = READ_SYSREG(mpidr_el1) & MPIDR_AFFINITY;
    cpu->online = true;
}

/* On the new CPU, MMU on, on its own stack. */
void smp_secondary_main(void)
{
    struct cpu *cpu = this_cpu();

    cpu_features_check_this_cpu();
    gic_init_cpu();
    timer_init_cpu();
    boot_init_cpu();
    /* Release pairs with the acquire in start_one: the CPU is usable when it shows as online. */
    __atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
    sched_run();
}

static bool start_one(unsigned id, uint64_t mpidr)
{
    struct cpu *cpu = &cpus[id];
    uint64_t deadline_ns;
    int32_t result;

    cpu->id = id;
    cpu->mpidr = mpidr;
    cpu->stack_top = el2_map_stack(id);
    /* The struct and the count are visible before the CPU runs. */
    dsb(ish);
    result = psci_host_cpu_on(mpidr, va_to_pa(start_secondary), id);
    if (result != 0) {
        printk("cpu %u (mpidr %lx): PSCI CPU_ON failed with %d\n", id, mpidr, result);
        return false;
    }
    deadline_ns = time_now_ns() + START_TIMEOUT_NS;
    while (!__atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE)) {
        if (time_now_ns() > deadline_ns) {
            panic("cpu %u (mpidr %lx) was started and does not answer", id, mpidr);
        }
    }
    return true;
}

void smp_start_others(void)
{
    unsigned count = 1;

    secondary_root = el2_root_pa().addr;
    cache_clean(&secondary_root, sizeof(secondary_root));
    for (unsigned i = 0; i < host_platform.cpu_count && count < CPU_MAX; i++) {
        if (host_platform.cpu_mpidr[i] == cpus[0].mpidr) {
            continue;
        }
        if (!host_platform.psci_smc) {
            printk("cpu: no PSCI by smc in the device tree, only one CPU is used\n");
            break;
        }
        cpu_set_count(count + 1);
        if (start_one(count, host_platform.cpu_mpidr[i])) {
            count++;
        }
        cpu_set_count(count);
    }
}
