/* SPDX-License-Identifier: MIT */
/*
 * GICD: one security state, affinity routing always on, no LPIs. Registers of private interrupts
 * and those of the time before affinity routing read as zero and ignore writes.
 */
#include "vgic_internal.h"

#include <hv/cpu.h>
#include <hv/irq.h>
#include <stddef.h>

#define GICD_CTLR        0x0000u
#define GICD_TYPER       0x0004u
#define GICD_IIDR        0x0008u
#define GICD_IGROUPR     0x0080u
#define GICD_IPRIORITYR  0x0400u
#define GICD_ITARGETSR   0x0800u
#define GICD_ICFGR       0x0c00u
#define GICD_IGRPMODR    0x0d00u
#define GICD_IROUTER     0x6000u /* + 8 * INTID */
#define GICD_IROUTER_END 0x8000u

#define CTLR_ARE (1u << 4)
#define CTLR_DS  (1u << 6)

#define TYPER_ID_BITS (9u << 19) /* 10 bits */
#define TYPER_NO_1N   (1u << 25)
#define TYPER_RSS     (1u << 26)

uint32_t vgic_id_register(uint32_t offset)
{
    /* CIDR0..3 end the page; PIDR2 says architecture 3, the others are those of Arm's GICs. */
    switch (offset) {
    case 0xffd0:
        return 0x44; /* PIDR4 */
    case 0xffe0:
        return 0x92;
    case 0xffe4:
        return 0xb4;
    case 0xffe8:
        return 0x3b;
    case 0xfff0:
        return 0x0d;
    case 0xfff4:
        return 0xf0;
    case 0xfff8:
        return 0x05;
    case 0xfffc:
        return 0xb1;
    }
    return 0;
}

/* INTID of the lowest field of a register in a bank of 1-bit fields, and the bank. */
static uint32_t bank_of(uint32_t offset, enum vgic_bank *ret_bank)
{
    *ret_bank = (enum vgic_bank)((offset - GICD_IGROUPR) / 0x80);
    return (offset & 0x7fu) / 4 * 32;
}

static void write_ctlr(struct domain *d, uint32_t value)
{
    vgic_kicks_t kicks = 0;

    spin_lock(&d->vgic.lock);
    /* Relaxed: each vCPU's lock below orders it before that vCPU's next fill. */
    atomic_store_explicit(&d->vgic.ctlr, value & GICD_CTLR_ENABLES, memory_order_relaxed);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];
        if (v) {
            spin_lock(&v->vgic.lock);
            atomic_store_explicit(&v->vgic.dirty, true, memory_order_relaxed);
            spin_unlock(&v->vgic.lock);
            kicks |= UINT64_C(1) << i;
        }
    }
    spin_unlock(&d->vgic.lock);
    vgic_kick(d, kicks);
}

static uint64_t route_read(struct domain *d, uint32_t intid)
{
    struct virq *irq = intid < VGIC_PRIVATE ? NULL : vgic_get(d, NULL, intid);
    if (!irq) {
        return 0;
    }
    spin_lock(&d->vgic.lock);
    uint64_t irouter = irq->irouter;
    spin_unlock(&d->vgic.lock);
    return irouter;
}

static void route_physical(const struct virq *irq)
{
    if (irq->hw_intid && irq->target) {
        int cpu = atomic_load_explicit(&irq->target->cpu, memory_order_relaxed); /* a hint */
        cpu = cpu >= 0 ? cpu : irq->target->last_cpu;
        irq_set_target(irq->hw_intid, cpu >= 0 ? (unsigned)cpu : 0);
    }
}

static void route_write(struct domain *d, uint32_t intid, uint64_t irouter)
{
    struct virq *irq = intid < VGIC_PRIVATE ? NULL : vgic_get(d, NULL, intid);
    vgic_kicks_t kicks = 0;
    if (!irq) {
        return;
    }
    spin_lock(&d->vgic.lock);
    virq_lock(irq);
    irq->irouter = irouter & VGIC_AFFINITY_MASK;
    irq->target = vgic_vcpu_by_affinity(d, irq->irouter);
    if (irq->listed && irq->owner != irq->target && irq->lr < 0 && !irq->active) {
        virq_unlist(irq);
    }
    virq_unlock(irq);
    /*
     * Off the old list it has its new owner from here on. One that is active or in a list register
     * stays until its end or the old owner's next flush.
     */
    virq_lock(irq);
    virq_changed(d, irq, &kicks);
    virq_unlock(irq);
    route_physical(irq);
    spin_unlock(&d->vgic.lock);
    vgic_kick(d, kicks);
}

