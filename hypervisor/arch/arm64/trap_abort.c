/* SPDX-License-Identifier: MIT */
/* Stage-2 aborts: writes to logged pages, device registers, addresses where nothing is. */
#include "esr.h"
#include "trap.h"

#include <barrier.h>
#include <hv/domain.h>
#include <hv/mmio.h>
#include <hv/p2m.h>
#include <sysreg.h>

#define PAR_F       UINT64_C(1)
#define PAR_PA_MASK UINT64_C(0x000ffffffffff000)
#define HPFAR_FIPA  UINT64_C(0x00000ffffffffff0)

/* Stage 1 of the running guest, by the CPU. False: not mapped now. */
static bool stage1_translate(uint64_t gva, ipa_t *ret_ipa)
{
    uint64_t guest_par = READ_SYSREG(par_el1);

    __asm__ volatile("at s1e1r, %0" ::"r"(gva) : "memory");
    isb(); /* the result is in PAR_EL1 after this */
    uint64_t par = READ_SYSREG(par_el1);
    WRITE_SYSREG(guest_par, par_el1);
    if (par & PAR_F) {
        return false;
    }
    *ret_ipa = ipa_make((par & PAR_PA_MASK) | (gva & PAGE_MASK));
    return true;
}

/*
 * The IPA of a stage-2 fault. HPFAR_EL2 is not valid for an ordinary permission fault; then stage 1
 * is asked. False: the guest has changed its own tables meanwhile, it may simply try again.
 */
static bool fault_ipa(uint64_t esr, ipa_t *ret_ipa)
{
    uint64_t far = READ_SYSREG(far_el2);

    if (FSC_TYPE(esr) == FSC_PERMISSION && !(esr & ABORT_S1PTW)) {
        return stage1_translate(far, ret_ipa);
    }
    /* For a table walk FAR is the address that was being translated, not the descriptor's. */
    uint64_t offset = (esr & ABORT_S1PTW) ? 0 : (far & PAGE_MASK);
    *ret_ipa = ipa_make(((READ_SYSREG(hpfar_el2) & HPFAR_FIPA) << 8) | offset);
    return true;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;

    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* Runs one load or store on an emulated device. False: no such register. */
static bool emulate_mmio(struct vcpu *v, const struct mmio_region *region, ipa_t ipa, uint64_t esr)
{
    struct mmio_access access = {
        .offset = ipa.addr - region->start.addr,
        .bytes = (uint8_t)(1u << ABORT_SAS(esr)),
        .write = (esr & ABORT_WNR) != 0,
    };
    unsigned reg = ABORT_SRT(esr);
    uint64_t mask = access.bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * access.bytes)) - 1;

    if (access.offset + access.bytes > region->bytes) {
        return false;
    }
    if (access.write) {
        access.value = trap_reg_read(v, reg) & mask;
    }
    if (!region->handle(v, region->context, &access)) {
        return false;
    }
    if (!access.write) {
        uint64_t value = access.value & mask;
        if (esr & ABORT_SSE) {
            value = sign_extend(value, access.bytes);
        }
        trap_reg_write(v, reg, (esr & ABORT_SF) ? value : (uint32_t)value);
    }
    return true;
}

/* Nothing usable is mapped at ipa: a device of ours, a race with a change of the map, or an error.
 */
static void unmapped_access(struct vcpu *v, uint64_t esr, ipa_t ipa)
{
    const struct mmio_region *region = mmio_find(&v->domain->mmio, ipa);

    if (region && !(esr & ABORT_S1PTW)) {
        if (esr & ABORT_CM) {
            trap_skip_instruction(v, esr);
            return;
        }
        /* Without ISV (pairs, writeback, SIMD) the instruction is not ours to decode. */
        if ((esr & ABORT_ISV) && emulate_mmio(v, region, ipa, esr)) {
            trap_skip_instruction(v, esr);
            return;
        }
    } else if (FSC_TYPE(esr) != FSC_PERMISSION && s2_lookup(&v->domain->s2, ipa).type != S2_NONE) {
        /* The descriptor was being replaced when the CPU read it. */
        return;
    }
    vcpu_inject_data_abort(v, READ_SYSREG(far_el2), true);
}

/*
 * far: FAR_EL2 as the fault left it; finding a page may change the register. began: when it began,
 * for the vCPU's account, where waiting for others stands apart.
 */
static void write_permission_fault(struct vcpu *v, ipa_t ipa, uint64_t far, uint64_t began)
{
    uint64_t prepared = time_counter(), locked;
    enum s2_fault fault;

    s2_wait_writer(&v->domain->s2);
    locked = time_counter();
    fault = p2m_fault_write(v->domain, ipa);
    stall_long_fault(v, prepared, locked, time_counter() + (prepared - began));
    switch (fault) {
    case S2_FAULT_RETRY:
    case S2_FAULT_UNMAPPED: /* between the fault and the look; the next try faults as unmapped */
        break;
    case S2_FAULT_READONLY:
    case S2_FAULT_FOREIGN:
        vcpu_inject_data_abort(v, far, true);
        break;
    }
}

void trap_data_abort(struct vcpu *v, uint64_t esr)
{
    ipa_t ipa = ipa_make(0);
    uint64_t began = time_counter();

    switch (FSC_TYPE(esr)) {
    case FSC_PERMISSION:
        if (!fault_ipa(esr, &ipa)) {
            return;
        }
        if (esr & (ABORT_WNR | ABORT_S1PTW)) {
            /* A table walk that updates a descriptor writes, whatever WnR says. */
            if (esr & ABORT_S1PTW) {
                s2_stats_count_walk(&v->domain->s2);
            }
            write_permission_fault(v, ipa, READ_SYSREG(far_el2), began);
        } else {
            unmapped_access(v, esr, ipa);
        }
        return;
    case FSC_TRANSLATION:
    case FSC_ADDRESS_SIZE:
    case FSC_ACCESS_FLAG:
        (void)fault_ipa(esr, &ipa); /* HPFAR is valid for these */
        unmapped_access(v, esr, ipa);
        return;
    default:
        break;
    }
    if (FSC_CODE(esr) == FSC_TLB_CONFLICT) {
        tlbi(vmalls12e1);
        dsb(nsh); /* completes the invalidation before the guest retries */
        isb();
        return;
    }
    /* External aborts of real devices, exclusive accesses to device memory. */
    vcpu_inject_data_abort(v, (esr & ABORT_FNV) ? 0 : READ_SYSREG(far_el2), true);
}

void trap_instruction_abort(struct vcpu *v, uint64_t esr)
{
    ipa_t ipa = ipa_make(0);
    uint64_t began = time_counter();

    switch (FSC_TYPE(esr)) {
    case FSC_PERMISSION:
        if (!fault_ipa(esr, &ipa)) {
            return;
        }
        if (esr & ABORT_S1PTW) {
            s2_stats_count_walk(&v->domain->s2);
            write_permission_fault(v, ipa, READ_SYSREG(far_el2), began);
            return;
        }
        break;
    case FSC_TRANSLATION:
    case FSC_ADDRESS_SIZE:
    case FSC_ACCESS_FLAG:
        (void)fault_ipa(esr, &ipa);
        if (s2_lookup(&v->domain->s2, ipa).type != S2_NONE) {
            return; /* a race, as in unmapped_access */
        }
        break;
    default:
        break;
    }
    vcpu_inject_instruction_abort(v, READ_SYSREG(far_el2));
}
