/* SPDX-License-Identifier: MIT */
/*
 * The window of a VM: its leaf descriptors as one array of EL2 addresses, 8 bytes for each page.
 * Contract: core/port.h.
 */
#ifndef PORT_WINDOW_H
#define PORT_WINDOW_H

#include <core/addr.h>
#include <core/s2_vm.h>

/*
 * Only this load may abort. Its address is listed, and window_fault.S then goes on behind it: pte
 * stays 0. That has replaced ELR_EL2, SPSR_EL2, ESR_EL2 and FAR_EL2.
 */
static inline uint64_t port_window_load(const struct s2_vm *vm, ipa_t ipa,
                                        _Atomic uint64_t **ret_entry)
{
    _Atomic uint64_t *entry = (_Atomic uint64_t *)vm->window + (ipa.addr >> PAGE_SHIFT);
    uint64_t pte = 0;

    /* Acquire: pairs with the release in s2_entry_swap, as s2_entry_load does. */
    __asm__ volatile("1: ldar %0, [%1]\n"
                     ".pushsection .window_loads, \"a\"\n"
                     ".quad 1b\n"
                     ".popsection"
                     : "+r"(pte)
                     : "r"(entry)
                     : "memory");
    *ret_entry = entry;
    return pte;
}

/*
 * Gives ELR_EL2 and SPSR_EL2 back what they had when the guest was left. ESR_EL2 and FAR_EL2 are
 * lost: who looks for pages while he handles an abort has read them before.
 */
void port_window_missed(void);

#endif
