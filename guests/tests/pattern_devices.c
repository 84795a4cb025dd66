/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <godwit/guest_map.h>
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/report.h>
#include <guest/sysreg.h>
#include <guest/timer.h>
#include <xen/xen.h>

#define GICR_SGI (GUEST_GICV3_GICR0_BASE + 0x10000)
#define SPI_BANK (GUEST_GICV3_GICD_BASE + 4) /* word 1 of each register: INTID 32 to 63 */

#define IGROUPR    0x080
#define ISENABLER  0x100
#define ISPENDR    0x200
#define ISACTIVER  0x300
#define IPRIORITYR 0x400
#define ICFGR      0xc00

#define ACTIVE_SGI 9u
#define ACTIVE_SPI 40u /* below the SGI, and pending again */
#define RECEIVED   'p'

struct word {
    uint64_t address;
    uint32_t value;
};

/*
 * Written in this order. Private interrupts: more of them pending than there are list registers,
 * some in group 0, some pending but not enabled. Priority 0x18 is that of the active one.
 */
static const struct word fills[] = {
    {GICR_SGI + IGROUPR, 0xffffff5f},
    {GICR_SGI + ISENABLER, 0x0800ffdf},
    {GICR_SGI + IPRIORITYR + 0, 0x48405850},
    {GICR_SGI + IPRIORITYR + 4, 0x68607870},
    {GICR_SGI + IPRIORITYR + 8, 0x88801890},
    {GICR_SGI + IPRIORITYR + 12, 0xa8a0b8b0},
    {GICR_SGI + IPRIORITYR + 24, 0x30282038},
    {GICR_SGI + ISPENDR, 0x0000fc7f},
    {SPI_BANK + IGROUPR, 0xfffff7ff},
    {SPI_BANK + ISENABLER, 0x0000113e},
    {SPI_BANK - 4 + IPRIORITYR + 32, 0x70a0c0c8},
    {SPI_BANK - 4 + IPRIORITYR + 36, 0x90d0d8e0},
    {SPI_BANK - 4 + IPRIORITYR + 40, 0xf0f0f020},
    {SPI_BANK - 4 + IPRIORITYR + 44, 0xb850c8e0},
    {SPI_BANK + 4 + ICFGR, 0x00000888},
    {SPI_BANK + ISPENDR, 0x00000036},
    {GUEST_PL011_BASE + 0x24, 0x1234}, /* IBRD */
    {GUEST_PL011_BASE + 0x28, 0x2a},   /* FBRD */
    {GUEST_PL011_BASE + 0x34, 0x12},   /* IFLS */
    {GUEST_PL011_BASE + 0x2c, 0x70},   /* LCRH */
    {GUEST_PL011_BASE + 0x20, 0x33},   /* ILPR */
    {GUEST_PL011_BASE + 0x48, 0x05},   /* DMACR */
    {GODWIT_PL061_BASE + 0x400, 0x55}, /* DIR */
    {GODWIT_PL061_BASE + 0x154, 0x41}, /* DATA of lines 0, 2, 4, 6 */
    {GODWIT_PL061_BASE + 0x404, 0x0a}, /* IS */
    {GODWIT_PL061_BASE + 0x408, 0x20}, /* IBE */
    {GODWIT_PL061_BASE + 0x40c, 0x88}, /* IEV */
    {GODWIT_PL061_BASE + 0x410, 0x02}, /* IE */
    {GODWIT_PL061_BASE + 0x420, 0x81}, /* AFSEL */
};

#define FILLS (sizeof(fills) / sizeof(fills[0]))

/* Read before and after: what was written, and what follows from it. */
static const uint64_t reads[] = {
    GUEST_GICV3_GICD_BASE,     GICR_SGI + ISACTIVER, SPI_BANK + ISACTIVER,
    GICR_SGI + ICFGR,          GICR_SGI + ICFGR + 4, GUEST_GICV3_GICR0_BASE + 0x14, /* WAKER */
    GUEST_PL011_BASE + 0x18,                                                        /* FR */
    GUEST_PL011_BASE + 0x30,                                                        /* CR */
    GUEST_PL011_BASE + 0x38,                                                        /* IMSC */
    GUEST_PL011_BASE + 0x3c,                                                        /* RIS */
    GODWIT_PL061_BASE + 0x414,                                                      /* RIS */
};

#define READS (sizeof(reads) / sizeof(reads[0]))

static uint32_t expected[FILLS + READS];
static uint64_t route_expected;

static uint64_t address_of(unsigned i)
{
    return i < FILLS ? fills[i].address : reads[i - FILLS];
}

static volatile uint64_t *route_of(uint32_t intid)
{
    return (volatile uint64_t *)(GUEST_GICV3_GICD_BASE + 0x6000 + intid * 8ul);
}

static void cpu_interface_fill(void)
{
    write_sysreg(S3_0_C12_C12_3, 5); /* ICC_BPR1_EL1 */
    write_sysreg(S3_0_C12_C8_3, 5);  /* ICC_BPR0_EL1 */
    write_sysreg(S3_0_C12_C12_4, 2); /* ICC_CTLR_EL1: the end of an interrupt takes two steps */
    isb();
}

