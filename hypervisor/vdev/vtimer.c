/* SPDX-License-Identifier: MIT */
/*
 * The guest's architected timers. CNTV is the CPU's own while the vCPU is loaded: its physical PPI
 * is linked to the virtual one, so the guest's EOI ends both. While the vCPU sleeps a host timer
 * stands in for it. CNTP and CNTPCT are emulated, shifted by the domain's offset like CNTVCT.
 */
#include <barrier.h>
#include <hv/domain.h>
#include <hv/irq.h>
#include <hv/vtimer.h>
#include <stddef.h>
#include <sysreg.h>

#define CTL_ENABLE  1u
#define CTL_IMASK   2u
#define CTL_ISTATUS 4u

/* EL1 uses CNTV directly; everything about the physical timer traps. */
#define CNTHCTL_TRAP_PHYSICAL 0u

#define PPI_VIRTUAL  27u
#define PPI_PHYSICAL 30u

/* How far ahead a host timer is set at most; a later deadline is looked at again then. */
#define WAIT_MAX_SECONDS 3600u

#define VCPU_OF(pointer, member)                                                                   \
    ((struct vcpu *)((char *)(pointer)-offsetof(struct vcpu, vtimer.member)))

/* Operand of a trapped access: CRm and op2 of CRn 14, op1 3. */
#define TIMER_REG(iss) (((((iss) >> 1) & 0xf) << 4) | (((iss) >> 17) & 0x7))
#define REG_CNTPCT     0x01u
#define REG_CNTP_TVAL  0x20u
#define REG_CNTP_CTL   0x21u
#define REG_CNTP_CVAL  0x22u

static bool clock_stands(const struct vcpu *v)
{
    /* Acquire pairs with the release in sched_pause.c: then the offset is the new one. */
    return atomic_load_explicit(&v->domain->clock_stands, memory_order_acquire);
}

static uint64_t guest_now(const struct vcpu *v)
{
    const struct domain *d = v->domain;

    return (clock_stands(v) ? d->paused_at_ticks : time_counter()) - d->cntvoff_ticks;
}

