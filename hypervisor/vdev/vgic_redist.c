/* SPDX-License-Identifier: MIT */
/* GICR: per vCPU one frame of control (no LPIs) and one of SGIs and PPIs. */
#include "vgic_internal.h"

#include <stddef.h>

#define GICR_CTLR           0x00000u
#define GICR_IIDR           0x00004u
#define GICR_TYPER          0x00008u
#define GICR_TYPER_HIGH     0x0000cu
#define GICR_WAKER          0x00014u
#define GICR_SGI_BASE       0x10000u
#define GICR_IGROUPR0       0x10080u
#define GICR_BANKS_END      0x10400u
#define GICR_IPRIORITYR     0x10400u
#define GICR_IPRIORITYR_END 0x10420u
#define GICR_ICFGR          0x10c00u
#define GICR_ICFGR_END      0x10c08u

#define WAKER_PROCESSOR_SLEEP (1u << 1)
#define WAKER_CHILDREN_ASLEEP (1u << 2)

static uint64_t typer(const struct vcpu *v)
{
    uint64_t affinity = (v->vmpidr & 0xffffff) | (v->vmpidr >> 8 & 0xff000000);
    bool last = v->id + 1 == v->domain->max_vcpus;
    return affinity << 32 | (uint64_t)v->id << 8 | (last ? 1u << 4 : 0);
}

static bool is_bank(uint32_t offset, enum vgic_bank *ret_bank)
{
    *ret_bank = (enum vgic_bank)((offset - GICR_IGROUPR0) / 0x80);
    return offset >= GICR_IGROUPR0 && offset < GICR_BANKS_END && (offset & 0x7f) == 0;
}

static uint32_t read32(struct vcpu *v, uint32_t offset)
{
    enum vgic_bank bank;

    if (is_bank(offset, &bank)) {
        return vgic_bank_read(v->domain, v, bank, 0);
    }
    if (offset >= GICR_ICFGR && offset < GICR_ICFGR_END) {
        return vgic_config_read(v->domain, v, (offset - GICR_ICFGR) * 4);
    }
    switch (offset) {
    case GICR_IIDR:
        return VGIC_IIDR;
    case GICR_TYPER:
        return (uint32_t)typer(v);
    case GICR_TYPER_HIGH:
        return (uint32_t)(typer(v) >> 32);
    case GICR_WAKER:
        return v->vgic.gicr_waker;
    }
    return vgic_id_register(offset); /* GICR_CTLR and the rest: 0 */
}

static void write32(struct vcpu *v, uint32_t offset, uint32_t value)
{
    enum vgic_bank bank;

    if (is_bank(offset, &bank)) {
        vgic_bank_write(v->domain, v, bank, 0, value);
    } else if (offset >= GICR_ICFGR && offset < GICR_ICFGR_END) {
        vgic_config_write(v->domain, v, (offset - GICR_ICFGR) * 4, value);
    } else if (offset == GICR_WAKER) {
        /* Falls asleep and wakes at once: it keeps nothing back. */
        bool sleep = value & WAKER_PROCESSOR_SLEEP;
        v->vgic.gicr_waker = sleep ? WAKER_PROCESSOR_SLEEP | WAKER_CHILDREN_ASLEEP : 0;
    }
}

bool vgic_redist_access(struct vcpu *current, void *context, struct mmio_access *access)
{
    struct domain *d = context;
    uint64_t id = access->offset / VGIC_REDIST_BYTES;
    uint32_t offset = (uint32_t)(access->offset % VGIC_REDIST_BYTES);
    struct vcpu *v = id < d->max_vcpus ? d->vcpus[id] : NULL;

    if (!v || (offset & (access->bytes - 1u))) {
        return false;
    }
    vgic_sync_current(current);
    if (offset >= GICR_IPRIORITYR && offset < GICR_IPRIORITYR_END && access->bytes <= 4) {
        return vgic_priority_access(d, v, offset - GICR_IPRIORITYR, access);
    }
    if (access->bytes == 8 && offset < GICR_SGI_BASE) {
        /* 64-bit registers: TYPER, and those of LPIs, which are not there. */
        access->value = access->write || offset != GICR_TYPER ? 0 : typer(v);
        return true;
    }
    if (access->bytes != 4) {
        return false;
    }
    if (access->write) {
        write32(v, offset, (uint32_t)access->value);
    } else {
        access->value = read32(v, offset);
    }
    return true;
}