/* A byte that waits to be read: the UART hears itself. */
static void receive_fill(void)
{
    uint32_t control = mmio_read32(GUEST_PL011_BASE + 0x30);

    mmio_write32(GUEST_PL011_BASE + 0x30, control | 0x381);
    mmio_write32(GUEST_PL011_BASE, RECEIVED);
    mmio_write32(GUEST_PL011_BASE + 0x30, control);
}

/* One is active and pending again, and a more urgent one is active above it. */
static void active_fill(void)
{
    gic_set_pending(ACTIVE_SPI);
    report(gic_acknowledge() == ACTIVE_SPI, "an SPI is taken");
    gic_set_pending(ACTIVE_SPI);
    gic_set_pending(ACTIVE_SGI);
    cpu_interface_fill();
    report(gic_acknowledge() == ACTIVE_SGI, "the most urgent interrupt is taken");
}

void pattern_devices_fill(void)
{
    for (unsigned i = 0; i < FILLS; i++) {
        mmio_write32(fills[i].address, fills[i].value);
    }
    *route_of(37) = 1; /* to another vCPU */
    route_expected = *route_of(37);
    active_fill();
    receive_fill();
    gic_set_priority_mask(0xe8);
    for (unsigned i = 0; i < FILLS + READS; i++) {
        expected[i] = mmio_read32(address_of(i));
    }
}

void pattern_devices_check(void)
{
    unsigned differ = 0;

    for (unsigned i = 0; i < FILLS + READS; i++) {
        uint32_t value = mmio_read32(address_of(i));

        if (value != expected[i]) {
            differ++;
            report(false, "the word at %lx is %x, was %x", address_of(i), value, expected[i]);
        }
    }
    differ += *route_of(37) != route_expected;
    report(mmio_read32(GUEST_PL011_BASE) == RECEIVED, "what was received and not read");
    report(differ == 0, "of %lu device registers %u differ", FILLS + READS + 1, differ);
}

static uint8_t taken[64], taken_priority, wrong_order;

static uint8_t priority_of(uint32_t intid)
{
    return *(volatile uint8_t *)((intid < 32 ? GICR_SGI : GUEST_GICV3_GICD_BASE) + IPRIORITYR +
                                 intid);
}

static void on_interrupt(uint32_t intid)
{
    if (intid == TIMER_VIRT_INTID) {
        timer_stop_virt();
    } else if (intid == GODWIT_PL061_SPI) {
        mmio_write32(GODWIT_PL061_BASE + 0x410, 0);
    }
    taken[intid % 64]++;
    wrong_order |= priority_of(intid) < taken_priority;
    taken_priority = priority_of(intid);
}

/* Enabled, in group 1, pending, for this vCPU. */
static uint64_t deliverable(void)
{
    uint32_t own = mmio_read32(GICR_SGI + ISPENDR) & mmio_read32(GICR_SGI + ISENABLER) &
                   mmio_read32(GICR_SGI + IGROUPR);
    uint32_t shared = mmio_read32(SPI_BANK + ISPENDR) & mmio_read32(SPI_BANK + ISENABLER) &
                      mmio_read32(SPI_BANK + IGROUPR);

    shared &= *route_of(37) == 0 ? ~0u : ~(1u << (37 - 32));
    return own | (uint64_t)shared << 32;
}

static void end_in_two_steps(uint32_t intid)
{
    write_sysreg(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1: its priority drops */
    isb();
    report(gic_is_active(intid), "the end of %u takes two steps, as was chosen", intid);
    write_sysreg(S3_0_C12_C11_1, intid); /* ICC_DIR_EL1 */
    isb();
    report(!gic_is_active(intid), "and both were done");
}

void pattern_devices_take(void)
{
    uint64_t wanted = deliverable(), came = 0, twice = 0;

    irq_set_guest_handler(on_interrupt);
    gic_set_priority_mask(0xff);
    irq_enable_all();
    timer_delay_ms(1);
    irq_disable_all();
    report((taken[ACTIVE_SGI] | taken[0]) == 0, "nothing comes below the active interrupt");
    end_in_two_steps(ACTIVE_SGI);
    irq_enable_all();
    timer_delay_ms(1);
    irq_disable_all();
    report((taken[ACTIVE_SPI] | taken[0]) == 0, "nor below the one that it interrupted");
    end_in_two_steps(ACTIVE_SPI);
    write_sysreg(S3_0_C12_C12_4, 0); /* ICC_CTLR_EL1 */
    isb();
    irq_enable_all();
    timer_delay_ms(2);
    irq_disable_all();
    for (unsigned i = 0; i < 64; i++) {
        came |= (uint64_t)(taken[i] > 0) << i;
        twice |= (uint64_t)(taken[i] > 1) << i;
    }
    report(came == wanted && twice == 0 && !wrong_order,
           "interrupts %lx of %lx came, %lx twice, %s order", came, wanted, twice,
           wrong_order ? "in a wrong" : "in the right");
}