static bool timer_enabled(uint32_t ctl)
{
    return (ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE;
}

static uint64_t deadline_ns(const struct vcpu *v, uint64_t cval)
{
    uint64_t now = guest_now(v);
    uint64_t limit = time_frequency_hz() * WAIT_MAX_SECONDS;
    uint64_t wait = cval > now ? cval - now : 0;

    /* One tick late rather than early: an early one would only have to be set again. */
    return time_now_ns() + time_ticks_to_ns((wait < limit ? wait : limit) + 1);
}

/*
 * Sets the interrupt line of a timer that is kept in software, and the host timer that raises it.
 * None while the guest's clock stands: it would find each time that its value is still ahead.
 */
static void update(struct vcpu *v, uint32_t ppi, uint32_t ctl, uint64_t cval, struct timer *timer)
{
    bool line = timer_enabled(ctl) && guest_now(v) >= cval, waits;

    spin_lock(&v->vtimer.lock);
    vgic_set_line(v->domain, v, ppi, line);
    waits = timer_enabled(ctl) && !line && !clock_stands(v) && !v->vtimer.stopped;
    if (waits) {
        timer_set(timer, deadline_ns(v, cval));
    }
    spin_unlock(&v->vtimer.lock);
    /* Without the lock, which who fires wants: he finds that there is nothing to wait for. */
    if (!waits && timer->cpu >= 0) {
        timer_cancel(timer);
    }
}

/* What a host timer does when it fires: the same without the cancelling of itself. Locked. */
static void fired(struct vcpu *v, uint32_t ppi, uint32_t ctl, uint64_t cval, struct timer *timer)
{
    if (!timer_enabled(ctl) || clock_stands(v)) {
        return;
    }
    if (guest_now(v) >= cval) {
        vgic_set_line(v->domain, v, ppi, true);
    } else if (!v->vtimer.stopped) {
        timer_set(timer, deadline_ns(v, cval));
    }
}

static void wake_fired(struct timer *timer)
{
    struct vcpu *v = VCPU_OF(timer, wake);

    spin_lock(&v->vtimer.lock);
    fired(v, PPI_VIRTUAL, v->vtimer.cntv_ctl, v->vtimer.cntv_cval, timer);
    spin_unlock(&v->vtimer.lock);
}

static void phys_fired(struct timer *timer)
{
    struct vcpu *v = VCPU_OF(timer, phys);

    spin_lock(&v->vtimer.lock);
    fired(v, PPI_PHYSICAL, v->vtimer.cntp_ctl, v->vtimer.cntp_cval, timer);
    spin_unlock(&v->vtimer.lock);
}

/* The virtual timer of the guest that runs here has reached its value. */
static enum irq_result virtual_irq(uint32_t intid, void *context)
{
    struct vcpu *v = vcpu_current();

    if (!v) {
        /* It fired just as its vCPU left, which has taken note of that. */
        WRITE_SYSREG(0, cntv_ctl_el0);
        isb(); /* the line is low before the interrupt is ended */
        return IRQ_DONE;
    }
    vgic_inject_hw_private(v, PPI_VIRTUAL);
    return IRQ_KEEP_ACTIVE;
}

void vtimer_init_host(void)
{
    irq_set_handler(IRQ_PPI_VTIMER, virtual_irq, NULL);
}

void vtimer_init_host_cpu(void)
{
    WRITE_SYSREG(0, cntv_ctl_el0);
    WRITE_SYSREG(CNTHCTL_TRAP_PHYSICAL, cnthctl_el2);
    isb(); /* the timer is quiet before its interrupt is enabled */
    irq_set_edge(IRQ_PPI_VTIMER, false);
    irq_enable(IRQ_PPI_VTIMER);
}

void vtimer_vcpu_init(struct vcpu *v)
{
    timer_init(&v->vtimer.wake, wake_fired);
    timer_init(&v->vtimer.phys, phys_fired);
    vgic_link_hw_private(v, PPI_VIRTUAL);
}

void vtimer_vcpu_stop(struct vcpu *v)
{
    /* Who starts the clock of a domain that is being destroyed sets no timer behind us. */
    spin_lock(&v->vtimer.lock);
    v->vtimer.stopped = true;
    spin_unlock(&v->vtimer.lock);
    timer_cancel(&v->vtimer.wake);
    timer_cancel(&v->vtimer.phys);
}

void vtimer_load(struct vcpu *v)
{
    if (v->vtimer.wake.cpu >= 0) {
        timer_cancel(&v->vtimer.wake);
    }
    WRITE_SYSREG(v->domain->cntvoff_ticks, cntvoff_el2);
    WRITE_SYSREG(v->vtimer.cntv_cval, cntv_cval_el0);
    isb(); /* offset and value are in place before the timer may fire */
    WRITE_SYSREG(v->vtimer.cntv_ctl & (CTL_ENABLE | CTL_IMASK), cntv_ctl_el0);
}

void vtimer_save(struct vcpu *v)
{
    struct vtimer_vcpu *t = &v->vtimer;

    t->cntv_ctl = (uint32_t)READ_SYSREG(cntv_ctl_el0) & (CTL_ENABLE | CTL_IMASK);
    t->cntv_cval = READ_SYSREG(cntv_cval_el0);
    WRITE_SYSREG(0, cntv_ctl_el0);
    atomic_store_explicit(&v->domain->ran_until_ticks, time_counter(), memory_order_relaxed);
    isb(); /* quiet: what fires from here on is the next vCPU's */
    if (__atomic_load_n(&v->state, __ATOMIC_RELAXED) == VCPU_BLOCKED) {
        update(v, PPI_VIRTUAL, t->cntv_ctl, t->cntv_cval, &t->wake);
    } else {
        /* It will be loaded before anything can wait for its timer. */
        vgic_set_line(v->domain, v, PPI_VIRTUAL, false);
    }
}

static void physical_update(struct vcpu *v)
{
    update(v, PPI_PHYSICAL, v->vtimer.cntp_ctl, v->vtimer.cntp_cval, &v->vtimer.phys);
}

void vtimer_off_current(struct vcpu *v)
{
    v->vtimer.cntp_ctl = 0;
    physical_update(v);
    WRITE_SYSREG(0, cntv_ctl_el0);
    isb(); /* the line is low before the vCPU counts as off */
}

void vtimer_recompute(struct vcpu *v)
{
    update(v, PPI_VIRTUAL, v->vtimer.cntv_ctl, v->vtimer.cntv_cval, &v->vtimer.wake);
    physical_update(v);
}

static void cntp_write(struct vcpu *v, unsigned reg, uint64_t value)
{
    struct vtimer_vcpu *t = &v->vtimer;

    switch (reg) {
    case REG_CNTP_TVAL:
        t->cntp_cval = guest_now(v) + (uint64_t)(int64_t)(int32_t)value;
        break;
    case REG_CNTP_CTL:
        t->cntp_ctl = (uint32_t)value & (CTL_ENABLE | CTL_IMASK);
        break;
    default:
        t->cntp_cval = value;
        break;
    }
    physical_update(v);
}

bool vtimer_trap_sysreg(struct vcpu *v, uint32_t iss, uint64_t *value, bool write)
{
    struct vtimer_vcpu *t = &v->vtimer;
    unsigned reg = TIMER_REG(iss);

    switch (reg) {
    case REG_CNTPCT:
        *value = guest_now(v);
        return !write;
    case REG_CNTP_TVAL:
    case REG_CNTP_CTL:
    case REG_CNTP_CVAL:
        break;
    default:
        return false; /* CNTPCTSS too: FEAT_ECV is hidden */
    }
    if (write) {
        cntp_write(v, reg, *value);
    } else if (reg == REG_CNTP_CTL) {
        bool met = (t->cntp_ctl & CTL_ENABLE) && guest_now(v) >= t->cntp_cval;
        *value = t->cntp_ctl | (met ? CTL_ISTATUS : 0);
    } else {
        *value = reg == REG_CNTP_CVAL ? t->cntp_cval : (uint32_t)(t->cntp_cval - guest_now(v));
    }
    return true;
}
