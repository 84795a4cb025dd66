/* SPDX-License-Identifier: MIT */
/*
 * Save records of the vGIC. No vCPU is loaded, so its software state is all there is: list
 * registers, active priorities and the interface's control word were folded into it when each vCPU
 * left its CPU.
 */
#include "save_internal.h"
#include "vgic_internal.h"

#include <string.h>

#define WAKER_ASLEEP 6u

static void irq_save(const struct virq *irq, struct godwit_save_irq *record)
{
    record->irouter = irq->irouter;
    record->priority = irq->priority;
    record->flags = (uint8_t)((irq->enabled ? GODWIT_SAVE_IRQ_ENABLED : 0) |
                              (irq->edge ? GODWIT_SAVE_IRQ_EDGE : 0) |
                              (irq->group1 ? GODWIT_SAVE_IRQ_GROUP1 : 0) |
                              (irq->line ? GODWIT_SAVE_IRQ_LINE : 0) |
                              (irq->pending_latch ? GODWIT_SAVE_IRQ_LATCH : 0) |
                              (irq->active ? GODWIT_SAVE_IRQ_ACTIVE : 0));
    if (irq->active && irq->intid >= VGIC_PRIVATE && irq->owner) {
        record->active_vcpu = (uint16_t)irq->owner->id;
    }
}

static const char *irq_check(const struct domain *d, unsigned intid,
                             const struct godwit_save_irq *record)
{
    bool is_spi = intid >= VGIC_PRIVATE;
    bool active = record->flags & GODWIT_SAVE_IRQ_ACTIVE;

    if ((record->flags & ~GODWIT_SAVE_IRQ_FLAGS) || record->reserved) {
        return "has unknown flags of an interrupt";
    }
    if (record->priority & ~VGIC_PRIORITY_MASK) {
        return "has an interrupt priority that does not exist";
    }
    if (record->irouter & ~(is_spi ? VGIC_AFFINITY_MASK : 0)) {
        return "has a bad route of an interrupt";
    }
    if (record->active_vcpu >= (is_spi && active ? d->max_vcpus : 1)) {
        return "has an interrupt active on a vCPU that does not exist";
    }
    if (intid < 16 && !(record->flags & GODWIT_SAVE_IRQ_EDGE)) {
        return "has a level-sensitive SGI";
    }
    return NULL;
}

/* Lock held as virq_lock does; the interrupt is on no list and its owner is set. */
static void irq_load(struct domain *d, struct virq *irq, const struct godwit_save_irq *record)
{
    vgic_kicks_t kicks = 0; /* for the paused domain's entry there is no need to hurry */

    irq->priority = record->priority;
    irq->enabled = record->flags & GODWIT_SAVE_IRQ_ENABLED;
    irq->edge = record->flags & GODWIT_SAVE_IRQ_EDGE;
    irq->group1 = record->flags & GODWIT_SAVE_IRQ_GROUP1;
    irq->line = record->flags & GODWIT_SAVE_IRQ_LINE;
    irq->pending_latch = record->flags & GODWIT_SAVE_IRQ_LATCH;
    irq->active = record->flags & GODWIT_SAVE_IRQ_ACTIVE;
    irq->hw_active = false;
    virq_changed(d, irq, &kicks);
}

void save_reset_interrupts(struct domain *d)
{
    spin_lock(&d->vgic.lock);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];
        spin_lock(&v->vgic.lock);
        while (v->vgic.ap_list) {
            virq_unlist(v->vgic.ap_list);
        }
        v->vgic.strays = false;
        spin_unlock(&v->vgic.lock);
    }
    spin_unlock(&d->vgic.lock);
}

static size_t gicd_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_gicd) + d->vgic.spi_count * sizeof(struct godwit_save_irq);
}

static void gicd_save(struct domain *d, unsigned instance, void *body)
{
    struct godwit_save_gicd *record = body;

    spin_lock(&d->vgic.lock);
    record->ctlr = atomic_load_explicit(&d->vgic.ctlr, memory_order_relaxed);
    record->spi_count = d->vgic.spi_count;
    for (uint32_t i = 0; i < d->vgic.spi_count; i++) {
        struct virq *irq = &d->vgic.spis[i];
        virq_lock(irq);
        irq_save(irq, &record->spis[i]);
        virq_unlock(irq);
    }
    spin_unlock(&d->vgic.lock);
}

