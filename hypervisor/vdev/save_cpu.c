/* SPDX-License-Identifier: MIT */
/* Save records of the host's identity, vCPU registers, the clock and the timers. */
#include "save_internal.h"

#include <hv/save.h>
#include <hv/sched.h>
#include <string.h>

#define MIDR_IMPLEMENTER_PART 0xff00fff0u /* another variant or revision is accepted */

#define SPSR_MODE_MASK       0x1fu
#define SPSR_MODE_32BIT_USER 0x10u
#define SPSR_AARCH64_BITS    UINT64_C(0xf3f01fdf) /* flags, TCO to IL, SSBS to F, mode */
#define SPSR_AARCH32_BITS    UINT64_C(0xffffffff)

#define PFR0_EL0(value)  ((value)&15u)
#define PFR0_EL0_AARCH32 2u

#define TIMER_CTL_BITS 3u

static size_t header_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_header);
}

static void header_save(struct domain *d, unsigned instance, void *body)
{
    struct godwit_save_header *header = body;

    header->magic = GODWIT_SAVE_MAGIC;
    header->version = GODWIT_SAVE_VERSION;
    header->vcpus = d->max_vcpus;
    header->cntfrq_hz = time_frequency_hz();
    hv_id_registers(header->id);
}

static const char *header_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_header *header = body;
    uint64_t id[GODWIT_ID_COUNT];

    if (header->magic != GODWIT_SAVE_MAGIC || header->version != GODWIT_SAVE_VERSION) {
        return "is not one of this version";
    }
    if (header->vcpus != d->max_vcpus) {
        return "has another number of vCPUs";
    }
    if (header->cntfrq_hz != time_frequency_hz()) {
        return "has another timer frequency";
    }
    hv_id_registers(id);
    for (unsigned i = 0; i < GODWIT_ID_COUNT; i++) {
        uint64_t mask = i == GODWIT_ID_MIDR ? MIDR_IMPLEMENTER_PART : ~UINT64_C(0);
        if ((header->id[i] ^ id[i]) & mask) {
            return "comes from a CPU with other features";
        }
    }
    return NULL;
}

/* It comes first: what a record that may be missing would set is zero from here on. */
static void header_load(struct domain *d, unsigned instance, const void *body)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        d->vcpus[i]->arch.hidden = (struct vcpu_hidden){0};
    }
}

static size_t vcpu_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_vcpu);
}

/* Registers that have the same name in the record and in struct vcpu_sysregs. */
#define EACH_SYSREG(move)                                                                          \
    move(sp_el0) move(sp_el1) move(elr_el1) move(spsr_el1) move(sctlr_el1) move(cpacr_el1)         \
        move(ttbr0_el1) move(ttbr1_el1) move(tcr_el1) move(mair_el1) move(amair_el1) move(esr_el1) \
            move(far_el1) move(afsr0_el1) move(afsr1_el1) move(par_el1) move(vbar_el1)             \
                move(contextidr_el1) move(tpidr_el0) move(tpidrro_el0) move(tpidr_el1)             \
                    move(cntkctl_el1) move(csselr_el1)

#define TO_RECORD(name)   record->name = v->arch.sys.name;
#define FROM_RECORD(name) v->arch.sys.name = record->name;

static void debug_save(const struct vcpu_debug *debug, struct godwit_save_vcpu *record)
{
    _Static_assert(sizeof(debug->bvr) == sizeof(record->bvr), "as many breakpoints");
    record->mdscr_el1 = debug->mdscr_el1;
    record->mdccint_el1 = debug->mdccint_el1;
    memcpy(record->bvr, debug->bvr, sizeof(record->bvr));
    memcpy(record->bcr, debug->bcr, sizeof(record->bcr));
    memcpy(record->wvr, debug->wvr, sizeof(record->wvr));
    memcpy(record->wcr, debug->wcr, sizeof(record->wcr));
    record->flags |= debug->os_lock ? GODWIT_SAVE_VCPU_OS_LOCK : 0;
}

