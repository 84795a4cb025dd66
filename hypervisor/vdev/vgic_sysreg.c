/* SPDX-License-Identifier: MIT */
/* vGIC: trapped accesses to the CPU interface: sending SGIs, deactivation, SRE. */
#include "vgic_internal.h"

#include <stddef.h>

/* ICC_SGI1R and its relatives. */
#define SGI_TARGETS(value) ((uint32_t)(value)&0xffffu)
#define SGI_INTID(value)   ((uint32_t)((value) >> 24) & 15u)
#define SGI_RANGE(value)   ((uint32_t)((value) >> 44) & 15u)
#define SGI_TO_OTHERS      (UINT64_C(1) << 40)

/* ISS of a trapped MSR or MRS without Rt and direction: op0, op1, CRn, CRm, op2. */
#define ISS_REGISTER(op0, op1, crn, crm, op2)                                                      \
    ((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define ISS_REGISTER_MASK 0x3ffc1eu

#define ICC_DIR    ISS_REGISTER(3u, 0u, 12u, 11u, 1u)
#define ICC_SGI1R  ISS_REGISTER(3u, 0u, 12u, 11u, 5u)
#define ICC_ASGI1R ISS_REGISTER(3u, 0u, 12u, 11u, 6u)
#define ICC_SGI0R  ISS_REGISTER(3u, 0u, 12u, 11u, 7u)
#define ICC_SRE    ISS_REGISTER(3u, 0u, 12u, 12u, 5u)

#define ICC_SRE_VALUE 7u /* system registers, no bypass */

static bool is_target(const struct vcpu *sender, const struct vcpu *v, uint64_t value)
{
    if (value & SGI_TO_OTHERS) {
        return v != sender;
    }
    uint32_t aff0 = v->vmpidr & 0xff;
    /* Aff1 is at bits 23:16, Aff2 at 39:32, Aff3 at 55:48. */
    return (v->vmpidr >> 8 & 0xff) == (value >> 16 & 0xff) &&
           (v->vmpidr >> 16 & 0xff) == (value >> 32 & 0xff) &&
           (v->vmpidr >> 32 & 0xff) == (value >> 48 & 0xff) && aff0 / 16 == SGI_RANGE(value) &&
           (SGI_TARGETS(value) >> (aff0 % 16) & 1);
}

void vgic_send_sgi(struct vcpu *v, uint64_t value, bool group1)
{
    struct domain *d = v->domain;
    vgic_kicks_t kicks = 0;

    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *target = d->vcpus[i];
        if (!target || !is_target(v, target, value)) {
            continue;
        }
        struct virq *irq = &target->vgic.private_irqs[SGI_INTID(value)];
        virq_lock(irq);
        /* With one security state, the register of group 1 may send to both, the others to group 0.
         */
        if (group1 || !irq->group1) {
            irq->pending_latch = true;
            virq_changed(d, irq, &kicks);
        }
        virq_unlock(irq);
    }
    vgic_kick(d, kicks);
}

/* ICC_DIR while active interrupts wait outside the list registers, or of one taken elsewhere. */
static void deactivate(struct vcpu *v, uint32_t intid)
{
    struct domain *d = v->domain;
    struct virq *irq = intid < 16 + VGIC_PRIVATE + VGIC_SPIS_MAX ? vgic_get(d, v, intid) : NULL;
    vgic_kicks_t kicks = 0;

    vgic_sync_current(v);
    if (!irq || !(v->vgic.loaded && vgic_hw_read_vmcr() & VGIC_VMCR_EOIM)) {
        return;
    }
    if (intid >= VGIC_PRIVATE) {
        spin_lock(&d->vgic.lock);
    }
    virq_lock(irq);
    if (irq->lr >= 0) {
        irq->lr_override |= VIRQ_LR_CLEAR_ACTIVE;
    }
    virq_deactivate(irq);
    virq_changed(d, irq, &kicks);
    virq_unlock(irq);
    if (intid >= VGIC_PRIVATE) {
        spin_unlock(&d->vgic.lock);
    }
    vgic_kick(d, kicks);
}

bool vgic_trap_sysreg(struct vcpu *v, uint32_t iss, uint64_t *value, bool write)
{
    switch (iss & ISS_REGISTER_MASK) {
    case ICC_SRE:
        if (!write) {
            *value = ICC_SRE_VALUE;
        }
        return true;
    case ICC_SGI1R:
    case ICC_ASGI1R:
    case ICC_SGI0R:
        if (write) {
            vgic_send_sgi(v, *value, (iss & ISS_REGISTER_MASK) == ICC_SGI1R);
        }
        return write;
    case ICC_DIR:
        if (write) {
            deactivate(v, (uint32_t)*value & 0xffffff);
        }
        return write;
    }
    return false;
}