static const char *gicd_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_gicd *record = body;
    const char *wrong = NULL;

    if ((record->ctlr & ~GICD_CTLR_ENABLES) || record->spi_count != d->vgic.spi_count) {
        return "has another distributor";
    }
    for (uint32_t i = 0; i < record->spi_count && !wrong; i++) {
        wrong = irq_check(d, VGIC_PRIVATE + i, &record->spis[i]);
    }
    return wrong;
}

static void gicd_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_gicd *record = body;

    spin_lock(&d->vgic.lock);
    atomic_store_explicit(&d->vgic.ctlr, record->ctlr, memory_order_relaxed);
    for (uint32_t i = 0; i < d->vgic.spi_count; i++) {
        struct virq *irq = &d->vgic.spis[i];
        struct vcpu *routed = vgic_vcpu_by_affinity(d, record->spis[i].irouter);
        bool active = record->spis[i].flags & GODWIT_SAVE_IRQ_ACTIVE;

        /* The target decides the owner of what is on no list; an active one ends where it began. */
        irq->irouter = record->spis[i].irouter;
        irq->target = active ? d->vcpus[record->spis[i].active_vcpu] : routed;
        virq_lock(irq);
        irq_load(d, irq, &record->spis[i]);
        irq->target = routed;
        virq_unlock(irq);
    }
    spin_unlock(&d->vgic.lock);
}

static size_t gicr_bytes(const struct domain *d)
{
    return sizeof(struct godwit_save_gicr);
}

static void gicr_save(struct domain *d, unsigned instance, void *body)
{
    struct vgic_vcpu *vgic = &d->vcpus[instance]->vgic;
    struct godwit_save_gicr *record = body;

    spin_lock(&vgic->lock);
    record->waker = vgic->gicr_waker;
    record->vmcr = vgic->vmcr;
    memcpy(record->ap0r, vgic->ap0r, sizeof(record->ap0r));
    memcpy(record->ap1r, vgic->ap1r, sizeof(record->ap1r));
    for (uint32_t i = 0; i < VGIC_PRIVATE; i++) {
        irq_save(&vgic->private_irqs[i], &record->irqs[i]);
    }
    spin_unlock(&vgic->lock);
}

static const char *gicr_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_gicr *record = body;
    unsigned apr_count = vgic_hw_limits()->apr_count;
    const char *wrong = NULL;

    if (record->ctlr || (record->waker && record->waker != WAKER_ASLEEP)) {
        return "has another redistributor";
    }
    if (record->vmcr & ~VGIC_VMCR_BITS) {
        return "has unknown bits of the CPU interface";
    }
    for (unsigned n = 0; n < VGIC_APRS_MAX; n++) {
        uint64_t valid = n < apr_count ? UINT32_MAX : 0;
        if ((record->ap0r[n] | record->ap1r[n]) & ~valid) {
            return "has active priorities that do not exist here";
        }
    }
    for (uint32_t i = 0; i < VGIC_PRIVATE && !wrong; i++) {
        wrong = irq_check(d, i, &record->irqs[i]);
    }
    return wrong;
}

static void gicr_load(struct domain *d, unsigned instance, const void *body)
{
    struct vgic_vcpu *vgic = &d->vcpus[instance]->vgic;
    const struct godwit_save_gicr *record = body;

    spin_lock(&vgic->lock);
    vgic->gicr_waker = record->waker;
    vgic->vmcr = record->vmcr;
    memcpy(vgic->ap0r, record->ap0r, sizeof(record->ap0r));
    memcpy(vgic->ap1r, record->ap1r, sizeof(record->ap1r));
    for (uint32_t i = 0; i < VGIC_PRIVATE; i++) {
        irq_load(d, &vgic->private_irqs[i], &record->irqs[i]);
    }
    spin_unlock(&vgic->lock);
}

const struct save_kind save_kind_gicd = {
    .bytes = gicd_bytes,
    .save = gicd_save,
    .check = gicd_check,
    .load = gicd_load,
};
const struct save_kind save_kind_gicr = {
    .per_vcpu = true,
    .bytes = gicr_bytes,
    .save = gicr_save,
    .check = gicr_check,
    .load = gicr_load,
};