static void debug_load(struct vcpu_debug *debug, const struct godwit_save_vcpu *record)
{
    debug->mdscr_el1 = record->mdscr_el1;
    debug->mdccint_el1 = record->mdccint_el1;
    memcpy(debug->bvr, record->bvr, sizeof(record->bvr));
    memcpy(debug->bcr, record->bcr, sizeof(record->bcr));
    memcpy(debug->wvr, record->wvr, sizeof(record->wvr));
    memcpy(debug->wcr, record->wcr, sizeof(record->wcr));
    debug->os_lock = record->flags & GODWIT_SAVE_VCPU_OS_LOCK;
}

static void vcpu_save(struct domain *d, unsigned instance, void *body)
{
    const struct vcpu *v = d->vcpus[instance];
    struct godwit_save_vcpu *record = body;

    record->power = v->state == VCPU_OFF       ? GODWIT_SAVE_POWER_OFF
                    : v->state == VCPU_BLOCKED ? GODWIT_SAVE_POWER_BLOCKED
                                               : GODWIT_SAVE_POWER_ON;
    record->flags = (v->initialised ? GODWIT_SAVE_VCPU_INITIALISED : 0) |
                    (v->arch.serror_pending ? GODWIT_SAVE_VCPU_SERROR_PENDING : 0);
    memcpy(record->x, v->regs.x, sizeof(record->x));
    record->pc = v->regs.pc;
    record->cpsr = v->regs.cpsr;
    EACH_SYSREG(TO_RECORD)
    debug_save(&v->arch.debug, record);
    memcpy(record->pauth_keys, v->arch.pauth_keys, sizeof(record->pauth_keys));
    record->fpsr = v->arch.fp.fpsr;
    record->fpcr = v->arch.fp.fpcr;
    memcpy(record->v, v->arch.fp.v, sizeof(record->v));
}

/* An exception return with it leads to EL1 or EL0; an illegal one would stay in EL2. */
static bool cpsr_is_valid(const struct domain *d, uint64_t cpsr)
{
    switch (cpsr & SPSR_MODE_MASK) {
    case 0x0: /* EL0t */
    case 0x4: /* EL1t */
    case 0x5: /* EL1h */
        return (cpsr & ~SPSR_AARCH64_BITS) == 0;
    case SPSR_MODE_32BIT_USER:
        return PFR0_EL0(arch_id_register(d, 4, 0)) == PFR0_EL0_AARCH32 &&
               (cpsr & ~SPSR_AARCH32_BITS) == 0;
    }
    return false;
}

static const char *vcpu_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_vcpu *record = body;

    if (record->power > GODWIT_SAVE_POWER_BLOCKED || (record->flags & ~GODWIT_SAVE_VCPU_FLAGS)) {
        return "has an unknown state";
    }
    if (record->power != GODWIT_SAVE_POWER_OFF && !(record->flags & GODWIT_SAVE_VCPU_INITIALISED)) {
        return "runs without having been started";
    }
    if (record->power == GODWIT_SAVE_POWER_OFF && d->vcpus[instance]->state != VCPU_OFF) {
        return "is off, but the vCPU is on here already";
    }
    /* One that was never started has whatever vcpu_create left. */
    if ((record->power != GODWIT_SAVE_POWER_OFF || record->cpsr) &&
        !cpsr_is_valid(d, record->cpsr)) {
        return "has a processor state that a guest cannot be in";
    }
    return NULL;
}

/*
 * Who slept in WFI wakes up: it may end at any time, and if nothing is pending the guest sleeps
 * again. The domain is paused, so nothing runs before its unpause.
 */
static void vcpu_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_vcpu *record = body;
    struct vcpu *v = d->vcpus[instance];

    memcpy(v->regs.x, record->x, sizeof(record->x));
    v->regs.pc = record->pc;
    v->regs.cpsr = record->cpsr;
    EACH_SYSREG(FROM_RECORD)
    debug_load(&v->arch.debug, record);
    memcpy(v->arch.pauth_keys, record->pauth_keys, sizeof(record->pauth_keys));
    v->arch.fp.fpsr = record->fpsr;
    v->arch.fp.fpcr = record->fpcr;
    memcpy(v->arch.fp.v, record->v, sizeof(record->v));
    v->arch.serror_pending = record->flags & GODWIT_SAVE_VCPU_SERROR_PENDING;
    v->initialised = record->flags & GODWIT_SAVE_VCPU_INITIALISED;
    if (record->power != GODWIT_SAVE_POWER_OFF) {
        sched_vcpu_on(v);
        sched_wake(v);
    }
}

