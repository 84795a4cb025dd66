/* SPDX-License-Identifier: MIT */
/*
 * Guest virtual to intermediate physical address: AT S1E1R/W on the regime of the loaded vCPU, so
 * that the CPU itself decides what EL1 may access. Stage 2 is left to software: AT S12E1W would
 * set dirty state in the tables.
 *
 * The walker's own reads (and its updates of access flags) go through stage 2. When one meets a
 * table page that is write-protected for logging, or a block that is being split, AT reports an
 * abort of the walk. Then the page that holds the leaf descriptor is found by a walk in software,
 * opened as for any other write, and AT is tried again.
 */
#include <barrier.h>
#include <hv/domain.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <sysreg.h>

#define PAR_F         (UINT64_C(1) << 0)
#define PAR_PTW       (UINT64_C(1) << 8)
#define PAR_ADDRESS   UINT64_C(0x0000fffffffff000)
#define TABLE_ADDRESS UINT64_C(0x0000fffffffff000)
#define TTBR_BASE     UINT64_C(0x0000fffffffffffe)

/* Each try resolves one cause; others may come up meanwhile, but not for ever. */
#define TRANSLATE_TRIES 64

static uint64_t translate_once(uint64_t gva, bool write)
{
    uint64_t saved = READ_SYSREG(par_el1);
    uint64_t par;

    if (write) {
        __asm__ volatile("at s1e1w, %0" ::"r"(gva) : "memory");
    } else {
        __asm__ volatile("at s1e1r, %0" ::"r"(gva) : "memory");
    }
    isb(); /* the result of AT is in PAR_EL1 only after it */
    par = READ_SYSREG(par_el1);
    WRITE_SYSREG(saved, par_el1);
    return par;
}

struct stage1 {
    uint64_t table;         /* IPA of the root */
    unsigned granule_shift; /* 12, 14, 16 */
    unsigned input_bits;
};

static bool stage1_regime(uint64_t gva, struct stage1 *ret_regime)
{
    static const uint8_t tg0_shift[4] = {12, 16, 14, 0};
    static const uint8_t tg1_shift[4] = {0, 14, 12, 16};
    uint64_t tcr = READ_SYSREG(tcr_el1);
    bool high = (gva >> 55) & 1;

    ret_regime->table = (high ? READ_SYSREG(ttbr1_el1) : READ_SYSREG(ttbr0_el1)) & TTBR_BASE;
    ret_regime->granule_shift = high ? tg1_shift[(tcr >> 30) & 3] : tg0_shift[(tcr >> 14) & 3];
    ret_regime->input_bits = 64 - (high ? (tcr >> 16) & 63 : tcr & 63);
    return ret_regime->granule_shift != 0 && ret_regime->input_bits > ret_regime->granule_shift &&
           ret_regime->input_bits <= 48;
}

/* Where the descriptor is that ends the walk for gva. False: a table is not in the guest's RAM. */
static bool stage1_leaf_descriptor(struct domain *d, uint64_t gva, ipa_t *ret_ipa)
{
    struct stage1 regime;
    unsigned stride, shift;
    uint64_t offset;

    if (!stage1_regime(gva, &regime)) {
        return false;
    }
    stride = regime.granule_shift - 3;
    offset = gva & ((UINT64_C(1) << regime.input_bits) - 1);
    shift = regime.granule_shift;
    while (shift + stride < regime.input_bits) {
        shift += stride;
    }
    for (uint64_t table = regime.table;; shift -= stride) {
        uint64_t descriptor;

        *ret_ipa = ipa_make(table + ((offset >> shift) << 3));
        if (shift == regime.granule_shift) {
            return true;
        }
        if (copy_from_ipa(d, &descriptor, *ret_ipa, sizeof(descriptor)) != 0) {
            return false;
        }
        if ((descriptor & 3) != 3) {
            return true;
        }
        offset &= (UINT64_C(1) << shift) - 1;
        table = descriptor & TABLE_ADDRESS & ~((UINT64_C(1) << regime.granule_shift) - 1);
    }
}

/* True: AT may be tried again. */
static bool resolve_walk_abort(struct domain *d, uint64_t gva)
{
    ipa_t descriptor;
    struct s2_leaf leaf;

    if (!stage1_leaf_descriptor(d, gva, &descriptor)) {
        return false;
    }
    leaf = s2_lookup(&d->s2, descriptor); /* waits while the block is being split */
    if (leaf.type == S2_NONE || leaf.type == S2_DEVICE) {
        return false;
    }
    return leaf.writable || p2m_fault_write(d, descriptor) == S2_FAULT_RETRY;
}

/* What the first try could not do. Kept apart: nearly all translations need no more than that. */
static __attribute__((noinline)) bool translate_again(uint64_t gva, bool write, uint64_t par,
                                                      ipa_t *ret_ipa)
{
    struct domain *d = vcpu_current()->domain;

    for (unsigned try = 1; (par & PAR_F) != 0; try++) {
        if (try == TRANSLATE_TRIES || (par & PAR_PTW) == 0 || !resolve_walk_abort(d, gva)) {
            return false;
        }
        par = translate_once(gva, write);
    }
    *ret_ipa = ipa_make((par & PAR_ADDRESS) | (gva & PAGE_MASK));
    return true;
}

bool arch_translate_gva(uint64_t gva, bool write, ipa_t *ret_ipa)
{
    uint64_t par = translate_once(gva, write);

    if ((par & PAR_F) != 0) {
        return translate_again(gva, write, par, ret_ipa);
    }
    *ret_ipa = ipa_make((par & PAR_ADDRESS) | (gva & PAGE_MASK));
    return true;
}