static uint32_t read32(struct domain *d, uint32_t offset)
{
    enum vgic_bank bank;

    switch (offset) {
    case GICD_CTLR:
        return atomic_load_explicit(&d->vgic.ctlr, memory_order_relaxed) | CTLR_ARE | CTLR_DS;
    case GICD_TYPER:
        return d->vgic.spi_count / 32 | TYPER_ID_BITS | TYPER_NO_1N | TYPER_RSS;
    case GICD_IIDR:
        return VGIC_IIDR;
    }
    if (offset >= GICD_IGROUPR && offset < GICD_IPRIORITYR) {
        uint32_t first = bank_of(offset, &bank);
        return first ? vgic_bank_read(d, NULL, bank, first) : 0;
    }
    if (offset >= GICD_ICFGR + 8 && offset < GICD_IGRPMODR) {
        return vgic_config_read(d, NULL, (offset - GICD_ICFGR) * 4);
    }
    return vgic_id_register(offset);
}

static void write32(struct domain *d, uint32_t offset, uint32_t value)
{
    enum vgic_bank bank;

    if (offset == GICD_CTLR) {
        write_ctlr(d, value);
    } else if (offset >= GICD_IGROUPR && offset < GICD_IPRIORITYR) {
        uint32_t first = bank_of(offset, &bank);
        if (first) {
            vgic_bank_write(d, NULL, bank, first, value);
        }
    } else if (offset >= GICD_ICFGR + 8 && offset < GICD_IGRPMODR) {
        vgic_config_write(d, NULL, (offset - GICD_ICFGR) * 4, value);
    }
}

static bool access_route(struct domain *d, struct mmio_access *access)
{
    uint32_t intid = (uint32_t)(access->offset - GICD_IROUTER) / 8;
    unsigned shift = access->offset & 4 ? 32 : 0;

    if (access->bytes == 8) {
        if (access->write) {
            route_write(d, intid, access->value);
        } else {
            access->value = route_read(d, intid);
        }
        return true;
    }
    uint64_t old = route_read(d, intid);
    if (access->write) {
        uint64_t keep = old & ~(UINT64_C(0xffffffff) << shift);
        route_write(d, intid, keep | (uint64_t)(uint32_t)access->value << shift);
    } else {
        access->value = (uint32_t)(old >> shift);
    }
    return true;
}

bool vgic_priority_access(struct domain *d, struct vcpu *v, uint32_t first,
                          struct mmio_access *access)
{
    if (access->write) {
        vgic_priority_write(d, v, first, access->bytes, (uint32_t)access->value);
    } else {
        access->value = vgic_priority_read(d, v, first, access->bytes);
    }
    return true;
}

bool vgic_dist_access(struct vcpu *v, void *context, struct mmio_access *access)
{
    struct domain *d = context;
    uint32_t offset = (uint32_t)access->offset;

    if (offset & (access->bytes - 1u)) {
        return false;
    }
    vgic_sync_current(v);
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END && access->bytes >= 4) {
        return access_route(d, access);
    }
    if (offset >= GICD_IPRIORITYR && offset < GICD_ITARGETSR && access->bytes <= 4) {
        uint32_t first = offset - GICD_IPRIORITYR;
        if (first < VGIC_PRIVATE) {
            access->value = 0;
            return true;
        }
        return vgic_priority_access(d, NULL, first, access);
    }
    if (offset >= GICD_ITARGETSR && offset < GICD_ICFGR && access->bytes == 1) {
        access->value = 0;
        return true;
    }
    if (access->bytes != 4) {
        return false;
    }
    if (access->write) {
        write32(d, offset, (uint32_t)access->value);
    } else {
        access->value = read32(d, offset);
    }
    return true;
}