static size_t hidden_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_hidden);
}

static void hidden_save(struct domain *d, unsigned instance, void *body)
{
    const struct vcpu_hidden *hidden = &d->vcpus[instance]->arch.hidden;

    *(struct godwit_save_hidden *)body =
        (struct godwit_save_hidden){.disr_el1 = hidden->disr_el1, .tpidr2_el0 = hidden->tpidr2_el0};
}

static const char *hidden_check(const struct domain *d, unsigned instance, const void *body)
{
    return NULL; /* the guest may write them as it likes */
}

static void hidden_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_hidden *record = body;

    d->vcpus[instance]->arch.hidden =
        (struct vcpu_hidden){.disr_el1 = record->disr_el1, .tpidr2_el0 = record->tpidr2_el0};
}

static size_t clock_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_clock);
}

/* A paused domain's time ends where it stopped: how long it stays so is hidden from it. */
static void clock_save(struct domain *d, unsigned instance, void *body)
{
    uint64_t until = time_counter();

    if (d->pause_count != 0) {
        uint64_t ran_until = atomic_load_explicit(&d->ran_until_ticks, memory_order_relaxed);

        until = d->paused_at_ticks > ran_until ? d->paused_at_ticks : ran_until;
    }
    ((struct godwit_save_clock *)body)->virtual_count = until - d->cntvoff_ticks;
}

static const char *clock_check(const struct domain *d, unsigned instance, const void *body)
{
    return NULL; /* every count is one that a guest's counter can have */
}

static void clock_load(struct domain *d, unsigned instance, const void *body)
{
    d->paused_at_ticks = time_counter();
    d->cntvoff_ticks = d->paused_at_ticks - ((const struct godwit_save_clock *)body)->virtual_count;
    /* Release pairs with the acquire in vtimer.c: the counts are there first. */
    atomic_store_explicit(&d->clock_stands, true, memory_order_release);
}

static size_t timer_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_timer);
}

static void timer_save(struct domain *d, unsigned instance, void *body)
{
    const struct vtimer_vcpu *timer = &d->vcpus[instance]->vtimer;
    struct godwit_save_timer *record = body;

    record->cntv_cval = timer->cntv_cval;
    record->cntp_cval = timer->cntp_cval;
    record->cntv_ctl = timer->cntv_ctl & TIMER_CTL_BITS;
    record->cntp_ctl = timer->cntp_ctl & TIMER_CTL_BITS;
}

static const char *timer_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_timer *record = body;
    return (record->cntv_ctl | record->cntp_ctl) & ~TIMER_CTL_BITS ? "has unknown control bits"
                                                                   : NULL;
}

static void timer_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_timer *record = body;
    struct vtimer_vcpu *timer = &d->vcpus[instance]->vtimer;

    timer->cntv_cval = record->cntv_cval;
    timer->cntp_cval = record->cntp_cval;
    timer->cntv_ctl = record->cntv_ctl;
    timer->cntp_ctl = record->cntp_ctl;
}

const struct save_kind save_kind_header = {
    .bytes = header_bytes,
    .save = header_save,
    .check = header_check,
    .load = header_load,
};
const struct save_kind save_kind_vcpu = {
    .per_vcpu = true,
    .bytes = vcpu_bytes,
    .save = vcpu_save,
    .check = vcpu_check,
    .load = vcpu_load,
};
const struct save_kind save_kind_hidden = {
    .per_vcpu = true,
    .optional = true,
    .bytes = hidden_bytes,
    .save = hidden_save,
    .check = hidden_check,
    .load = hidden_load,
};
const struct save_kind save_kind_clock = {
    .bytes = clock_bytes,
    .save = clock_save,
    .check = clock_check,
    .load = clock_load,
};
const struct save_kind save_kind_timer = {
    .per_vcpu = true,
    .bytes = timer_bytes,
    .save = timer_save,
    .check = timer_check,
    .load = timer_load,
};
