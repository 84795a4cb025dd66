/* SPDX-License-Identifier: MIT */
/* The machine below the scheduler and the list of domains, one thread playing all CPUs. */
#ifndef TESTS_DOMAIN_FAKE_HOST_H
#define TESTS_DOMAIN_FAKE_HOST_H

#include <hv/cpu.h>
#include <hv/domain.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_host {
    unsigned cpu; /* the one that executes now */
    unsigned cpu_count;
    uint64_t now_ns;
    uint64_t kicked;                                 /* bit per CPU, until somebody clears it */
    struct timer *timers;                            /* armed ones, on any CPU */
    uint64_t faults[CPU_MAX], first_writes[CPU_MAX]; /* that s2_stats_cpu tells */
    bool pending;                                    /* what vgic_has_pending answers */
    unsigned locks_held;
    unsigned pages;   /* allocated by frame_alloc_hv and not freed */
    int fail_alloc;   /* the n-th allocation from now fails; 0: none does */
    unsigned flushes; /* of VMIDs */
    uint64_t flushed_root;
    unsigned dom_exc; /* VIRQ_DOM_EXC sent */
    unsigned relinquish_steps, kill_steps;
    unsigned host_ends; /* power-off and reset */
};

extern struct fake_host fake;

void fake_reset(unsigned cpu_count);

/* Fires what is due on this CPU; and whether it has anything armed. */
void fake_run_timers(void);
bool fake_has_timer(unsigned cpu);

#endif
