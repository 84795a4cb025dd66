/* SPDX-License-Identifier: MIT */
/* Exceptions for the vCPU that is loaded on this CPU: what the hardware does on an entry to EL1. */
#include "esr.h"
#include "trap.h"

#include <hv/vcpu.h>
#include <sysreg.h>

#define SCTLR_SPAN  (UINT64_C(1) << 23)
#define SCTLR_DSSBS (UINT64_C(1) << 44)
#define HCR_VSE     (UINT64_C(1) << 8)

#define VECTOR_SP0     0x000u
#define VECTOR_SPX     0x200u
#define VECTOR_LOWER64 0x400u
#define VECTOR_LOWER32 0x600u

static bool from_el0(const struct vcpu *v)
{
    return (v->regs.cpsr & SPSR_AARCH32) || SPSR_EL(v->regs.cpsr) == 0;
}

static uint64_t vector_offset(uint64_t spsr)
{
    if (spsr & SPSR_AARCH32) {
        return VECTOR_LOWER32;
    }
    if (SPSR_EL(spsr) == 0) {
        return VECTOR_LOWER64;
    }
    return (spsr & 1) ? VECTOR_SPX : VECTOR_SP0;
}

static uint64_t entry_pstate(uint64_t old)
{
    uint64_t sctlr = READ_SYSREG(sctlr_el1);
    uint64_t pstate = PSR_MODE_EL1H | PSR_DAIF | (old & (SPSR_NZCV | SPSR_PAN));

    if (!(old & SPSR_AARCH32)) {
        pstate |= old & SPSR_DIT;
    }
    if (host_features.pan && !(sctlr & SCTLR_SPAN)) {
        pstate |= SPSR_PAN;
    }
    if (host_features.ssbs && (sctlr & SCTLR_DSSBS)) {
        pstate |= SPSR_SSBS;
    }
    return pstate;
}

static void enter_el1(struct vcpu *v, uint64_t esr)
{
    uint64_t old = v->regs.cpsr;

    WRITE_SYSREG(esr, esr_el1);
    WRITE_SYSREG(v->regs.pc, elr_el1);
    WRITE_SYSREG(old, spsr_el1);
    v->regs.pc = READ_SYSREG(vbar_el1) + vector_offset(old);
    v->regs.cpsr = entry_pstate(old);
}

void vcpu_inject_data_abort(struct vcpu *v, uint64_t far, bool external)
{
    uint64_t class = from_el0(v) ? EC_DABT_LOWER : EC_DABT_SAME;

    WRITE_SYSREG(far, far_el1);
    enter_el1(v, (class << 26) | ESR_IL | (external ? FSC_EXTERNAL : FSC_TRANSLATION));
}

void vcpu_inject_instruction_abort(struct vcpu *v, uint64_t far)
{
    uint64_t class = from_el0(v) ? EC_IABT_LOWER : EC_IABT_SAME;

    WRITE_SYSREG(far, far_el1);
    enter_el1(v, (class << 26) | ESR_IL | FSC_EXTERNAL);
}

void vcpu_inject_undefined(struct vcpu *v)
{
    enter_el1(v, ((uint64_t)EC_UNKNOWN << 26) | ESR_IL);
}

void vcpu_inject_serror(struct vcpu *v)
{
    v->arch.serror_pending = true;
    uint64_t hcr = READ_SYSREG(hcr_el2);
    WRITE_SYSREG(hcr | HCR_VSE, hcr_el2);
}
