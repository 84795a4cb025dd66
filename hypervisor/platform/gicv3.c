/* SPDX-License-Identifier: MIT */
/*
 * GICv3 of the host, affinity routing on. EOImode 1: ICC_EOIR1 drops the priority, ICC_DIR (or the
 * EOI of a guest through a hardware-linked list register) deactivates.
 */
#include "gicv3.h"

#include "host_fdt.h"
#include "irq_table.h"

#include <barrier.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/el2_map.h>
#include <hv/irq.h>
#include <hv/spinlock.h>
#include <sysreg.h>

static struct gic_info info;
static volatile uint8_t *dist;
static volatile uint8_t *redists[HOST_REDISTS_MAX];
/* Read-modify-write of shared distributor registers (configuration, two bits a line). A leaf. */
static struct spinlock dist_lock = SPINLOCK_INIT;

static uint32_t read32(const volatile uint8_t *base, unsigned offset)
{
    return *(const volatile uint32_t *)(const volatile void *)(base + offset);
}

static void write32(volatile uint8_t *base, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(base + offset) = value;
}

static uint64_t read64(const volatile uint8_t *base, unsigned offset)
{
    return *(const volatile uint64_t *)(const volatile void *)(base + offset);
}

static void write64(volatile uint8_t *base, unsigned offset, uint64_t value)
{
    *(volatile uint64_t *)(volatile void *)(base + offset) = value;
}

/* Private interrupts are in this CPU's redistributor, at the distributor's offsets. */
static volatile uint8_t *registers_of(uint32_t intid)
{
    if (intid < 32) {
        return (volatile uint8_t *)this_cpu()->gicr_base_va + GICR_SGI_FRAME;
    }
    return dist;
}

static void wait_for_writes(uint32_t intid)
{
    if (intid < 32) {
        while ((read32((volatile uint8_t *)this_cpu()->gicr_base_va, GICR_CTLR) & GICR_CTLR_RWP) !=
               0) {
        }
    } else {
        while ((read32(dist, GICD_CTLR) & GICD_CTLR_RWP) != 0) {
        }
    }
}

const struct gic_info *gic_info(void)
{
    return &info;
}

