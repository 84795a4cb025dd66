/* SPDX-License-Identifier: MIT */
/*
 * What guests are told of caches: lines as long as they are, and nothing else of this host. Sizes
 * and levels differ between hosts with the same CPU, and a guest that has been moved would be
 * wrong.
 */
#include "esr.h"
#include "trap.h"

#include <hv/domain.h>
#include <sysreg.h>

#define CCSIDR_EL1  SYSREG_ID(3, 1, 0, 0, 0)
#define CLIDR_EL1   SYSREG_ID(3, 1, 0, 0, 1)
#define CCSIDR2_EL1 SYSREG_ID(3, 1, 0, 0, 2)
#define SMIDR_EL1   SYSREG_ID(3, 1, 0, 0, 6)
#define AIDR_EL1    SYSREG_ID(3, 1, 0, 0, 7)
#define CSSELR_EL1  SYSREG_ID(3, 2, 0, 0, 0)
#define CTR_EL0     SYSREG_ID(3, 3, 0, 0, 1)

#define CTR_IMINLINE(ctr) ((ctr)&15u)         /* log2 of the words in a line */
#define CTR_DMINLINE(ctr) ((ctr) >> 16 & 15u) /* the same */
#define CTR_IDC           (UINT64_C(1) << 28)

#define CLIDR_L1_SEPARATE UINT64_C(3)
#define CLIDR_LOUIS_L1    (UINT64_C(1) << 21)
#define CLIDR_LOC_L1      (UINT64_C(1) << 24)
#define CLIDR_LOUU_L1     (UINT64_C(1) << 27)

#define CSSELR_L1_DATA        0u
#define CSSELR_L1_INSTRUCTION 1u
#define CSSELR_BITS           15u

/* One level; with IDC nothing must be cleaned for the instruction cache's sake. */
static uint64_t clidr(uint64_t ctr)
{
    uint64_t value = CLIDR_L1_SEPARATE | CLIDR_LOC_L1;

    return ctr & CTR_IDC ? value : value | CLIDR_LOUIS_L1 | CLIDR_LOUU_L1;
}

/* One set of one way, in either format of the register. LineSize: log2 of the bytes, less 4. */
static uint64_t ccsidr(uint64_t ctr, uint64_t csselr)
{
    uint64_t log2_words = csselr == CSSELR_L1_DATA          ? CTR_DMINLINE(ctr)
                          : csselr == CSSELR_L1_INSTRUCTION ? CTR_IMINLINE(ctr)
                                                            : 0;

    return log2_words > 2 ? log2_words - 2 : 0;
}

bool caches_emulate(struct vcpu *v, uint32_t id, uint64_t *value, bool write)
{
    uint64_t ctr = READ_SYSREG(ctr_el0);

    switch (id) {
    case CSSELR_EL1:
        v->arch.sys.csselr_el1 = write ? *value & CSSELR_BITS : v->arch.sys.csselr_el1;
        *value = v->arch.sys.csselr_el1;
        return true;
    case CTR_EL0:
        *value = ctr;
        return !write;
    case CLIDR_EL1:
        *value = clidr(ctr);
        return !write;
    case CCSIDR_EL1:
        *value = ccsidr(ctr, v->arch.sys.csselr_el1);
        return !write;
    case CCSIDR2_EL1:
    case SMIDR_EL1:
    case AIDR_EL1:
        *value = 0;
        return !write;
    default:
        return false;
    }
}
