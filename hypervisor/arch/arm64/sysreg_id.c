/* SPDX-License-Identifier: MIT */
/*
 * ID registers as guests see them: the host's, field by field, where this hypervisor switches or
 * needs no state for the feature; 0 (or "not implemented") where it does not, and for every field
 * that did not exist when this table was made.
 */
#include "trap.h"

#include <core/s2_vm.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <sysreg.h>

#define ID_ROWS 8 /* CRm */
#define ID_COLS 8 /* op2 */

struct host_features host_features;

static uint64_t host_id[ID_ROWS][ID_COLS];

/* The register of CRm m and op2 o on this CPU. */
#define ID_CELL(m, o)                                                                              \
    case (m)*ID_COLS + (o):                                                                        \
        return READ_SYSREG_(S3_0_C0_C##m##_##o);
#define ID_ROW(m)                                                                                  \
    ID_CELL(m, 0)                                                                                  \
    ID_CELL(m, 1)                                                                                  \
    ID_CELL(m, 2)                                                                                  \
    ID_CELL(m, 3)                                                                                  \
    ID_CELL(m, 4)                                                                                  \
    ID_CELL(m, 5)                                                                                  \
    ID_CELL(m, 6)                                                                                  \
    ID_CELL(m, 7)

static uint64_t read_host(unsigned crm, unsigned op2)
{
    switch (crm * ID_COLS + op2) {
        ID_ROW(1)
        ID_ROW(2)
        ID_ROW(3)
        ID_ROW(4)
        ID_ROW(5)
        ID_ROW(6)
        ID_ROW(7)
    default:
        return 0;
    }
}

static unsigned field(uint64_t reg, unsigned shift)
{
    return (unsigned)(reg >> shift) & 0xf;
}

#define F(shift) (UINT64_C(0xf) << (shift))

/* Bits that pass unchanged. A register that is not here reads 0. */
static const struct {
    uint8_t crm, op2;
    uint64_t keep;
} id_keep[] = {
    /* AArch32 view, for programs at EL0: all but virtualisation, the timer's frame, PMU, RAS, AMU
     */
    {1, 0, F(0) | F(4) | F(8) | F(12) | F(24)},           /* ID_PFR0: no CSV2, AMU, RAS */
    {1, 1, F(0) | F(8) | F(16)},                          /* ID_PFR1 */
    {1, 2, F(0) | F(4) | F(8)},                           /* ID_DFR0: debug only */
    {1, 4, UINT64_MAX},                                   /* ID_MMFR0 */
    {1, 5, UINT64_MAX},                                   /* ID_MMFR1 */
    {1, 6, UINT64_MAX},                                   /* ID_MMFR2 */
    {1, 7, UINT64_MAX},                                   /* ID_MMFR3 */
    {2, 0, UINT64_MAX},                                   /* ID_ISAR0 */
    {2, 1, UINT64_MAX},                                   /* ID_ISAR1 */
    {2, 2, UINT64_MAX},                                   /* ID_ISAR2 */
    {2, 3, UINT64_MAX},                                   /* ID_ISAR3 */
    {2, 4, UINT64_MAX},                                   /* ID_ISAR4 */
    {2, 5, UINT64_MAX},                                   /* ID_ISAR5 */
    {2, 6, ~(F(20) | F(0))},                              /* ID_MMFR4: no LSM trap, SpecSEI */
    {2, 7, UINT64_MAX},                                   /* ID_ISAR6 */
    {3, 0, UINT64_MAX},                                   /* MVFR0 */
    {3, 1, UINT64_MAX},                                   /* MVFR1 */
    {3, 2, UINT64_MAX},                                   /* MVFR2 */
    {3, 4, F(0) | F(4)},                                  /* ID_PFR2: CSV3, SSBS */
    {4, 0, F(0) | F(16) | F(20) | F(48) | F(60)},         /* PFR0: EL0, FP, SIMD, DIT, CSV3 */
    {4, 1, F(0) | F(4)},                                  /* PFR1: BTI, SSBS */
    {5, 0, F(12) | F(20) | F(28)},                        /* DFR0: break, watch, context */
    {6, 0, ~(F(24) | F(0))},                              /* ISAR0: no TME */
    {6, 1, ~(F(56) | F(60))},                             /* ISAR1: no XS, LS64 */
    {6, 2, F(4) | F(8) | F(12) | F(20) | F(24)},          /* ISAR2: RPRES, PAuth, BC */
    {7, 0, F(4) | F(8) | F(16) | F(24)},                  /* MMFR0: ASID, endianness, 64 K */
    {7, 1, F(0) | F(12) | F(20) | F(36) | F(44) | F(48)}, /* MMFR1: HAFDBS, HPDS, PAN ... */
    {7, 2, F(0) | F(4) | F(8) | F(16) | F(20) | F(28) | F(32) | F(36) | F(48) | F(52) | F(60)},
};

/* PARange codes by IPA width. */
static uint64_t parange_code(unsigned bits)
{
    static const uint8_t widths[] = {32, 36, 40, 42, 44, 48};
    uint64_t code = 0;

    for (unsigned i = 0; i < sizeof(widths); i++) {
        if (widths[i] <= bits) {
            code = i;
        }
    }
    return code;
}

static uint64_t sanitised_mmfr0(const struct domain *d, uint64_t host)
{
    uint64_t value = parange_code(d ? d->s2.ipa_bits : DOMAIN_GUEST_IPA_BITS);

    if (field(host, 0) < value) {
        value = field(host, 0);
    }
    /* 52-bit granules count as plain ones; 0xf is "none" for 4 KiB, 0 for 16 KiB. */
    if (field(host, 28) == 0xf) {
        value |= F(28);
    }
    if (field(host, 20) != 0) {
        value |= UINT64_C(1) << 20;
    }
    return value;
}

static uint64_t sanitised_pfr0(uint64_t host)
{
    uint64_t value = UINT64_C(1) << 4; /* EL1: AArch64 only; no EL2, no EL3 */

    if (field(host, 24)) {
        value |= UINT64_C(1) << 24; /* GICv3 system registers */
    }
    if (field(host, 56)) {
        value |= UINT64_C(1) << 56; /* CSV2 without the SCXTNUM registers of level 2 */
    }
    return value;
}

static uint64_t sanitised_dfr0(uint64_t host)
{
    uint64_t version = field(host, 0) < 8 ? field(host, 0) : 8;

    return version | (UINT64_C(0xf) << 36); /* no OS double lock */
}

uint64_t arch_id_register(const struct domain *d, unsigned crm, unsigned op2)
{
    if (crm >= ID_ROWS || op2 >= ID_COLS) {
        return 0;
    }
    uint64_t host = host_id[crm][op2];
    uint64_t value = 0;
    for (unsigned i = 0; i < sizeof(id_keep) / sizeof(id_keep[0]); i++) {
        if (id_keep[i].crm == crm && id_keep[i].op2 == op2) {
            value = host & id_keep[i].keep;
        }
    }
    switch (crm * ID_COLS + op2) {
    case 4 * ID_COLS + 0:
        return value | sanitised_pfr0(host);
    case 5 * ID_COLS + 0:
        return value | sanitised_dfr0(host);
    case 7 * ID_COLS + 0:
        return value | sanitised_mmfr0(d, host);
    default:
        return value;
    }
}

void sysreg_id_init(void)
{
    for (unsigned crm = 1; crm < ID_ROWS; crm++) {
        for (unsigned op2 = 0; op2 < ID_COLS; op2++) {
            host_id[crm][op2] = read_host(crm, op2);
        }
    }
    host_features = (struct host_features){
        .pan = field(host_id[7][1], 20) != 0,
        .ssbs = field(host_id[4][1], 4) != 0,
        .pauth = field(host_id[6][1], 4) || field(host_id[6][1], 8) || field(host_id[6][2], 12),
        .fgt = field(host_id[7][0], 56) != 0,
        .hcx = field(host_id[7][1], 40) != 0,
        .ras = field(host_id[4][0], 28) != 0,
        .sme = field(host_id[4][1], 24) != 0,
        .mpam = field(host_id[4][0], 40) || field(host_id[4][1], 16),
        .breakpoints = (uint8_t)(field(host_id[5][0], 12) + 1),
        .watchpoints = (uint8_t)(field(host_id[5][0], 20) + 1),
    };
}

void sysreg_id_check(void)
{
    for (unsigned crm = 4; crm < ID_ROWS; crm++) {
        for (unsigned op2 = 0; op2 < ID_COLS; op2++) {
            if (read_host(crm, op2) != host_id[crm][op2]) {
                printk("cpu%u: ID register c%u,%u differs from the boot CPU's\n", this_cpu()->id,
                       crm, op2);
            }
        }
    }
}
