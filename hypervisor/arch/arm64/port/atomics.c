/* SPDX-License-Identifier: MIT */
/* Chooses the instructions of <port/atomic.h>, once. */
#include <port/arm64.h>
#include <port/atomic.h>

#include <barrier.h>
#include <sysreg.h>

#define ISAR0_ATOMIC_SHIFT 20 /* ID_AA64ISAR0_EL1: 2 and more has LDSET, LDCLR, SWP, CAS */

/* godwit.lds */
extern const struct port_atomic_site _atomic_sites[], _atomic_sites_end[];

static bool is_patched;

bool port_cpu_has_atomics(void)
{
    return (READ_SYSREG(id_aa64isar0_el1) >> ISAR0_ATOMIC_SHIFT & 15) >= 2;
}

/* No atomic operation, and nothing that has one: this may be what it changes. */
void port_atomics_init(void)
{
    uintptr_t sites =
        ((uintptr_t)_atomic_sites_end - (uintptr_t)_atomic_sites) / sizeof(*_atomic_sites);

    if (!port_cpu_has_atomics()) {
        return;
    }
    for (const struct port_atomic_site *site = _atomic_sites; sites > 0; site++, sites--) {
        volatile uint32_t *text = (volatile uint32_t *)((uintptr_t)&site->offset + site->offset);

        text[0] = site->instructions[0];
        text[1] = site->instructions[1];
        /* The two may lie in two lines. */
        __asm__ volatile("dc cvau, %0\n\tdc cvau, %1" ::"r"(text), "r"(text + 1) : "memory");
    }
    dsb(ish); /* the new text is where instructions are fetched before the old ones are dropped */
    __asm__ volatile("ic ialluis" ::: "memory");
    dsb(ish); /* dropped on all CPUs before any of it is executed */
    isb();
    is_patched = true;
}

bool port_atomics_are_patched(void)
{
    return is_patched;
}
