/* SPDX-License-Identifier: MIT */
/* The machine as core/ needs it: memory for tables, and the shape of the translation. */
#include <port/arm64.h>

#include <barrier.h>
#include <core/port.h>
#include <hv/frame.h>
#include <port/find.h>
#include <port/s2_pte.h>
#include <sysreg.h>

#include "hafdbs.h"
#include "tlb.h"

#define ID_FIELD(value, shift) ((unsigned)((value) >> (shift)) & 15u)

#define HCR_VM  (UINT64_C(1) << 0)
#define HCR_FB  (UINT64_C(1) << 9)  /* a guest's local TLB and cache maintenance reaches all CPUs */
#define HCR_BSU (UINT64_C(1) << 10) /* its barriers reach the inner shareable domain at least */
#define HCR_PTW (UINT64_C(1) << 2)  /* its stage-1 tables must not lie in device memory */
#define HCR_FWB (UINT64_C(1) << 46)

/* VTCR_EL2: inner shareable, write-back tables, 4 KiB granule, 8-bit VMID. */
#define VTCR_RES1        (UINT64_C(1) << 31)
#define VTCR_PS_SHIFT    16
#define VTCR_SH0_INNER   (UINT64_C(3) << 12)
#define VTCR_ORGN0_WBWA  (UINT64_C(1) << 10)
#define VTCR_IRGN0_WBWA  (UINT64_C(1) << 8)
#define VTCR_SL0_SHIFT   6
#define VTCR_HA          (UINT64_C(1) << 21) /* without it HD has no effect */
#define VTCR_HD          (UINT64_C(1) << 22) /* the MMU opens tracked pages */
#define VTTBR_VMID_SHIFT 48

#define PARANGE_48_BITS 5u

#define SYSREG_ID_AA64MMFR2 S3_0_C0_C7_2

bool port_has_fwb;
/* All CPUs that have started note writes. Changes before the first guest only. */
static bool has_dirty_state;
static unsigned pa_range; /* ID_AA64MMFR0_EL1.PARange, at most 48 bits */

void port_init(void)
{
    pa_range = ID_FIELD(READ_SYSREG(id_aa64mmfr0_el1), 0);
    if (pa_range > PARANGE_48_BITS) {
        pa_range = PARANGE_48_BITS; /* 52 bits need another descriptor layout */
    }
    port_has_fwb = ID_FIELD(READ_SYSREG(SYSREG_ID_AA64MMFR2), 40) != 0;
    has_dirty_state = port_cpu_has_dirty_state();
    port_tlb_init();
    port_find_init();
}

void port_init_cpu(void)
{
    port_tlb_init_cpu();
    if (!port_cpu_has_dirty_state()) {
        /* CPUs start one after the other: start_one in smp.c waits for this one. */
        has_dirty_state = false;
    }
}

uint64_t port_hcr_bits(void)
{
    return HCR_VM | HCR_PTW | HCR_FB | HCR_BSU | (port_has_fwb ? HCR_FWB : 0);
}

void *port_pages_alloc(unsigned order)
{
    return frame_alloc_hv(order);
}

void port_pages_free(void *va, unsigned order)
{
    frame_free_hv(va, order);
}

void *port_run_alloc(uint64_t pages, uint64_t *ret_pages)
{
    return frame_alloc_hv_run(pages, ret_pages);
}

void port_run_free(void *va, uint64_t pages)
{
    frame_free_hv_run(va, pages);
}

unsigned port_s2_pa_bits(void)
{
    static const uint8_t bits[] = {32, 36, 40, 42, 44, 48};

    return bits[pa_range];
}

unsigned port_s2_ipa_bits_max(void)
{
    return port_s2_pa_bits();
}

uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level)
{
    uint64_t start_level = 2 - root_level; /* SL0 counts the other way round */

    return VTCR_RES1 | (uint64_t)pa_range << VTCR_PS_SHIFT | VTCR_SH0_INNER | VTCR_ORGN0_WBWA |
           VTCR_IRGN0_WBWA | (has_dirty_state ? VTCR_HA | VTCR_HD : 0) |
           start_level << VTCR_SL0_SHIFT | (64 - ipa_bits);
}

uint64_t port_s2_root(pa_t root, uint16_t vmid)
{
    return (uint64_t)vmid << VTTBR_VMID_SHIFT | root.addr;
}

bool port_has_hardware_dirty(void)
{
    return has_dirty_state;
}

void port_publish(void)
{
    /* Descriptor stores before it are complete for the table walks of all CPUs; pairs with them. */
    dsb(ishst);
}
