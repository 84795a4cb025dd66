/* SPDX-License-Identifier: MIT */
/* Host time from the architected counter, and one-shot EL2 timers (CNTHP), a list per CPU. */
#ifndef HV_TIME_H
#define HV_TIME_H

#include <hv/spinlock.h>
#include <stdbool.h>
#include <stdint.h>

uint64_t time_counter(void);      /* CNTPCT */
uint64_t time_frequency_hz(void); /* CNTFRQ */
uint64_t time_now_ns(void);       /* since reset */
uint64_t time_ns_to_ticks(uint64_t ns);
uint64_t time_ticks_to_ns(uint64_t ticks);

struct timer {
    struct timer *next;
    uint64_t deadline_ns;
    void (*fire)(struct timer *timer); /* on the CPU that armed it, interrupts masked */
    _Atomic int cpu;                   /* CPU whose list holds it, -1: none */
    _Atomic int firing_cpu;            /* CPU that runs fire now, -1: none */
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/*
 * Arms (or re-arms) on this CPU. The past fires at the next interrupt. Callers that may race for
 * one timer exclude each other.
 */
void timer_set(struct timer *timer, uint64_t deadline_ns);
/* After it returns, fire is not running and will not run. Any CPU; caller holds no lock fire takes.
 */
void timer_cancel(struct timer *timer);
void timer_init_cpu(void);

#endif
