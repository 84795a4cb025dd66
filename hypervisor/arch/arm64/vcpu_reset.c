/* SPDX-License-Identifier: MIT */
/* A vCPU's registers when it starts. */
#include <hv/domain.h>
#include <hv/regs.h>
#include <hv/vcpu.h>
#include <string.h>

/* RES1 bits of SCTLR_EL1 as of v8.0: MMU, caches and alignment checks off. */
#define SCTLR_EL1_RESET UINT64_C(0x30c50830)

void vcpu_reset(struct vcpu *v, uint64_t pc, uint64_t context_id)
{
    memset(&v->regs, 0, sizeof(v->regs));
    memset(&v->arch, 0, sizeof(v->arch));
    v->regs.pc = pc;
    v->regs.x[0] = context_id;
    v->regs.cpsr = PSR_MODE_EL1H | PSR_DAIF;
    v->arch.sys.sctlr_el1 = SCTLR_EL1_RESET;
    v->arch.debug.os_lock = true;
    v->initialised = true;
}
