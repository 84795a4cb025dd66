/* SPDX-License-Identifier: MIT */
/* What the fault path inlines. Contract: core/port.h. */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>
#include <hv/cpu.h>
#include <hv/layout.h>
#include <sysreg.h>

struct s2_vm;

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

#endif
