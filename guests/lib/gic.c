/* SPDX-License-Identifier: MIT */
#include <guest/gic.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <xen/xen.h>

#define GICD             gicd_base
#define GICR(cpu)        (gicr_base + (uint64_t)(cpu)*0x20000)
#define GICR_SGI(cpu)    (GICR(cpu) + 0x10000)
#define GICD_CTLR        0x0000
#define GICR_WAKER       0x0014
#define REG_IGROUPR      0x0080
#define REG_ISENABLER    0x0100
#define REG_ICENABLER    0x0180
#define REG_ISPENDR      0x0200
#define REG_ISACTIVER    0x0300
#define REG_IPRIORITYR   0x0400
#define REG_ICFGR        0x0c00
#define GICD_IROUTER     0x6000
#define GICD_CTLR_ENABLE 0x12u /* affinity routing, group 1 */

static uint64_t gicd_base = GUEST_GICV3_GICD_BASE, gicr_base = GUEST_GICV3_GICR0_BASE;

void gic_set_bases(uint64_t gicd, uint64_t gicr)
{
    gicd_base = gicd;
    gicr_base = gicr;
}

/* Private interrupts live in the redistributor of this CPU, shared ones in the distributor. */
static uint64_t bank(uint32_t intid)
{
    return intid < 32 ? GICR_SGI(smp_cpu_index()) : GICD;
}

static uint64_t bit_register(uint32_t intid, uint32_t reg)
{
    return bank(intid) + reg + (intid / 32) * 4;
}

void gic_init(void)
{
    mmio_write32(GICD + GICD_CTLR, GICD_CTLR_ENABLE);
    gic_init_cpu();
}

void gic_init_cpu(void)
{
    uint64_t waker = GICR(smp_cpu_index()) + GICR_WAKER;

    mmio_write32(waker, mmio_read32(waker) & ~2u);
    while (mmio_read32(waker) & 4u) {
    }
    mmio_write32(GICR_SGI(smp_cpu_index()) + REG_IGROUPR, 0xffffffff);
    write_sysreg(S3_0_C12_C12_5, 1); /* ICC_SRE_EL1 */
    isb();
    write_sysreg(S3_0_C4_C6_0, 0xff); /* ICC_PMR_EL1 */
    write_sysreg(S3_0_C12_C12_7, 1);  /* ICC_IGRPEN1_EL1 */
    isb();
}

void gic_enable(uint32_t intid, uint8_t priority)
{
    uint64_t group = bit_register(intid, REG_IGROUPR);

    mmio_write32(group, mmio_read32(group) | 1u << (intid % 32));
    *(volatile uint8_t *)(bank(intid) + REG_IPRIORITYR + intid) = priority;
    mmio_write32(bit_register(intid, REG_ISENABLER), 1u << (intid % 32));
}

void gic_disable(uint32_t intid)
{
    mmio_write32(bit_register(intid, REG_ICENABLER), 1u << (intid % 32));
}

void gic_set_pending(uint32_t intid)
{
    mmio_write32(bit_register(intid, REG_ISPENDR), 1u << (intid % 32));
}

bool gic_is_active(uint32_t intid)
{
    return mmio_read32(bit_register(intid, REG_ISACTIVER)) >> (intid % 32) & 1;
}

bool gic_is_pending(uint32_t intid)
{
    return mmio_read32(bit_register(intid, REG_ISPENDR)) >> (intid % 32) & 1;
}

void gic_set_edge(uint32_t intid, bool edge)
{
    uint64_t reg = bank(intid) + REG_ICFGR + (intid / 16) * 4;
    uint32_t bit = 2u << (intid % 16 * 2);

    mmio_write32(reg, edge ? mmio_read32(reg) | bit : mmio_read32(reg) & ~bit);
}

void gic_route(uint32_t intid, uint64_t mpidr)
{
    *(volatile uint64_t *)(GICD + GICD_IROUTER + intid * 8ul) = mpidr & 0xff00ffffff;
}

uint32_t gic_acknowledge(void)
{
    uint32_t intid = (uint32_t)read_sysreg(S3_0_C12_C12_0); /* ICC_IAR1_EL1 */

    dsb();
    return intid;
}

void gic_end(uint32_t intid)
{
    write_sysreg(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
    isb();
}

void gic_set_priority_mask(uint8_t mask)
{
    write_sysreg(S3_0_C4_C6_0, mask);
    isb();
}

void gic_send_sgi(uint32_t sgi, uint64_t mpidr)
{
    uint64_t aff0 = mpidr & 0xff;

    dsb();
    write_sysreg(S3_0_C12_C11_5, /* ICC_SGI1R_EL1 */
                 (mpidr >> 16 & 0xff) << 32 | (aff0 / 16) << 44 | (uint64_t)sgi << 24 |
                     (mpidr >> 8 & 0xff) << 16 | 1ul << (aff0 % 16));
    isb();
}
