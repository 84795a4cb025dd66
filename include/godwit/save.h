/* SPDX-License-Identifier: MIT */
/*
 * The records that XEN_DOMCTL_gethvmcontext gives and sethvmcontext takes.
 *
 * Framing is Xen's (struct hvm_save_descriptor): type, instance, length of the body, body. Every
 * body is a multiple of 8 bytes. HEADER comes first, END (type 0, length 0) last, the others in any
 * order, each (type, instance) once. Per-vCPU records have the vCPU's number as instance, the
 * others 0. Little endian, no padding that is not named; reserved fields are 0 and checked.
 */
#ifndef GODWIT_SAVE_H
#define GODWIT_SAVE_H

#include <stdint.h>

enum godwit_save_type {
    GODWIT_SAVE_END = 0,
    GODWIT_SAVE_HEADER = 1,
    GODWIT_SAVE_VCPU = 2, /* per vCPU */
    GODWIT_SAVE_CLOCK = 3,
    GODWIT_SAVE_TIMER = 4, /* per vCPU */
    GODWIT_SAVE_GICD = 5,
    GODWIT_SAVE_GICR = 6, /* per vCPU: redistributor, private interrupts, CPU interface */
    GODWIT_SAVE_PL011 = 7,
    GODWIT_SAVE_PL061 = 8,
    GODWIT_SAVE_HIDDEN = 9, /* per vCPU; may be missing: all zero */
    GODWIT_SAVE_TYPES = 10,
};

#define GODWIT_SAVE_MAGIC      0x4556415354574447ULL /* the bytes "GDWTSAVE" */
#define GODWIT_SAVE_VERSION    1u
#define GODWIT_SAVE_VCPUS_MAX  64u
#define GODWIT_SAVE_PRIVATE    32u
#define GODWIT_SAVE_FIFO_BYTES 32u

struct godwit_save_descriptor {
    uint16_t type;
    uint16_t instance;
    uint32_t length; /* of the body, bytes */
};

struct godwit_save_header {
    uint64_t magic;
    uint32_t version;
    uint32_t vcpus;
    uint64_t cntfrq_hz;
    uint64_t id[16]; /* enum godwit_id_register */
};

/* Power states. Only a vCPU that is initialised may be other than OFF. */
enum godwit_save_power {
    GODWIT_SAVE_POWER_OFF = 0,
    GODWIT_SAVE_POWER_ON = 1,
    GODWIT_SAVE_POWER_BLOCKED = 2, /* on, waits for an interrupt in WFI */
};

#define GODWIT_SAVE_VCPU_INITIALISED    (1u << 0)
#define GODWIT_SAVE_VCPU_OS_LOCK        (1u << 1)
#define GODWIT_SAVE_VCPU_SERROR_PENDING (1u << 2)
#define GODWIT_SAVE_VCPU_FLAGS          7u

struct godwit_save_vcpu {
    uint32_t power; /* enum godwit_save_power */
    uint32_t flags; /* GODWIT_SAVE_VCPU_* */
    uint64_t x[31], pc, cpsr;
    uint64_t sp_el0, sp_el1, elr_el1, spsr_el1;
    uint64_t sctlr_el1, cpacr_el1;
    uint64_t ttbr0_el1, ttbr1_el1, tcr_el1, mair_el1, amair_el1;
    uint64_t esr_el1, far_el1, afsr0_el1, afsr1_el1, par_el1;
    uint64_t vbar_el1, contextidr_el1;
    uint64_t tpidr_el0, tpidrro_el0, tpidr_el1;
    uint64_t cntkctl_el1, csselr_el1;
    uint64_t mdscr_el1, mdccint_el1;
    uint64_t bvr[16], bcr[16], wvr[16], wcr[16];
    uint64_t pauth_keys[10]; /* APIA, APIB, APDA, APDB, APGA; low half, high half */
    uint64_t fpsr, fpcr;
    uint64_t v[64]; /* V0..V31; low half, high half */
};

/* Registers of extensions that guests are not told of, but can reach. */
struct godwit_save_hidden {
    uint64_t disr_el1, tpidr2_el0;
};

/* The guest's counter at the save. It goes on from there after the load: downtime does not show. */
struct godwit_save_clock {
    uint64_t virtual_count;
};

struct godwit_save_timer {
    uint64_t cntv_cval, cntp_cval; /* in the guest's time */
    uint32_t cntv_ctl, cntp_ctl;   /* ENABLE and IMASK; ISTATUS is computed, and 0 here */
};

#define GODWIT_SAVE_IRQ_ENABLED (1u << 0)
#define GODWIT_SAVE_IRQ_EDGE    (1u << 1)
#define GODWIT_SAVE_IRQ_GROUP1  (1u << 2)
#define GODWIT_SAVE_IRQ_LINE    (1u << 3) /* level of the input */
#define GODWIT_SAVE_IRQ_LATCH   (1u << 4) /* edge seen, or set pending by the guest */
#define GODWIT_SAVE_IRQ_ACTIVE  (1u << 5)
#define GODWIT_SAVE_IRQ_FLAGS   0x3fu

struct godwit_save_irq {
    uint64_t irouter;     /* SPIs; 0 for private ones */
    uint8_t flags;        /* GODWIT_SAVE_IRQ_* */
    uint8_t priority;     /* the low 3 bits are 0 */
    uint16_t active_vcpu; /* SPIs that are active: on which vCPU; else 0 */
    uint32_t reserved;
};

struct godwit_save_gicd {
    uint32_t ctlr; /* EnableGrp0, EnableGrp1 */
    uint32_t spi_count;
    struct godwit_save_irq spis[]; /* spi_count; the first is INTID 32 */
};

struct godwit_save_gicr {
    uint32_t ctlr, waker;
    uint64_t vmcr;             /* as ICH_VMCR_EL2 */
    uint64_t ap0r[4], ap1r[4]; /* as ICH_AP0R<n>_EL2, ICH_AP1R<n>_EL2 */
    struct godwit_save_irq irqs[GODWIT_SAVE_PRIVATE];
};

struct godwit_save_pl011 {
    uint32_t cr, lcrh, ibrd, fbrd, ifls, imsc, ris, dmacr, ilpr;
    uint32_t rx_count; /* bytes in rx_fifo, the oldest first */
    uint8_t rx_fifo[GODWIT_SAVE_FIFO_BYTES];
};

struct godwit_save_pl061 {
    uint8_t data, dir, is, ibe, iev, ie, ris, afsel;
    uint8_t
        inputs; /* levels that the outside drives; a pressed key is let go 100 ms after the load */
    uint8_t reserved[7];
};

_Static_assert(sizeof(struct godwit_save_descriptor) == 8, "ABI");
_Static_assert(sizeof(struct godwit_save_header) == 24 + 128, "ABI");
_Static_assert(sizeof(struct godwit_save_vcpu) == 8 * (1 + 33 + 23 + 2 + 64 + 10 + 2 + 64), "ABI");
_Static_assert(sizeof(struct godwit_save_hidden) == 16, "ABI");
_Static_assert(sizeof(struct godwit_save_clock) == 8, "ABI");
_Static_assert(sizeof(struct godwit_save_timer) == 24, "ABI");
_Static_assert(sizeof(struct godwit_save_irq) == 16, "ABI");
_Static_assert(sizeof(struct godwit_save_gicd) == 8, "ABI");
_Static_assert(sizeof(struct godwit_save_gicr) == 16 + 64 + 16 * 32, "ABI");
_Static_assert(sizeof(struct godwit_save_pl011) == 40 + 32, "ABI");
_Static_assert(sizeof(struct godwit_save_pl061) == 16, "ABI");

#endif
