/* SPDX-License-Identifier: MIT */
/*
 * List registers: fold them into the software state, choose what goes into them, fill them.
 *
 * The highest-priority pending interrupt always gets one, then active ones (so that their end is
 * seen), then other pending ones. If pending ones are left over, the interrupt "no list register is
 * pending" asks for a refill: each left-over ranks below all that were placed. If active ones are
 * left over, EOIcount counts their ends and ICC_DIR is trapped.
 */
#include "vgic_internal.h"

#include <hv/cpu.h>
#include <hv/irq.h>
#include <stddef.h>

static void fold_one(struct virq *irq, uint64_t lr)
{
    bool pending = (lr & VGIC_LR_PENDING) && !(irq->lr_override & VIRQ_LR_CLEAR_PENDING);
    bool active = (lr & VGIC_LR_ACTIVE) && !(irq->lr_override & VIRQ_LR_CLEAR_ACTIVE);

    if ((lr & VGIC_LR_HW) && !(lr & (VGIC_LR_PENDING | VGIC_LR_ACTIVE)) &&
        !(irq->lr_override & VIRQ_LR_FIRED_AGAIN)) {
        irq->hw_active = false; /* the guest's EOI has ended the physical interrupt */
    }
    irq->active = active || (irq->lr_override & VIRQ_LR_SET_ACTIVE);
    irq->pending_latch |= pending && irq->lr_latch;
    irq->lr = -1;
    irq->lr_latch = false;
    irq->lr_override = 0;
    virq_resample(irq);
}

/* Ends of interrupts that were in no list register come in order of priority. */
static void fold_eoi_count(struct vcpu *v, unsigned count)
{
    if (vgic_hw_read_vmcr() & VGIC_VMCR_EOIM) {
        return; /* EOI only dropped a priority; the end is ICC_DIR, which was trapped */
    }
    while (count--) {
        struct virq *best = NULL;
        for (struct virq *irq = v->vgic.ap_list; irq; irq = irq->next) {
            if (irq->active && irq->lr < 0 && (!best || irq->priority < best->priority)) {
                best = irq;
            }
        }
        if (!best) {
            return;
        }
        virq_deactivate(best);
    }
}

void vgic_fold(struct vcpu *v)
{
    uint32_t hcr = vgic_hw_read_hcr();
    unsigned lr_count = vgic_hw_limits()->lr_count;

    if (VGIC_HCR_EOICOUNT(hcr)) {
        fold_eoi_count(v, VGIC_HCR_EOICOUNT(hcr));
    }
    for (unsigned n = 0; n < lr_count; n++) {
        struct virq *irq = v->vgic.lr_irq[n];
        if (irq) {
            fold_one(irq, vgic_hw_read_lr(n));
            vgic_hw_write_lr(n, 0);
            v->vgic.lr_irq[n] = NULL;
        }
    }
    /* No maintenance condition is left, and EOIcount starts again at 0. */
    vgic_hw_write_hcr(VGIC_HCR_EN);
    atomic_store_explicit(&v->vgic.dirty, true, memory_order_relaxed);
}

void vgic_sync_current(struct vcpu *v)
{
    spin_lock(&v->vgic.lock);
    if (v->vgic.loaded) {
        vgic_fold(v);
    }
    spin_unlock(&v->vgic.lock);
}

static void prune(struct vcpu *v)
{
    struct virq **link = &v->vgic.ap_list;
    while (*link) {
        struct virq *irq = *link;
        if (irq->active || virq_is_pending(irq)) {
            v->vgic.strays |= !irq->active && irq->target != v;
            link = &irq->next;
        } else {
            *link = irq->next;
            irq->next = NULL;
            irq->listed = false;
        }
    }
}

static void place(struct vcpu *v, unsigned n, struct virq *irq)
{
    uint64_t lr = VGIC_LR_INTID(irq->intid) | VGIC_LR_PRIORITY(irq->priority);
    bool stray = irq->target != v;
    /* Active, and pending again: a list register cannot link both, so the second waits for the end.
     */
    bool linked = irq->hw_active && !(irq->active && irq->pending_latch);

    if (irq->group1) {
        lr |= VGIC_LR_GROUP1;
    }
    if (irq->active) {
        lr |= VGIC_LR_ACTIVE;
    }
    if (!irq->active || (irq->edge && !irq->hw_active && virq_is_deliverable(v->domain, irq))) {
        lr |= VGIC_LR_PENDING;
        irq->lr_latch = irq->pending_latch;
        irq->pending_latch = false;
    }
    if (linked) {
        lr |= VGIC_LR_HW | VGIC_LR_PHYSICAL(irq->hw_intid);
    } else if (!irq->edge || stray || irq->hw_active) {
        lr |= VGIC_LR_EOI; /* look again at its end */
    }
    irq->lr = (int8_t)n;
    v->vgic.lr_irq[n] = irq;
    vgic_hw_write_lr(n, lr);
}

/* The best interrupt that is in no list register yet; lower INTIDs first among equals. */
static struct virq *pick(struct vcpu *v, bool active)
{
    struct virq *best = NULL;
    for (struct virq *irq = v->vgic.ap_list; irq; irq = irq->next) {
        if (irq->lr >= 0 || irq->active != active ||
            (!active && !virq_is_deliverable(v->domain, irq))) {
            continue;
        }
        if (!best || irq->priority < best->priority ||
            (irq->priority == best->priority && irq->intid < best->intid)) {
            best = irq;
        }
    }
    return best;
}

static void fill(struct vcpu *v)
{
    unsigned lr_count = vgic_hw_limits()->lr_count;
    uint32_t hcr = VGIC_HCR_EN;
    unsigned n = 0;

    struct virq *pending = pick(v, false);
    if (pending) {
        place(v, n++, pending);
    }
    struct virq *active = pick(v, true);
    for (; n < lr_count && active; active = pick(v, true)) {
        place(v, n++, active);
    }
    pending = pick(v, false);
    for (; n < lr_count && pending; pending = pick(v, false)) {
        place(v, n++, pending);
    }
    if (pending) {
        hcr |= VGIC_HCR_NPIE;
    }
    if (active) {
        hcr |= VGIC_HCR_LRENPIE | (vgic_hw_limits()->can_trap_dir ? VGIC_HCR_TDIR : 0);
    }
    vgic_hw_write_hcr(hcr);
}

void vgic_flush(struct vcpu *v)
{
    spin_lock(&v->vgic.lock);
    vgic_fold(v);
    prune(v);
    if (v->vgic.ap_list) {
        fill(v);
    }
    /* Changes come under the lock, so none is between the state filled and this store. */
    atomic_store_explicit(&v->vgic.dirty, false, memory_order_relaxed);
    bool strays = v->vgic.strays;
    spin_unlock(&v->vgic.lock);
    if (strays) {
        vgic_release_strays(v);
    }
}

void vgic_release_strays(struct vcpu *v)
{
    struct domain *d = v->domain;
    vgic_kicks_t kicks = 0;

    spin_lock(&d->vgic.lock);
    for (;;) {
        spin_lock(&v->vgic.lock);
        struct virq *irq = v->vgic.ap_list;
        while (irq && (irq->target == v || irq->active || irq->lr >= 0)) {
            irq = irq->next;
        }
        if (irq) {
            virq_unlist(irq);
        } else {
            v->vgic.strays = false;
        }
        spin_unlock(&v->vgic.lock);
        if (!irq) {
            break;
        }
        virq_lock(irq);
        virq_changed(d, irq, &kicks);
        virq_unlock(irq);
    }
    spin_unlock(&d->vgic.lock);
    vgic_kick(d, kicks);
}
