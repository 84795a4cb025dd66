/* SPDX-License-Identifier: MIT */
/* Guest registers as the entry code saves them. */
#ifndef HV_REGS_H
#define HV_REGS_H

#include <stdint.h>

struct cpu_regs {
    uint64_t x[31];
    uint64_t pc;   /* ELR_EL2 */
    uint64_t cpsr; /* SPSR_EL2 */
};

#define PSR_MODE_EL1H 0x5u
#define PSR_DAIF      0x3c0u

#endif
