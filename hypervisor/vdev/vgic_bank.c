/* SPDX-License-Identifier: MIT */
/* Registers that hold one field per interrupt: what a read of each gives and a write changes. */
#include "vgic_internal.h"

#include <hv/irq.h>
#include <stddef.h>

/* SPIs need the domain's lock around everything, private interrupts only their vCPU's. */
static void bank_lock(struct domain *d, const struct vcpu *v)
{
    if (!v) {
        spin_lock(&d->vgic.lock);
    }
}

static void bank_unlock(struct domain *d, const struct vcpu *v, vgic_kicks_t kicks)
{
    if (!v) {
        spin_unlock(&d->vgic.lock);
    }
    vgic_kick(d, kicks);
}

/* The state of an interrupt in a list register of another CPU is that of its last exit. */
static bool read_pending(const struct virq *irq)
{
    return virq_is_pending(irq) || (irq->lr >= 0 && irq->lr_latch) ||
           (irq->hw_intid >= VGIC_PRIVATE && !irq->hw_active && irq_is_pending(irq->hw_intid));
}

static bool read_field(const struct virq *irq, enum vgic_bank bank)
{
    switch (bank) {
    case VGIC_GROUP:
        return irq->group1;
    case VGIC_SET_ENABLE:
    case VGIC_CLEAR_ENABLE:
        return irq->enabled;
    case VGIC_SET_PENDING:
    case VGIC_CLEAR_PENDING:
        return read_pending(irq);
    case VGIC_SET_ACTIVE:
    case VGIC_CLEAR_ACTIVE:
        return irq->active;
    }
    return false;
}

uint32_t vgic_bank_read(struct domain *d, struct vcpu *v, enum vgic_bank bank, uint32_t first)
{
    vgic_kicks_t kicks = 0;
    uint32_t bits = 0;

    bank_lock(d, v);
    for (uint32_t i = 0; i < 32; i++) {
        struct virq *irq = vgic_get(d, v, first + i);
        if (!irq) {
            break;
        }
        virq_lock(irq);
        bits |= (uint32_t)read_field(irq, bank) << i;
        if (irq->lr >= 0 && bank >= VGIC_SET_PENDING) {
            virq_changed(d, irq, &kicks); /* who polls sees the truth after the owner's exit */
        }
        virq_unlock(irq);
    }
    bank_unlock(d, v, kicks);
    return bits;
}

/* May the physical interrupt behind irq be touched here? Private ones only by the vCPU that runs.
 */
static bool is_reachable(const struct virq *irq)
{
    return irq->intid >= VGIC_PRIVATE || irq->owner == vcpu_current();
}

static void write_enable(struct virq *irq, bool enable)
{
    irq->enabled = enable;
    if (irq->hw_intid >= VGIC_PRIVATE) {
        if (enable) {
            irq_enable(irq->hw_intid);
        } else {
            irq_disable(irq->hw_intid);
        }
    }
    if (is_reachable(irq)) {
        virq_resample(irq);
    }
}

static void write_pending(struct virq *irq, bool set)
{
    irq->pending_latch = set;
    if (irq->lr >= 0) {
        irq->lr_override = (uint8_t)((irq->lr_override & ~VIRQ_LR_CLEAR_PENDING) |
                                     (set ? 0 : VIRQ_LR_CLEAR_PENDING));
    }
    if (is_reachable(irq)) {
        virq_settle(irq);
    }
}

static void write_active(struct virq *irq, bool set)
{
    irq->active = set;
    if (irq->lr >= 0) {
        uint8_t others = irq->lr_override & VIRQ_LR_CLEAR_PENDING;
        irq->lr_override = others | (set ? VIRQ_LR_SET_ACTIVE : VIRQ_LR_CLEAR_ACTIVE);
    }
    if (is_reachable(irq)) {
        virq_settle(irq);
    }
}

static void write_field(struct virq *irq, enum vgic_bank bank, bool bit)
{
    switch (bank) {
    case VGIC_GROUP:
        irq->group1 = bit;
        break;
    case VGIC_SET_ENABLE:
    case VGIC_CLEAR_ENABLE:
        write_enable(irq, bank == VGIC_SET_ENABLE);
        break;
    case VGIC_SET_PENDING:
    case VGIC_CLEAR_PENDING:
        write_pending(irq, bank == VGIC_SET_PENDING);
        break;
    case VGIC_SET_ACTIVE:
    case VGIC_CLEAR_ACTIVE:
        write_active(irq, bank == VGIC_SET_ACTIVE);
        break;
    }
}

void vgic_bank_write(struct domain *d, struct vcpu *v, enum vgic_bank bank, uint32_t first,
                     uint32_t bits)
{
    vgic_kicks_t kicks = 0;

    bank_lock(d, v);
    for (uint32_t i = 0; i < 32; i++) {
        bool bit = bits >> i & 1;
        struct virq *irq = vgic_get(d, v, first + i);
        if (!irq) {
            break;
        }
        if (!bit && bank != VGIC_GROUP) {
            continue; /* zeros leave set and clear registers alone */
        }
        virq_lock(irq);
        write_field(irq, bank, bit);
        virq_changed(d, irq, &kicks);
        virq_unlock(irq);
    }
    bank_unlock(d, v, kicks);
}

uint32_t vgic_priority_read(struct domain *d, struct vcpu *v, uint32_t first, unsigned bytes)
{
    uint32_t value = 0;

    bank_lock(d, v);
    for (unsigned i = 0; i < bytes; i++) {
        struct virq *irq = vgic_get(d, v, first + i);
        if (irq) {
            virq_lock(irq);
            value |= (uint32_t)irq->priority << (8 * i);
            virq_unlock(irq);
        }
    }
    bank_unlock(d, v, 0);
    return value;
}

void vgic_priority_write(struct domain *d, struct vcpu *v, uint32_t first, unsigned bytes,
                         uint32_t value)
{
    vgic_kicks_t kicks = 0;

    bank_lock(d, v);
    for (unsigned i = 0; i < bytes; i++) {
        struct virq *irq = vgic_get(d, v, first + i);
        if (irq) {
            virq_lock(irq);
            irq->priority = (uint8_t)(value >> (8 * i)) & VGIC_PRIORITY_MASK;
            virq_changed(d, irq, &kicks);
            virq_unlock(irq);
        }
    }
    bank_unlock(d, v, kicks);
}

uint32_t vgic_config_read(struct domain *d, struct vcpu *v, uint32_t first)
{
    uint32_t value = 0;

    bank_lock(d, v);
    for (uint32_t i = 0; i < 16; i++) {
        struct virq *irq = vgic_get(d, v, first + i);
        if (irq) {
            virq_lock(irq);
            value |= (uint32_t)irq->edge << (2 * i + 1);
            virq_unlock(irq);
        }
    }
    bank_unlock(d, v, 0);
    return value;
}

void vgic_config_write(struct domain *d, struct vcpu *v, uint32_t first, uint32_t value)
{
    vgic_kicks_t kicks = 0;

    if (first < 16) {
        return; /* SGIs are edge-triggered for good */
    }
    bank_lock(d, v);
    for (uint32_t i = 0; i < 16; i++) {
        struct virq *irq = vgic_get(d, v, first + i);
        if (irq) {
            virq_lock(irq);
            irq->edge = value >> (2 * i + 1) & 1;
            if (irq->hw_intid >= VGIC_PRIVATE) {
                irq_set_edge(irq->hw_intid, irq->edge);
            }
            virq_changed(d, irq, &kicks);
            virq_unlock(irq);
        }
    }
    bank_unlock(d, v, kicks);
}
