/* SPDX-License-Identifier: MIT */
/*
 * Access to system registers: READ_SYSREG(hcr_el2), WRITE_SYSREG(value, hcr_el2). Registers that
 * an assembler for v8.0 does not know are written as S<op0>_<op1>_C<n>_C<m>_<op2>; SYSREG_* below
 * names them. No barrier is implied.
 */
#ifndef ARCH_SYSREG_H
#define ARCH_SYSREG_H

#include <stdint.h>

#define READ_SYSREG_(name)                                                                         \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                               \
        value_;                                                                                    \
    })
#define WRITE_SYSREG_(value, name)                                                                 \
    do {                                                                                           \
        uint64_t value_ = (value);                                                                 \
        __asm__ volatile("msr " #name ", %x0" ::"rZ"(value_) : "memory");                          \
    } while (0)

/* One more step, so that SYSREG_* names expand. */
#define READ_SYSREG(name)         READ_SYSREG_(name)
#define WRITE_SYSREG(value, name) WRITE_SYSREG_(value, name)

/* GICv3 CPU interface. */
#define SYSREG_ICC_PMR_EL1     S3_0_C4_C6_0
#define SYSREG_ICC_IAR1_EL1    S3_0_C12_C12_0
#define SYSREG_ICC_EOIR1_EL1   S3_0_C12_C12_1
#define SYSREG_ICC_HPPIR1_EL1  S3_0_C12_C12_2
#define SYSREG_ICC_BPR1_EL1    S3_0_C12_C12_3
#define SYSREG_ICC_CTLR_EL1    S3_0_C12_C12_4
#define SYSREG_ICC_SRE_EL1     S3_0_C12_C12_5
#define SYSREG_ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define SYSREG_ICC_DIR_EL1     S3_0_C12_C11_1
#define SYSREG_ICC_RPR_EL1     S3_0_C12_C11_3
#define SYSREG_ICC_SGI1R_EL1   S3_0_C12_C11_5
#define SYSREG_ICC_SRE_EL2     S3_4_C12_C9_5
#define SYSREG_ICH_HCR_EL2     S3_4_C12_C11_0
#define SYSREG_ICH_VTR_EL2     S3_4_C12_C11_1

#endif
