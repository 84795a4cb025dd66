/* SPDX-License-Identifier: MIT */
/* The physical CPUs. TPIDR_EL2 of each points to its struct cpu. */
#ifndef HV_CPU_H
#define HV_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CPU_MAX 64

struct vcpu;
struct s2_vm;

struct cpu {
    struct vcpu
        *current;       /* vCPU whose registers are loaded; NULL when idle. Entry code: offset 0 */
    uint64_t stack_top; /* EL2 stack of this CPU. Entry code: offset 8 */
    struct s2_vm *s2;   /* whose root is in VTTBR_EL2 while current runs. Entry code: offset 16 */
    /* Short write faults that were timed, and their time in counts. Entry code: offsets 24, 32 */
    uint64_t fast_samples, fast_ticks;
    uint32_t id;               /* 0 .. cpu_count() - 1 */
    uint64_t mpidr;            /* affinity bits only */
    uint64_t gicr_base_va;     /* this CPU's GICv3 redistributor, set by the GIC driver */
    _Atomic bool need_resched; /* set by cpu_kick and the slice timer, cleared by sched_pick */
    bool online;
    uint64_t slice_end_ns; /* scheduler: end of the running slice, 0: it may run on */
    uint64_t idle_ns;      /* accumulated idle time */
};

extern struct cpu cpus[CPU_MAX];

struct cpu *this_cpu(void);
unsigned cpu_count(void);

/* Makes a CPU leave the guest and look at need_resched and its vCPU's pending work (SGI 0). */
void cpu_kick(unsigned id);

/* An interrupt is pending at this CPU, or a reschedule: a long call should return soon. */
bool cpu_preempt_pending(void);

/* Stops all other CPUs for good (panic, power-off). */
void cpu_stop_others(void);

#endif
