/* SPDX-License-Identifier: MIT */
/* The toy machine's part of the fault path (docs/porting.md). */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>
#include <sched.h>

struct s2_vm;

/* A thread is a CPU. */
extern _Thread_local unsigned toy_cpu_id;
/* All physical memory; a physical address is an offset in it. */
extern uint8_t toy_memory[];

static inline unsigned port_cpu_id(void)
{
    return toy_cpu_id;
}

static inline void port_cpu_relax(void)
{
    sched_yield();
}

static inline void *port_pa_to_va(pa_t pa)
{
    return toy_memory + pa.addr;
}

static inline pa_t port_va_to_pa(const void *va)
{
    return pa_make((uint64_t)((const uint8_t *)va - toy_memory));
}

/* For machines that check or record their descriptor changes. */
static inline void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level,
                                      uint64_t old, uint64_t pte)
{
}

void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa);

#endif
