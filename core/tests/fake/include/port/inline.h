/* SPDX-License-Identifier: MIT */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>
#include <sched.h>
#include <stdatomic.h>

struct s2_vm;

/* The simulated CPU that this thread is. */
extern _Thread_local unsigned fake_cpu;
/* Called wherever another CPU might act in between; NULL: nobody does. */
extern void (*fake_hook)(void);

static inline void fake_point(void)
{
    if (fake_hook != NULL) {
        fake_hook();
    }
}

static inline unsigned port_cpu_id(void)
{
    return fake_cpu;
}

/* How often anybody has waited. */
extern _Atomic uint64_t fake_spins;

static inline void port_cpu_relax(void)
{
    /* Relaxed: it must not order what the thread sanitizer watches. */
    if (atomic_fetch_add_explicit(&fake_spins, 1, memory_order_relaxed) % 64 == 63) {
        sched_yield();
    }
}

/* Table pages come from the C library, so that the address sanitizer watches them. */
#define FAKE_TABLE_OFFSET (UINT64_C(1) << 43)

static inline void *port_pa_to_va(pa_t pa)
{
    return (void *)(pa.addr - FAKE_TABLE_OFFSET);
}

static inline pa_t port_va_to_pa(const void *va)
{
    return pa_make((uint64_t)va + FAKE_TABLE_OFFSET);
}

void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level, uint64_t old,
                        uint64_t pte);

void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa);

#endif
