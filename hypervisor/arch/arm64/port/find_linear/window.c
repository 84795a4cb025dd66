/* SPDX-License-Identifier: MIT */
/*
 * Windows on leaf tables. EL2's own translation takes a VM's tables for its own, one level deeper:
 *
 *   level of EL2    is                             which for the VM is
 *   0               EL2's root                     (a root of level 0 is entered here)
 *   1               a table of windows, or         a root of level 0
 *   2               a root of level 1, or          a table of level 1
 *   3               a table of level 2
 *   (page)          a table of level 3: 512 leaf descriptors
 *
 * So the descriptor of ipa is at window + (ipa >> 12) * 8, and 1 GiB of EL2 addresses serves 512
 * GiB of the VM's. A block of 2 MiB, a descriptor in transit and a hole are no valid descriptors of
 * EL2's level 3: the load aborts, and the table is walked. A block of 1 GiB would be a valid one:
 * core/ makes none (S2_FIND_LARGEST).
 *
 * A VMID has its window for itself, at its own addresses, so nothing is switched with the guests.
 */
#include <barrier.h>
#include <core/port.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/el2_map.h>
#include <hv/fdt.h>
#include <hv/layout.h>
#include <port/find.h>
#include <port/s2_pte.h>
#include <port/window.h>
#include <sysreg.h>

#include "../tlb.h"

#define VMIDS        256u
#define LARGE_VMIDS  (1u << (48 - WINDOW_LARGE_SHIFT - 2)) /* a quarter of all addresses */
#define ENTRIES      512u
#define LEVEL0_SHIFT 39
#define LEVEL1_SHIFT 30
#define WINDOW_ENTRIES                                                                             \
    (1u << (WINDOW_SHIFT - LEVEL1_SHIFT)) /* root tables that fit in one window */
#define LEVEL1_TABLES (VMIDS * WINDOW_ENTRIES / ENTRIES)
#define EL2_TABLE     UINT64_C(3) /* valid, a table */

/* EL2's tables of level 1 that hold the windows of all VMIDs; its root. */
static _Atomic uint64_t *level1[LEVEL1_TABLES];
static _Atomic uint64_t *level0;
/* Command line window=shut: tables are never entered and all loads miss, which serves tests. */
static bool shut;

void port_find_init(void)
{
    char what[8];

    shut = cmdline_get("window", what, sizeof(what)) > 0 && what[0] == 's';
    for (unsigned i = 0; i < LEVEL1_TABLES; i++) {
        level1[i] = el2_map_entry(WINDOW_BASE + ((uint64_t)i << LEVEL0_SHIFT), 1);
    }
    level0 = el2_map_entry(WINDOW_LARGE_BASE, 0);
    printk("leaf descriptors are found through windows at %lx and %lx%s\n", WINDOW_BASE,
           WINDOW_LARGE_BASE, shut ? ", all shut" : "");
}

/* Where EL2 enters the root tables of a VMID. */
static _Atomic uint64_t *entries_of(uint16_t vmid, bool large)
{
    unsigned first = vmid * WINDOW_ENTRIES;

    return large ? &level0[vmid] : &level1[first / ENTRIES][first % ENTRIES];
}

uint64_t port_window_open(uint16_t vmid, pa_t root, unsigned root_level, unsigned root_tables)
{
    bool large = root_level == 0;
    _Atomic uint64_t *entries;

    if (vmid >= (large ? LARGE_VMIDS : VMIDS) || root_tables > WINDOW_ENTRIES) {
        return 0;
    }
    entries = entries_of(vmid, large);
    for (unsigned i = 0; i < root_tables && !shut; i++) {
        /* Release: pairs with the walks of EL2: they see an empty table. */
        atomic_store_explicit(&entries[i], (root.addr + i * PAGE_SIZE_BYTES) | EL2_TABLE,
                              memory_order_release);
    }
    /* No entry was valid, so none is cached. Until a CPU sees them, its loads miss: no ISB. */
    dsb(ishst);
    return large ? WINDOW_LARGE_BASE + ((uint64_t)vmid << WINDOW_LARGE_SHIFT)
                 : WINDOW_BASE + ((uint64_t)vmid << WINDOW_SHIFT);
}

/* Everything that EL2 has cached of its own tables, on all CPUs. */
static void forget_all(void)
{
    tlbi(alle2is);
    dsb(ish); /* complete on all CPUs before a table is freed */
    if (port_tlb_must_repeat) {
        tlbi(alle2is);
        dsb(ish);
    }
    isb();
}

/* One page of a window, and the way to it. */
static void forget_page(uint64_t va)
{
    tlbi_value(vae2is, va >> PAGE_SHIFT);
    dsb(ish); /* complete on all CPUs before a table is freed */
    if (port_tlb_must_repeat) {
        tlbi_value(vae2is, va >> PAGE_SHIFT);
        dsb(ish);
    }
    isb();
}

void port_window_close(const struct s2_vm *vm)
{
    bool large = vm->window >= WINDOW_LARGE_BASE;
    _Atomic uint64_t *entries = entries_of(vm->vmid, large);

    for (unsigned i = 0; i < (large ? 1 : WINDOW_ENTRIES); i++) {
        atomic_store_explicit(&entries[i], 0, memory_order_relaxed); /* the DSB orders it */
    }
    dsb(ishst); /* no walk refills from the old entries */
    forget_all();
}

void port_window_forget(const struct s2_vm *vm, ipa_t ipa, unsigned level)
{
    dsb(ishst); /* the break before the invalidation: no walk refills from the old descriptor */
    if (level == 2) {
        forget_page(vm->window + (ipa.addr >> PAGE_SHIFT) * sizeof(uint64_t));
    } else {
        forget_all(); /* a table of tables is seldom freed */
    }
}

void port_window_missed(void)
{
    /* Nothing: ELR and SPSR are set anew at every way back to a guest, or kept by vectors.S. */
}
