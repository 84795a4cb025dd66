/* SPDX-License-Identifier: MIT */
/*
 * State of single interrupts: pending or not, on whose list, and who must be told.
 * Locks: see vgic_internal.h.
 */
#include "vgic_internal.h"

#include <hv/cpu.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <stddef.h>

struct virq *vgic_get(struct domain *d, struct vcpu *v, uint32_t intid)
{
    if (intid < VGIC_PRIVATE) {
        return v ? &v->vgic.private_irqs[intid] : NULL;
    }
    return intid - VGIC_PRIVATE < d->vgic.spi_count ? &d->vgic.spis[intid - VGIC_PRIVATE] : NULL;
}

struct vcpu *vgic_vcpu_by_affinity(struct domain *d, uint64_t affinity)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];
        if (v && ((v->vmpidr ^ affinity) & VGIC_AFFINITY_MASK) == 0) {
            return v;
        }
    }
    return NULL;
}

void virq_lock(struct virq *irq)
{
    for (;;) {
        struct vcpu *owner = irq->owner;
        if (owner) {
            spin_lock(&owner->vgic.lock);
        }
        if (irq->listed || owner == irq->target) {
            return;
        }
        if (owner) {
            spin_unlock(&owner->vgic.lock);
        }
        /* On no list: only holders of the domain's lock, that is this function, can get at it. */
        irq->owner = irq->target;
    }
}

void virq_unlock(struct virq *irq)
{
    if (irq->owner) {
        spin_unlock(&irq->owner->vgic.lock);
    }
}

bool virq_is_pending(const struct virq *irq)
{
    return irq->pending_latch || (!irq->edge && irq->line);
}

bool virq_is_deliverable(const struct domain *d, const struct virq *irq)
{
    /* Relaxed: a write to GICD_CTLR marks every vCPU dirty afterwards, under its lock. */
    uint32_t ctlr = atomic_load_explicit(&d->vgic.ctlr, memory_order_relaxed);
    uint32_t needed = irq->group1 ? GICD_CTLR_ENABLE_GROUP1 : GICD_CTLR_ENABLE_GROUP0;
    return irq->enabled && (ctlr & needed) && irq->owner == irq->target && virq_is_pending(irq);
}

void virq_changed(struct domain *d, struct virq *irq, vgic_kicks_t *kicks)
{
    struct vcpu *owner = irq->owner;
    if (!owner) {
        return;
    }
    if (!irq->listed && (irq->active || virq_is_pending(irq))) {
        irq->next = owner->vgic.ap_list;
        owner->vgic.ap_list = irq;
        irq->listed = true;
    }
    /* Relaxed: the vCPU's own CPU reads it; another one is kicked after the lock is released. */
    atomic_store_explicit(&owner->vgic.dirty, true, memory_order_relaxed);
    if (irq->lr >= 0 || virq_is_deliverable(d, irq)) {
        *kicks |= UINT64_C(1) << owner->id;
    }
}

void virq_unlist(struct virq *irq)
{
    struct virq **link = &irq->owner->vgic.ap_list;
    while (*link != irq) {
        link = &(*link)->next;
    }
    *link = irq->next;
    irq->next = NULL;
    irq->listed = false;
}

void virq_settle(struct virq *irq)
{
    if (irq->hw_active && irq->lr < 0 && !irq->active && !virq_is_pending(irq)) {
        irq->hw_active = false;
        irq_deactivate(irq->hw_intid);
    }
}

void virq_resample(struct virq *irq)
{
    bool waits = irq->hw_active && irq->lr < 0 && !irq->active && irq->pending_latch;
    if (waits && !irq->edge && (!irq->enabled || !irq_is_pending(irq->hw_intid))) {
        irq->pending_latch = false;
    }
    virq_settle(irq);
}

void virq_deactivate(struct virq *irq)
{
    irq->active = false;
    /* A latch beside an active physical interrupt is that interrupt, seen again: it stays linked.
     */
    virq_settle(irq);
}

void vgic_kick(struct domain *d, vgic_kicks_t kicks)
{
    while (kicks) {
        struct vcpu *v = d->vcpus[__builtin_ctzll(kicks)];
        kicks &= kicks - 1;
        if (v == vcpu_current() && v->state == VCPU_RUNNING) {
            continue; /* its way back into the guest looks at vgic.dirty */
        }
        /*
         * If this read misses a CPU that is just loading v, its vgic_load takes v's lock after our
         * change was made under it, and sees the change.
         */
        int cpu = atomic_load_explicit(&v->cpu, memory_order_relaxed);
        if (cpu >= 0) {
            cpu_kick((unsigned)cpu);
        }
        sched_wake(v);
    }
}
