/* SPDX-License-Identifier: MIT */
/* The architected timers as a guest sees them. */
#ifndef GUEST_TIMER_H
#define GUEST_TIMER_H

#include <guest/sysreg.h>

#define TIMER_VIRT_INTID 27u
#define TIMER_PHYS_INTID 30u

static inline uint64_t timer_count(void)
{
    isb();
    return read_sysreg(cntvct_el0);
}

static inline uint64_t timer_hz(void)
{
    return read_sysreg(cntfrq_el0);
}

static inline void timer_set_virt(uint64_t ticks)
{
    write_sysreg(cntv_cval_el0, timer_count() + ticks);
    write_sysreg(cntv_ctl_el0, 1);
    isb();
}

static inline void timer_stop_virt(void)
{
    write_sysreg(cntv_ctl_el0, 0);
    isb();
}

static inline void timer_delay_ms(uint64_t ms)
{
    uint64_t end = timer_count() + ms * timer_hz() / 1000;

    while (timer_count() < end) {
    }
}

#endif
