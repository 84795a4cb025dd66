/* SPDX-License-Identifier: MIT */
/* What the fault path inlines. Contract: core/port.h. */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <barrier.h>
#include <core/addr.h>
#include <core/s2_vm.h>
#include <hv/cpu.h>
#include <hv/layout.h>
#include <sysreg.h>

/* port_tlb_flush_local for a VM that is not the one in VTTBR_EL2. */
void port_tlb_flush_local_other(const struct s2_vm *vm, ipa_t ipa);

static inline unsigned port_cpu_id(void)
{
    return ((const struct cpu *)READ_SYSREG(tpidr_el2))->id;
}

static inline void port_cpu_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

static inline void *port_pa_to_va(pa_t pa)
{
    return (void *)(pa.addr + DIRECT_MAP_BASE);
}

static inline pa_t port_va_to_pa(const void *va)
{
    return pa_make((uint64_t)va - DIRECT_MAP_BASE);
}

static inline void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level,
                                      uint64_t old, uint64_t pte)
{
    (void)vm;
    (void)ipa;
    (void)level;
    (void)old;
    (void)pte;
}

/* The caller has VTTBR_EL2 set to the VM. */
static inline void port_tlb_flush_local_loaded(ipa_t ipa)
{
    dsb(nshst); /* our descriptor store before our walks; other CPUs need not know yet */
    tlbi_value(ipas2e1, ipa.addr >> PAGE_SHIFT);
    dsb(nsh); /* the stage-2 entry is gone before the combined ones go */
    tlbi(vmalle1);
    dsb(nsh); /* complete before the guest's next access */
    isb();
}

static inline void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa)
{
    if (__builtin_expect(READ_SYSREG(vttbr_el2) != vm->root_register, 0)) {
        port_tlb_flush_local_other(vm, ipa);
    } else {
        port_tlb_flush_local_loaded(ipa);
    }
}

#endif
