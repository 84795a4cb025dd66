/* SPDX-License-Identifier: MIT */
/* vGIC: the CPU interface of a vCPU: world switch, maintenance interrupt, would it be signalled. */
#include "vgic_internal.h"

#include <hv/cpu.h>
#include <hv/irq.h>
#include <stddef.h>

static struct vgic_hw_limits limits;

const struct vgic_hw_limits *vgic_hw_limits(void)
{
    return &limits;
}

static enum irq_result maintenance_fired(uint32_t intid, void *context)
{
    struct vcpu *v = vcpu_current();
    if (v) {
        vgic_sync_current(v); /* removes the condition; the flush before entry refills */
    } else {
        vgic_hw_write_hcr(0);
    }
    return IRQ_DONE;
}

void vgic_init_host(void)
{
    vgic_hw_probe(&limits);
    irq_set_handler(gic_info()->maintenance_intid, maintenance_fired, NULL);
}

void vgic_init_host_cpu(void)
{
    vgic_hw_write_hcr(0);
    for (unsigned n = 0; n < limits.lr_count; n++) {
        vgic_hw_write_lr(n, 0);
    }
    irq_enable(gic_info()->maintenance_intid);
}

/* The physical interrupts behind private ones go with the vCPU: they belong to one CPU. */
static void load_linked(struct vcpu *v)
{
    for (uint32_t left = v->vgic.hw_private; left; left &= left - 1) {
        struct virq *irq = &v->vgic.private_irqs[__builtin_ctz(left)];
        irq->hw_active = irq->active;
        irq_set_active(irq->hw_intid, irq->active);
        irq->line = false; /* the CPU's own line counts from here on */
    }
}

static void save_linked(struct vcpu *v)
{
    for (uint32_t left = v->vgic.hw_private; left; left &= left - 1) {
        struct virq *irq = &v->vgic.private_irqs[__builtin_ctz(left)];
        if (irq->hw_active && irq->pending_latch) {
            irq->pending_latch = false;
            irq->line = true;
        }
        irq->hw_active = false;
        irq_set_active(irq->hw_intid, false);
    }
}

void vgic_load(struct vcpu *v)
{
    spin_lock(&v->vgic.lock);
    vgic_hw_write_vmcr(v->vgic.vmcr);
    for (unsigned n = 0; n < limits.apr_count; n++) {
        vgic_hw_write_apr(0, n, v->vgic.ap0r[n]);
        vgic_hw_write_apr(1, n, v->vgic.ap1r[n]);
    }
    vgic_hw_write_hcr(VGIC_HCR_EN);
    load_linked(v);
    v->vgic.loaded = true;
    atomic_store_explicit(&v->vgic.dirty, true, memory_order_relaxed);
    spin_unlock(&v->vgic.lock);
}

static void read_interface(struct vcpu *v)
{
    v->vgic.vmcr = vgic_hw_read_vmcr();
    for (unsigned n = 0; n < limits.apr_count; n++) {
        v->vgic.ap0r[n] = vgic_hw_read_apr(0, n);
        v->vgic.ap1r[n] = vgic_hw_read_apr(1, n);
    }
}

void vgic_save(struct vcpu *v)
{
    spin_lock(&v->vgic.lock);
    vgic_fold(v);
    read_interface(v);
    save_linked(v);
    v->vgic.loaded = false;
    vgic_hw_write_hcr(0);
    bool strays = false;
    for (const struct virq *irq = v->vgic.ap_list; irq; irq = irq->next) {
        strays |= !irq->active && irq->target != v;
    }
    spin_unlock(&v->vgic.lock);
    if (strays) {
        vgic_release_strays(v);
    }
}

/* The priority that runs on the virtual interface: the lowest bit set in the active priorities. */
static unsigned running_priority(const struct vgic_vcpu *vgic)
{
    for (unsigned n = 0; n < limits.apr_count; n++) {
        uint32_t bits = (uint32_t)(vgic->ap0r[n] | vgic->ap1r[n]);
        if (bits) {
            return (n * 32 + (unsigned)__builtin_ctz(bits)) << (8 - limits.preempt_bits);
        }
    }
    return 0x100;
}

static bool would_signal(const struct vgic_vcpu *vgic, const struct virq *irq, unsigned running)
{
    uint64_t vmcr = vgic->vmcr;
    if (!(vmcr & (irq->group1 ? VGIC_VMCR_ENG1 : VGIC_VMCR_ENG0))) {
        return false;
    }
    /* Group priority: the bits above the binary point, which for group 1 is one higher. */
    unsigned point =
        irq->group1 && !(vmcr & VGIC_VMCR_CBPR) ? VGIC_VMCR_BPR1(vmcr) : VGIC_VMCR_BPR0(vmcr) + 1;
    unsigned group_priority = irq->priority & (0xffu << point);
    return irq->priority < VGIC_VMCR_PMR(vmcr) && group_priority < running;
}

bool vgic_has_pending(struct vcpu *v)
{
    bool found = false;

    spin_lock(&v->vgic.lock);
    if (v->vgic.loaded && v == vcpu_current()) {
        vgic_fold(v);
        read_interface(v);
    }
    unsigned running = running_priority(&v->vgic);
    for (const struct virq *irq = v->vgic.ap_list; irq && !found; irq = irq->next) {
        /* A stray wakes its old vCPU too, whose flush passes it on. */
        found = !irq->active && (irq->target != v ? virq_is_pending(irq)
                                                  : virq_is_deliverable(v->domain, irq) &&
                                                        would_signal(&v->vgic, irq, running));
    }
    spin_unlock(&v->vgic.lock);
    return found;
}
