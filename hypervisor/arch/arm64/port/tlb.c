/* SPDX-License-Identifier: MIT */
/*
 * TLB maintenance for stage 2. An entry may combine both stages and then is not found by its IPA:
 * so every invalidation by IPA is followed, after a DSB, by one of all stage-1 entries of the VMID.
 * The DSB between keeps a CPU from combining anew with the old stage-2 entry.
 *
 * Only the inner-shareable forms are used: QEMU ignores the outer-shareable ones.
 */
#include "tlb.h"

#include <barrier.h>
#include <core/port.h>
#include <port/arm64.h>
#include <sysreg.h>

#include "errata.h"
#include "tlb_range.h"

#define ID_FIELD(value, shift) ((unsigned)((value) >> (shift)) & 15u)

/* More operations than this by address, and the whole VM goes instead. */
#define OPERATIONS_MAX 64u

static bool has_range;
bool port_tlb_must_repeat;

void port_tlb_init(void)
{
    has_range = ID_FIELD(READ_SYSREG(id_aa64isar0_el1), 56) >= 2;
}

void port_tlb_init_cpu(void)
{
    port_tlb_must_repeat |= errata_repeat_tlbi(READ_SYSREG(midr_el1));
}

/* TLBI works on the VMID in VTTBR_EL2. Returns what to give to leave_vmid. */
static uint64_t enter_vmid(uint64_t root_register)
{
    uint64_t loaded = READ_SYSREG(vttbr_el2);

    if (loaded != root_register) {
        WRITE_SYSREG(root_register, vttbr_el2);
        isb(); /* the TLBIs below use it */
    }
    return loaded;
}

static void leave_vmid(uint64_t root_register, uint64_t loaded)
{
    if (loaded != root_register) {
        WRITE_SYSREG(loaded, vttbr_el2);
        isb(); /* as in enter_vmid */
    }
}

static uint64_t operations_for(const struct port_tlb_range *range)
{
    return has_range ? 4 + range->bytes / (TLB_RANGE_PAGES_MAX << PAGE_SHIFT) * OPERATIONS_MAX
                     : range->bytes / range->leaf_bytes;
}

static void invalidate_by_range(const struct port_tlb_range *range)
{
    struct tlb_range left = {range->ipa.addr >> PAGE_SHIFT, range->bytes >> PAGE_SHIFT, 0};
    uint64_t value;

    if (left.pages % 2 != 0) {
        tlbi_value(ipas2e1is, left.base);
        left.base++;
        left.pages--;
    }
    while (tlb_range_next(&left, &value)) {
        /* TLBI RIPAS2E1IS, Xt; an assembler for v8.0 does not know the name. */
        __asm__ volatile("sys #4, c8, c0, #2, %0" ::"r"(value) : "memory");
    }
}

static void invalidate_range(const struct port_tlb_range *range)
{
    if (has_range && range->bytes > range->leaf_bytes) {
        invalidate_by_range(range);
        return;
    }
    for (uint64_t done = 0; done < range->bytes; done += range->leaf_bytes) {
        tlbi_value(ipas2e1is, ipa_add(range->ipa, done).addr >> PAGE_SHIFT);
    }
}

static void invalidate_ranges(const struct port_tlb_range *ranges, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        invalidate_range(&ranges[i]);
    }
    dsb(ish); /* stage-2 entries are gone on all CPUs before the combined ones go */
    tlbi(vmalle1is);
    dsb(ish); /* complete on all CPUs, and with it the stores that used the old translations */
}

void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count)
{
    uint64_t root_register = s2_root_register(vm);
    uint64_t operations = 0;
    uint64_t loaded;

    for (unsigned i = 0; i < count; i++) {
        operations += operations_for(&ranges[i]);
    }
    if (operations > OPERATIONS_MAX) {
        port_tlb_flush_vm(vm);
        return;
    }
    dsb(ishst); /* descriptor stores before the invalidation: no walk refills from the old ones */
    loaded = enter_vmid(root_register);
    invalidate_ranges(ranges, count);
    if (port_tlb_must_repeat) {
        invalidate_ranges(ranges, count);
    }
    isb();
    leave_vmid(root_register, loaded);
}

void port_tlb_flush_vmid(uint64_t root_register)
{
    uint64_t loaded;

    dsb(ishst); /* as in port_tlb_flush */
    loaded = enter_vmid(root_register);
    tlbi(vmalls12e1is);
    dsb(ish); /* as in invalidate_ranges */
    if (port_tlb_must_repeat) {
        tlbi(vmalls12e1is);
        dsb(ish);
    }
    isb();
    leave_vmid(root_register, loaded);
}

void port_tlb_flush_vm(const struct s2_vm *vm)
{
    port_tlb_flush_vmid(s2_root_register(vm));
}

void port_tlb_flush_local_other(const struct s2_vm *vm, ipa_t ipa)
{
    uint64_t loaded = enter_vmid(vm->root_register);

    port_tlb_flush_local_loaded(ipa);
    leave_vmid(vm->root_register, loaded);
}

void port_tlb_flush_local_stage1(void)
{
    tlbi(vmalle1);
    dsb(nsh); /* done before the next vCPU's first walk */
    isb();
}
