/* SPDX-License-Identifier: MIT */
/* Synchronous exits of a guest, sorted by exception class. */
#include "trap.h"

#include "entry_offsets.h"
#include "esr.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/smccc.h>
#include <stddef.h>
#include <sysreg.h>

#define HVC_SMCCC     0u
#define HVC_HYPERCALL 0xea1u

_Static_assert(offsetof(struct cpu, current) == CPU_CURRENT, "entry code");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "entry code");
_Static_assert(offsetof(struct cpu, s2) == CPU_S2, "entry code");
_Static_assert(offsetof(struct cpu, fast_samples) == CPU_SAMPLES, "entry code");
_Static_assert(offsetof(struct cpu, fast_ticks) == CPU_SAMPLES + 8, "entry code");
_Static_assert(offsetof(struct vcpu, regs) == 0, "entry code");
_Static_assert(offsetof(struct cpu_regs, pc) == REGS_PC, "entry code");
_Static_assert(offsetof(struct cpu_regs, cpsr) == REGS_PC + 8, "entry code");

uint64_t trap_reg_read(const struct vcpu *v, unsigned reg)
{
    return reg == 31 ? 0 : v->regs.x[reg];
}

void trap_reg_write(struct vcpu *v, unsigned reg, uint64_t value)
{
    if (reg != 31) {
        v->regs.x[reg] = value;
    }
}

void trap_skip_instruction(struct vcpu *v, uint64_t esr)
{
    v->regs.pc += (esr & ESR_IL) ? 4 : 2;
    /* A guest's own single step must see this instruction as done. */
    v->regs.cpsr &= ~(SPSR_SS | SPSR_BTYPE);
}

/* AArch32 only: true if the condition of the trapped instruction holds (AArch64: always). */
static bool condition_holds(const struct vcpu *v, uint64_t esr)
{
    if (!(v->regs.cpsr & SPSR_AARCH32) || !(esr & (UINT64_C(1) << 24))) {
        return true;
    }
    unsigned condition = (unsigned)(esr >> 20) & 0xf;
    bool n = v->regs.cpsr >> 31 & 1, z = v->regs.cpsr >> 30 & 1;
    bool c = v->regs.cpsr >> 29 & 1, o = v->regs.cpsr >> 28 & 1;
    bool holds;

    switch (condition >> 1) {
    case 0:
        holds = z;
        break;
    case 1:
        holds = c;
        break;
    case 2:
        holds = n;
        break;
    case 3:
        holds = o;
        break;
    case 4:
        holds = c && !z;
        break;
    case 5:
        holds = n == o;
        break;
    case 6:
        holds = n == o && !z;
        break;
    default:
        return true;
    }
    return holds != (condition & 1);
}

static void trap_wfx(struct vcpu *v, uint64_t esr)
{
    trap_skip_instruction(v, esr);
    if (!condition_holds(v, esr)) {
        return;
    }
    if (esr & WFX_IS_WFE) {
        sched_yield_current();
    } else {
        sched_block_current();
    }
}

static void trap_hvc(struct vcpu *v, uint64_t esr)
{
    switch (esr & 0xffff) {
    case HVC_SMCCC:
        smccc_call(v);
        break;
    case HVC_HYPERCALL:
        hypercall_dispatch(v);
        break;
    default:
        /* pc is behind the HVC; the exception belongs to the instruction itself. */
        v->regs.pc -= 4;
        vcpu_inject_undefined(v);
        break;
    }
}

static void trap_smc(struct vcpu *v, uint64_t esr)
{
    if ((esr & 0xffff) != HVC_SMCCC) {
        vcpu_inject_undefined(v);
        return;
    }
    /* Unlike HVC, a trapped SMC leaves pc at the instruction. */
    trap_skip_instruction(v, esr);
    smccc_call(v);
}

void trap_sync(struct vcpu *v)
{
    uint64_t esr = READ_SYSREG(esr_el2);

    switch (ESR_EC(esr)) {
    case EC_WFX:
        trap_wfx(v, esr);
        break;
    case EC_HVC64:
        trap_hvc(v, esr);
        break;
    case EC_SMC64:
        trap_smc(v, esr);
        break;
    case EC_SYSREG:
        trap_sysreg(v, esr);
        break;
    case EC_DABT_LOWER:
        trap_data_abort(v, esr);
        break;
    case EC_IABT_LOWER:
        trap_instruction_abort(v, esr);
        break;
    case EC_UNKNOWN:
    case EC_CP15_32:
    case EC_CP15_64:
    case EC_CP14_32:
    case EC_CP14_LDC:
    case EC_CP14_64:
    case EC_CP10_ID:
    case EC_FP:
    case EC_PAUTH:
    case EC_SVE:
    case EC_SME:
        /* Instructions of features that this machine does not offer. */
        vcpu_inject_undefined(v);
        break;
    default:
        domain_crash(v, "unexpected exit, syndrome %llx", (unsigned long long)esr);
        break;
    }
}

/* With RAS hidden a guest cannot be told more than that something failed. */
void trap_serror(struct vcpu *v)
{
    printk("dom%u: SError, syndrome %llx, passed on\n", v->domain->id,
           (unsigned long long)READ_SYSREG(esr_el2));
    vcpu_inject_serror(v);
}

_Noreturn void trap_fiq(struct vcpu *v)
{
    /* All interrupts are set up as group 1, which never comes as FIQ. */
    panic("FIQ while dom%u ran", v->domain->id);
}
