/* SPDX-License-Identifier: MIT */
/* The machine of growth.c: tables lie in this program's memory, by its own addresses. */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>
#include <sched.h>

struct s2_vm;

extern _Thread_local unsigned growth_cpu;

static inline unsigned port_cpu_id(void)
{
    return growth_cpu;
}

static inline void port_cpu_relax(void)
{
    sched_yield();
}

static inline void *port_pa_to_va(pa_t pa)
{
    return (void *)pa.addr;
}

static inline pa_t port_va_to_pa(const void *va)
{
    return pa_make((uint64_t)va);
}

static inline void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level,
                                      uint64_t old, uint64_t pte)
{
}

static inline void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa)
{
}

#endif
