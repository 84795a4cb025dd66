/* SPDX-License-Identifier: MIT */
/*
 * Timers of a CPU: a list by deadline, its head in CNTHP. The list's lock is a leaf and is not
 * held while a timer fires.
 */
#include <barrier.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/irq.h>
#include <hv/time.h>
#include <stddef.h>
#include <sysreg.h>

#define NS_PER_S   UINT64_C(1000000000)
#define CTL_ENABLE 1u

struct timer_list {
    struct spinlock lock;
    struct timer *head;
};

static struct timer_list lists[CPU_MAX];
static uint64_t frequency_hz;
/* 32.32 fixed point, so that converting is one multiplication. */
static uint64_t ns_per_tick, ticks_per_ns;

uint64_t time_counter(void)
{
    /* Not before what comes earlier in the program. */
    isb();
    return READ_SYSREG(cntpct_el0);
}

uint64_t time_frequency_hz(void)
{
    return frequency_hz;
}

static unsigned __int128 scale(uint64_t value, uint64_t factor)
{
    return (unsigned __int128)value * factor >> 32;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)scale(ticks, ns_per_tick);
}

uint64_t time_ns_to_ticks(uint64_t ns)
{
    unsigned __int128 ticks = scale(ns, ticks_per_ns);

    return ticks > UINT64_MAX ? UINT64_MAX : (uint64_t)ticks;
}

uint64_t time_now_ns(void)
{
    return time_ticks_to_ns(time_counter());
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    timer->next = NULL;
    timer->fire = fire;
    atomic_store_explicit(&timer->cpu, -1, memory_order_relaxed);
    atomic_store_explicit(&timer->firing_cpu, -1, memory_order_relaxed);
}

/*
 * The count at which it is deadline_ns, one tick late rather than early. From now on: an error in
 * the factors grows with what is converted, and an interrupt that comes early comes again at once,
 * until it is time. A guest may ask for any moment: what is beyond the last one is the last one.
 */
static uint64_t count_at(uint64_t deadline_ns)
{
    uint64_t count = time_counter(), now_ns = time_ticks_to_ns(count);
    uint64_t wait = deadline_ns > now_ns ? time_ns_to_ticks(deadline_ns - now_ns) : 0;

    return wait < UINT64_MAX - count ? count + wait + 1 : UINT64_MAX;
}

/* List of this CPU, lock held: the hardware follows the head. */
static void program_head(const struct timer_list *list)
{
    if (list->head == NULL) {
        WRITE_SYSREG(0, cnthp_ctl_el2);
    } else {
        WRITE_SYSREG(count_at(list->head->deadline_ns), cnthp_cval_el2);
        WRITE_SYSREG(CTL_ENABLE, cnthp_ctl_el2);
    }
    isb();
}

/* Takes a timer off whatever list holds it. A hardware head that is left behind fires in vain. */
static void remove_from_list(struct timer *timer)
{
    for (;;) {
        int cpu = atomic_load_explicit(&timer->cpu, memory_order_acquire);
        struct timer_list *list;

        if (cpu < 0) {
            return;
        }
        list = &lists[cpu];
        spin_lock(&list->lock);
        if (atomic_load_explicit(&timer->cpu, memory_order_relaxed) == cpu) {
            struct timer **link = &list->head;

            while (*link != timer) {
                link = &(*link)->next;
            }
            *link = timer->next;
            atomic_store_explicit(&timer->cpu, -1, memory_order_release);
        }
        spin_unlock(&list->lock);
    }
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    int cpu = (int)this_cpu()->id;
    struct timer_list *list = &lists[cpu];
    struct timer **link = &list->head;

    remove_from_list(timer);
    spin_lock(&list->lock);
    while (*link != NULL && (*link)->deadline_ns <= deadline_ns) {
        link = &(*link)->next;
    }
    timer->deadline_ns = deadline_ns;
    timer->next = *link;
    *link = timer;
    atomic_store_explicit(&timer->cpu, cpu, memory_order_release);
    if (list->head == timer) {
        program_head(list);
    }
    spin_unlock(&list->lock);
}

void timer_cancel(struct timer *timer)
{
    int firing;

    do {
        remove_from_list(timer);
        /* Acquire pairs with the release in run_due: what fire did is visible to us. */
        firing = atomic_load_explicit(&timer->firing_cpu, memory_order_acquire);
        if (firing == (int)this_cpu()->id) {
            return; /* called by fire itself */
        }
        /* fire may arm it again: look once more after it. */
    } while (firing >= 0 || atomic_load_explicit(&timer->cpu, memory_order_acquire) >= 0);
}

static void run_due(struct timer_list *list)
{
    int cpu = (int)this_cpu()->id;
    struct timer *timer;

    spin_lock(&list->lock);
    while ((timer = list->head) != NULL && timer->deadline_ns <= time_now_ns()) {
        list->head = timer->next;
        /* Firing before off the list: timer_cancel never sees neither. */
        atomic_store_explicit(&timer->firing_cpu, cpu, memory_order_relaxed);
        atomic_store_explicit(&timer->cpu, -1, memory_order_release);
        spin_unlock(&list->lock);
        timer->fire(timer);
        /* Release pairs with the acquire in timer_cancel. */
        atomic_store_explicit(&timer->firing_cpu, -1, memory_order_release);
        spin_lock(&list->lock);
    }
    program_head(list);
    spin_unlock(&list->lock);
}

static enum irq_result take_timer(uint32_t intid, void *context)
{
    run_due(&lists[this_cpu()->id]);
    return IRQ_DONE;
}

void timer_init_cpu(void)
{
    if (this_cpu()->id == 0) {
        frequency_hz = READ_SYSREG(cntfrq_el0);
        if (frequency_hz == 0) {
            panic("the firmware has not set CNTFRQ_EL0");
        }
        ns_per_tick = (NS_PER_S << 32) / frequency_hz;
        ticks_per_ns = (frequency_hz << 32) / NS_PER_S;
        irq_set_handler(IRQ_PPI_HYPTIMER, take_timer, NULL);
    }
    WRITE_SYSREG(0, cnthp_ctl_el2);
    isb();
    irq_enable(IRQ_PPI_HYPTIMER);
}