void irq_enable(uint32_t intid)
{
    write32(registers_of(intid), GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

void irq_disable(uint32_t intid)
{
    write32(registers_of(intid), GICD_ICENABLER + intid / 32 * 4, 1u << intid % 32);
    wait_for_writes(intid);
}

void irq_set_priority(uint32_t intid, uint8_t priority)
{
    registers_of(intid)[GICD_IPRIORITYR + intid] = priority;
}

void irq_set_edge(uint32_t intid, bool edge)
{
    volatile uint8_t *base = registers_of(intid);
    unsigned offset = GICD_ICFGR + intid / 16 * 4;
    uint32_t bit = 2u << intid % 16 * 2;
    uint32_t value;

    spin_lock(&dist_lock);
    value = read32(base, offset);
    write32(base, offset, edge ? value | bit : value & ~bit);
    spin_unlock(&dist_lock);
}

void irq_set_target(uint32_t intid, unsigned cpu)
{
    if (intid >= 32) {
        write64(dist, GICD_IROUTER + intid * 8, cpus[cpu].mpidr);
    }
}

void irq_set_active(uint32_t intid, bool active)
{
    unsigned offset = active ? GICD_ISACTIVER : GICD_ICACTIVER;

    write32(registers_of(intid), offset + intid / 32 * 4, 1u << intid % 32);
}

bool irq_is_pending(uint32_t intid)
{
    return (read32(registers_of(intid), GICD_ISPENDR + intid / 32 * 4) & 1u << intid % 32) != 0;
}

void irq_deactivate(uint32_t intid)
{
    WRITE_SYSREG(intid, SYSREG_ICC_DIR_EL1);
    isb();
}

void irq_send_sgi(uint32_t sgi, unsigned cpu)
{
    uint64_t mpidr = cpus[cpu].mpidr;
    uint64_t aff0 = mpidr & 0xff;

    /* Before the target looks at what we wrote for it: the stores, then the interrupt. */
    dsb(ishst);
    WRITE_SYSREG((mpidr >> 32 & 0xff) << 48 | aff0 / 16 << 44 | (mpidr >> 16 & 0xff) << 32 |
                     (uint64_t)sgi << 24 | (mpidr >> 8 & 0xff) << 16 | UINT64_C(1) << aff0 % 16,
                 SYSREG_ICC_SGI1R_EL1);
    isb();
}

void irq_dispatch(void)
{
    for (;;) {
        uint32_t intid = (uint32_t)READ_SYSREG(SYSREG_ICC_IAR1_EL1) & 0xffffff;

        if (intid >= IRQ_COUNT) {
            return;
        }
        /* The acknowledge before loads from devices and memory in the handler. */
        dsb(sy);
        WRITE_SYSREG(intid, SYSREG_ICC_EOIR1_EL1);
        isb();
        if (irq_handle(intid) == IRQ_DONE) {
            irq_deactivate(intid);
        }
    }
}

static void init_distributor(void)
{
    uint32_t lines = 32 * ((read32(dist, GICD_TYPER) & 0x1f) + 1);

    info.spi_count = (lines < IRQ_COUNT ? lines : IRQ_COUNT) - 32;
    write32(dist, GICD_CTLR, 0);
    wait_for_writes(32);
    for (unsigned i = 32; i < info.spi_count + 32; i += 32) {
        write32(dist, GICD_ICENABLER + i / 8, ~0u);
        write32(dist, GICD_ICPENDR + i / 8, ~0u);
        write32(dist, GICD_ICACTIVER + i / 8, ~0u);
        write32(dist, GICD_IGROUPR + i / 8, ~0u);
    }
    wait_for_writes(32);
    for (unsigned i = 32; i < info.spi_count + 32; i++) {
        dist[GICD_IPRIORITYR + i] = GIC_PRIORITY_DEFAULT;
    }
    write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_GROUP1A | GICD_CTLR_GROUP1);
    wait_for_writes(32);
    for (unsigned i = 32; i < info.spi_count + 32; i++) {
        write64(dist, GICD_IROUTER + i * 8, cpus[0].mpidr);
    }
}

/* The redistributor whose affinity is this CPU's; the regions list them one after the other. */
static volatile uint8_t *find_redistributor(uint64_t mpidr)
{
    uint64_t affinity = (mpidr >> 8 & 0xff000000) | (mpidr & 0xffffff);

    for (unsigned i = 0; i < host_platform.gic_redist_count; i++) {
        uint64_t bytes = host_platform.gic_redists[i].bytes;

        for (uint64_t offset = 0; offset + GICR_BYTES <= bytes;) {
            volatile uint8_t *redist = redists[i] + offset;
            uint64_t typer = read64(redist, GICR_TYPER);
            uint64_t stride = host_platform.gic_redist_stride;

            if (typer >> 32 == affinity) {
                return redist;
            }
            if ((typer & GICR_TYPER_LAST) != 0) {
                break;
            }
            if (stride == 0) {
                stride = (typer & GICR_TYPER_VLPIS) != 0 ? 2 * GICR_BYTES : GICR_BYTES;
            }
            offset += stride;
        }
    }
    return NULL;
}

static void init_redistributor(volatile uint8_t *redist)
{
    volatile uint8_t *sgi = redist + GICR_SGI_FRAME;

    write32(redist, GICR_WAKER, read32(redist, GICR_WAKER) & ~GICR_WAKER_SLEEP);
    while ((read32(redist, GICR_WAKER) & GICR_WAKER_ASLEEP) != 0) {
    }
    write32(sgi, GICD_ICENABLER, ~0u);
    write32(sgi, GICD_ICPENDR, ~0u);
    write32(sgi, GICD_ICACTIVER, ~0u);
    write32(sgi, GICD_IGROUPR, ~0u);
    while ((read32(redist, GICR_CTLR) & GICR_CTLR_RWP) != 0) {
    }
    for (unsigned i = 0; i < 32; i++) {
        sgi[GICD_IPRIORITYR + i] = GIC_PRIORITY_DEFAULT;
    }
}

void gic_init_cpu(void)
{
    volatile uint8_t *redist = find_redistributor(this_cpu()->mpidr);

    if (redist == NULL) {
        panic("cpu %u (mpidr %lx) has no GIC redistributor", this_cpu()->id, this_cpu()->mpidr);
    }
    this_cpu()->gicr_base_va = (uintptr_t)redist;
    init_redistributor(redist);
    WRITE_SYSREG(ICC_SRE_ALL, SYSREG_ICC_SRE_EL2);
    isb();
    WRITE_SYSREG(ICC_SRE_EL1_ALL, SYSREG_ICC_SRE_EL1);
    isb();
    WRITE_SYSREG(0xff, SYSREG_ICC_PMR_EL1);
    WRITE_SYSREG(0, SYSREG_ICC_BPR1_EL1);
    WRITE_SYSREG(ICC_CTLR_EOIMODE, SYSREG_ICC_CTLR_EL1);
    WRITE_SYSREG(1, SYSREG_ICC_IGRPEN1_EL1);
    isb();
    irq_enable(IRQ_SGI_KICK);
    irq_enable(IRQ_SGI_STOP);
}

void gic_init(void)
{
    const struct host_platform *p = &host_platform;

    dist = el2_map_device(p->gic_dist.start, p->gic_dist.bytes);
    for (unsigned i = 0; i < p->gic_redist_count; i++) {
        redists[i] = el2_map_device(p->gic_redists[i].start, p->gic_redists[i].bytes);
    }
    info.dist_pa = p->gic_dist.start;
    info.dist_bytes = p->gic_dist.bytes;
    info.redist_pa = p->gic_redists[0].start;
    info.redist_bytes = p->gic_redists[0].bytes;
    info.maintenance_intid = p->gic_maintenance_intid;
    info.lr_count = (uint32_t)(READ_SYSREG(SYSREG_ICH_VTR_EL2) & 0x1f) + 1;
    init_distributor();
    gic_init_cpu();
}
