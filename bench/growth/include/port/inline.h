/* SPDX-License-Identifier: MIT */
/* The growth benchmark's part of the fault path: a thread is a CPU, and there is no TLB. */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>
#include <sched.h>

struct s2_vm;

extern _Thread_local unsigned growth_cpu_id;
/* Memory for tables and bitmaps; a physical address is an offset in it. */
extern uint8_t *growth_memory;

static inline unsigned port_cpu_id(void)
{
    return growth_cpu_id;
}

static inline void port_cpu_relax(void)
{
    sched_yield();
}

static inline void *port_pa_to_va(pa_t pa)
{
    return growth_memory + pa.addr;
}

static inline pa_t port_va_to_pa(const void *va)
{
    return pa_make((uint64_t)((const uint8_t *)va - growth_memory));
}

static inline void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level,
                                      uint64_t old, uint64_t pte)
{
}

static inline void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa)
{
}

#endif
