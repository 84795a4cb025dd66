/* SPDX-License-Identifier: MIT */
/* vGIC: creation, inputs from devices and from the host's interrupts. */
#include "vgic_internal.h"

#include <core/error.h>
#include <hv/frame.h>
#include <hv/irq.h>
#include <stddef.h>

static unsigned order_for(uint64_t bytes)
{
    unsigned order = 0;
    while ((PAGE_SIZE_BYTES << order) < bytes) {
        order++;
    }
    return order;
}

static void virq_reset(struct virq *irq, uint32_t intid, struct vcpu *target)
{
    *irq = (struct virq){
        .intid = (uint16_t)intid,
        .edge = intid < 16,
        .group1 = true, /* as firmware leaves it to the non-secure side */
        .lr = -1,
        .target = target,
        .owner = target,
    };
}

int vgic_domain_init(struct domain *d, uint32_t spi_count, ipa_t dist_ipa, ipa_t redist_ipa)
{
    struct vgic_domain *vgic = &d->vgic;
    if (spi_count > VGIC_SPIS_MAX) {
        return -CORE_EINVAL;
    }
    unsigned order = order_for(spi_count * sizeof(struct virq));
    struct virq *spis = frame_alloc_hv(order);
    if (!spis) {
        return -CORE_ENOMEM;
    }
    const struct mmio_region dist = {dist_ipa, VGIC_DIST_BYTES, vgic_dist_access, d};
    const struct mmio_region redist = {redist_ipa, VGIC_REDIST_BYTES * d->max_vcpus,
                                       vgic_redist_access, d};
    if (mmio_add(&d->mmio, &dist) || mmio_add(&d->mmio, &redist)) {
        frame_free_hv(spis, order);
        return -CORE_EINVAL;
    }
    for (uint32_t i = 0; i < spi_count; i++) {
        virq_reset(&spis[i], VGIC_PRIVATE + i, NULL);
    }
    vgic->spis = spis;
    vgic->spis_order = order;
    vgic->spi_count = spi_count;
    vgic->dist_ipa = dist_ipa;
    vgic->redist_ipa = redist_ipa;
    return 0;
}

void vgic_domain_free(struct domain *d)
{
    if (d->vgic.spis) {
        frame_free_hv(d->vgic.spis, d->vgic.spis_order);
    }
    d->vgic.spis = NULL;
    d->vgic.spi_count = 0;
}

void vgic_vcpu_init(struct vcpu *v)
{
    struct domain *d = v->domain;
    vgic_kicks_t kicks = 0;

    for (uint32_t i = 0; i < VGIC_PRIVATE; i++) {
        virq_reset(&v->vgic.private_irqs[i], i, v);
    }
    v->vgic.vmcr = VGIC_VMCR_FIQEN;
    /* SPIs that were routed to this affinity when nobody had it. */
    spin_lock(&d->vgic.lock);
    for (uint32_t i = 0; i < d->vgic.spi_count; i++) {
        struct virq *irq = &d->vgic.spis[i];
        if (!irq->target && ((irq->irouter ^ v->vmpidr) & VGIC_AFFINITY_MASK) == 0) {
            irq->target = v;
            virq_lock(irq);
            virq_changed(d, irq, &kicks);
            virq_unlock(irq);
        }
    }
    spin_unlock(&d->vgic.lock);
}

/* Locks an interrupt whatever its kind; virq_exit undoes it. */
static struct virq *virq_enter(struct domain *d, struct vcpu *v, uint32_t intid)
{
    struct virq *irq = vgic_get(d, v, intid);
    if (irq && intid >= VGIC_PRIVATE) {
        spin_lock(&d->vgic.lock);
    }
    if (irq) {
        virq_lock(irq);
    }
    return irq;
}

static void virq_exit(struct domain *d, struct virq *irq)
{
    virq_unlock(irq);
    if (irq->intid >= VGIC_PRIVATE) {
        spin_unlock(&d->vgic.lock);
    }
}

void vgic_inject(struct domain *d, struct vcpu *v, uint32_t intid)
{
    vgic_kicks_t kicks = 0;
    struct virq *irq = virq_enter(d, v, intid);
    if (!irq) {
        return;
    }
    irq->pending_latch = true;
    virq_changed(d, irq, &kicks);
    virq_exit(d, irq);
    vgic_kick(d, kicks);
}

void vgic_set_line(struct domain *d, struct vcpu *v, uint32_t intid, bool level)
{
    vgic_kicks_t kicks = 0;
    struct virq *irq = virq_enter(d, v, intid);
    if (!irq) {
        return;
    }
    bool cpu_has_the_line = v && irq->hw_intid && v->vgic.loaded;
    if (irq->line != level && !cpu_has_the_line) {
        irq->line = level;
        irq->pending_latch |= irq->edge && level;
        virq_changed(d, irq, &kicks);
    }
    virq_exit(d, irq);
    vgic_kick(d, kicks);
}

static void inject_linked(struct domain *d, struct vcpu *v, uint32_t intid)
{
    vgic_kicks_t kicks = 0;
    struct virq *irq = virq_enter(d, v, intid);
    if (!irq) {
        return;
    }
    irq->hw_active = true;
    irq->pending_latch = true;
    if (irq->lr >= 0) {
        irq->lr_override |=
            VIRQ_LR_FIRED_AGAIN; /* it could only because the guest ended the last */
    }
    virq_changed(d, irq, &kicks);
    virq_exit(d, irq);
    vgic_kick(d, kicks);
}

void vgic_inject_hw(struct domain *d, uint32_t intid)
{
    inject_linked(d, NULL, intid);
}

void vgic_inject_hw_private(struct vcpu *v, uint32_t intid)
{
    inject_linked(v->domain, v, intid);
}

void vgic_link_hw_private(struct vcpu *v, uint32_t intid)
{
    v->vgic.private_irqs[intid].hw_intid = (uint16_t)intid;
    v->vgic.hw_private |= 1u << intid;
}

static enum irq_result assigned_fired(uint32_t intid, void *context)
{
    vgic_inject_hw(context, intid);
    return IRQ_KEEP_ACTIVE;
}

void vgic_assign_hw(struct domain *d, uint32_t intid)
{
    struct virq *irq = intid < VGIC_PRIVATE ? NULL : vgic_get(d, NULL, intid);
    if (!irq) {
        return;
    }
    spin_lock(&d->vgic.lock);
    irq->hw_intid = (uint16_t)intid;
    irq_disable(intid);
    irq_set_edge(intid, irq->edge);
    irq_set_handler(intid, assigned_fired, d);
    spin_unlock(&d->vgic.lock);
}
