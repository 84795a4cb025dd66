/* SPDX-License-Identifier: MIT */
/*
 * From a port to the upcall interrupt: pending bit, then selector bit, then upcall flag, then the
 * level of the PPI. The guest clears them in the opposite order, so nothing is lost between.
 */
#include <core/dirty_log.h>
#include <hv/frame.h>
#include <hv/sched.h>
#include <hv/vgic.h>
#include <stddef.h>

#include "evtchn.h"

/* A word of a shared page; the guest changes it with atomics of its own. */
static _Atomic uint64_t *shared_word(struct domain *d, size_t offset)
{
    return (_Atomic uint64_t *)(void *)((uint8_t *)d->shared_info + offset);
}

static _Atomic uint64_t *pending_word(struct domain *d, uint32_t port)
{
    return shared_word(d, offsetof(struct shared_info, evtchn_pending) + port / 64 * 8);
}

static _Atomic uint64_t *mask_word(struct domain *d, uint32_t port)
{
    return shared_word(d, offsetof(struct shared_info, evtchn_mask) + port / 64 * 8);
}

/* Where v's vcpu_info is; NULL: nowhere yet, what is pending is found when it registers one. */
static uint8_t *vcpu_info(struct vcpu *v)
{
    if (v->vcpu_info_pa.addr != 0) {
        pa_t frame = pa_make(v->vcpu_info_pa.addr & ~PAGE_MASK);

        return (uint8_t *)pa_to_va(frame) + (v->vcpu_info_pa.addr & PAGE_MASK);
    }
    return v->id < XEN_LEGACY_MAX_VCPUS ? v->domain->shared_info : NULL;
}

static _Atomic uint8_t *upcall_flag(uint8_t *info)
{
    return (_Atomic uint8_t *)(info + offsetof(struct vcpu_info, evtchn_upcall_pending));
}

static void vcpu_info_written(struct vcpu *v)
{
    if (v->vcpu_info_pa.addr != 0) {
        dirty_log_mark(&v->domain->s2, v->vcpu_info_ipa, DIRTY_WRITER_SHARED);
    }
}

/* Bits of the selector become set; all are sequentially consistent, in the order given above. */
static void raise_upcall(struct vcpu *v, uint64_t selector_bits)
{
    uint8_t *info = vcpu_info(v);
    _Atomic uint64_t *selector;

    if (info == NULL) {
        return;
    }
    selector = (_Atomic uint64_t *)(void *)(info + offsetof(struct vcpu_info, evtchn_pending_sel));
    if ((atomic_fetch_or(selector, selector_bits) & selector_bits) == selector_bits) {
        return; /* the guest has not looked at the selector since: it will find the port */
    }
    atomic_store(upcall_flag(info),
                 1); /* pairs with the guest clearing it, then taking the selector */
    vcpu_info_written(v);
    /*
     * Before the line and after it, both paired with evtchn_update_upcall. Before: who has read the
     * flag too early and lowers the line after us looks again. After: the guest may have handled
     * the event already, and then nobody else would lower what we have just raised.
     */
    atomic_store(&v->evtchn_upcall_check, true);
    vgic_set_line(v->domain, v, v->domain->evtchn_upcall_ppi, true);
    atomic_store(&v->evtchn_upcall_check, true);
}

static void wake_polling(struct domain *d)
{
    uint64_t polling = d->evtchn->polling_vcpus;

    d->evtchn->polling_vcpus = 0;
    while (polling != 0) {
        unsigned id = (unsigned)__builtin_ctzll(polling);

        polling &= polling - 1;
        sched_wake(d->vcpus[id]);
    }
}

static struct vcpu *vcpu_to_notify(struct domain *d, uint32_t vcpu_id)
{
    return vcpu_id < d->max_vcpus ? d->vcpus[vcpu_id] : NULL;
}

void evtchn_set_pending(struct domain *d, uint32_t vcpu_id, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << (port % 64);
    struct vcpu *v = vcpu_to_notify(d, vcpu_id);

    if (v == NULL || (atomic_fetch_or(pending_word(d, port), bit) & bit) != 0) {
        return;
    }
    /* After the pending bit: pairs with the guest's unmask (mask bit first, then it looks here). */
    if ((atomic_load(mask_word(d, port)) & bit) == 0) {
        raise_upcall(v, UINT64_C(1) << (port / 64));
    }
    wake_polling(d);
}

void evtchn_unmask_port(struct domain *d, uint32_t vcpu_id, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << (port % 64);
    struct vcpu *v = vcpu_to_notify(d, vcpu_id);

    if (d->shared_info == NULL || (atomic_fetch_and(mask_word(d, port), ~bit) & bit) == 0) {
        return;
    }
    if (v != NULL && (atomic_load(pending_word(d, port)) & bit) != 0) {
        raise_upcall(v, UINT64_C(1) << (port / 64));
    }
}

void evtchn_clear_pending(struct domain *d, uint32_t port)
{
    if (d->shared_info != NULL) {
        atomic_fetch_and(pending_word(d, port), ~(UINT64_C(1) << (port % 64)));
    }
}

bool evtchn_is_pending(struct domain *d, uint32_t port)
{
    return d->shared_info != NULL &&
           (atomic_load(pending_word(d, port)) & UINT64_C(1) << (port % 64)) != 0;
}

void evtchn_resend_all(struct vcpu *v)
{
    raise_upcall(v, UINT64_MAX);
}

void evtchn_update_upcall(struct vcpu *v)
{
    uint8_t *info = vcpu_info(v);

    if (info == NULL) {
        return;
    }
    for (;;) {
        bool pending;

        /* Cleared before the flag is read; pairs with raise_upcall. */
        atomic_store(&v->evtchn_upcall_check, false);
        pending = atomic_load(upcall_flag(info)) != 0;
        vgic_set_line(v->domain, v, v->domain->evtchn_upcall_ppi, pending);
        if (pending) {
            atomic_store(&v->evtchn_upcall_check, true); /* until the guest has cleared it */
            return;
        }
        if (!atomic_load(&v->evtchn_upcall_check)) {
            return;
        }
    }
}
