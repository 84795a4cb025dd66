/* SPDX-License-Identifier: MIT */
/* Exception syndromes: ESR_EL2 as read, ESR_EL1 as injected. Arm ARM D17.2.37. */
#ifndef ARCH_ESR_H
#define ARCH_ESR_H

#include <stdint.h>

#define ESR_EC(esr)  (((esr) >> 26) & 0x3f)
#define ESR_IL       (UINT64_C(1) << 25)
#define ESR_ISS(esr) ((esr)&0x1ffffff)

#define EC_UNKNOWN    0x00u
#define EC_WFX        0x01u
#define EC_CP15_32    0x03u
#define EC_CP15_64    0x04u
#define EC_CP14_32    0x05u
#define EC_CP14_LDC   0x06u
#define EC_FP         0x07u
#define EC_CP10_ID    0x08u
#define EC_PAUTH      0x09u
#define EC_CP14_64    0x0cu
#define EC_HVC64      0x16u
#define EC_SMC64      0x17u
#define EC_SYSREG     0x18u
#define EC_SVE        0x19u
#define EC_SME        0x1du
#define EC_IABT_LOWER 0x20u
#define EC_IABT_SAME  0x21u
#define EC_DABT_LOWER 0x24u
#define EC_DABT_SAME  0x25u

/* WFx: TI field. */
#define WFX_IS_WFE UINT64_C(1)

/* Aborts. */
#define ABORT_WNR      (UINT64_C(1) << 6)
#define ABORT_S1PTW    (UINT64_C(1) << 7)
#define ABORT_CM       (UINT64_C(1) << 8)
#define ABORT_FNV      (UINT64_C(1) << 10)
#define ABORT_SF       (UINT64_C(1) << 15)
#define ABORT_SSE      (UINT64_C(1) << 21)
#define ABORT_ISV      (UINT64_C(1) << 24)
#define ABORT_SRT(esr) (((esr) >> 16) & 0x1f)
#define ABORT_SAS(esr) (((esr) >> 22) & 0x3)

/* Fault status without its level. */
#define FSC_TYPE(esr)    ((esr)&0x3c)
#define FSC_CODE(esr)    ((esr)&0x3f)
#define FSC_ADDRESS_SIZE 0x00u
#define FSC_TRANSLATION  0x04u
#define FSC_ACCESS_FLAG  0x08u
#define FSC_PERMISSION   0x0cu
#define FSC_EXTERNAL     0x10u
#define FSC_TLB_CONFLICT 0x30u

/* SPSR. */
#define SPSR_SS       (UINT64_C(1) << 21)
#define SPSR_PAN      (UINT64_C(1) << 22)
#define SPSR_DIT      (UINT64_C(1) << 24)
#define SPSR_BTYPE    (UINT64_C(3) << 10)
#define SPSR_SSBS     (UINT64_C(1) << 12)
#define SPSR_NZCV     (UINT64_C(0xf) << 28)
#define SPSR_AARCH32  (UINT64_C(1) << 4)
#define SPSR_T32      (UINT64_C(1) << 5)
#define SPSR_EL(spsr) (((spsr) >> 2) & 3)

/* A trapped MSR, MRS or SYS, without its direction and register. */
#define SYSREG_ID(op0, op1, crn, crm, op2)                                                         \
    (((uint32_t)(op0) << 20) | ((uint32_t)(op2) << 17) | ((uint32_t)(op1) << 14) |                 \
     ((uint32_t)(crn) << 10) | ((uint32_t)(crm) << 1))
#define SYSREG_ID_MASK  0x3ffc1eu
#define SYSREG_CRN(iss) (((iss) >> 10) & 0xf)
#define SYSREG_CRM(iss) (((iss) >> 1) & 0xf)
#define SYSREG_OP2(iss) (((iss) >> 17) & 0x7)
#define SYSREG_RT(iss)  (((iss) >> 5) & 0x1f)
#define SYSREG_IS_READ  1u

#endif
