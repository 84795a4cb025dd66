/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else: the atomic accesses of core/ count themselves. What they do is
 * what <stdatomic.h> says, on the same types.
 */
#ifndef BENCH_COUNTING_H
#define BENCH_COUNTING_H

#include <stdatomic.h>
#include <stdint.h>

enum growth_access { GROWTH_LOAD, GROWTH_STORE, GROWTH_CHANGE, GROWTH_ACCESSES };

void growth_count(const volatile void *address, enum growth_access access);

/* A pointer to what p points to without _Atomic, counted. */
#define GROWTH_PLAIN(p, access)                                                                    \
    __auto_type growth_p = (p);                                                                    \
    typedef __typeof__((void)0, *growth_p) growth_t;                                               \
    volatile growth_t *growth_plain = (volatile growth_t *)(uintptr_t)growth_p;                    \
    growth_count(growth_plain, access)

#undef atomic_load_explicit
#define atomic_load_explicit(p, order)                                                             \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_LOAD);                                                              \
        __atomic_load_n(growth_plain, order);                                                      \
    })

#undef atomic_store_explicit
#define atomic_store_explicit(p, value, order)                                                     \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_STORE);                                                             \
        __atomic_store_n(growth_plain, (growth_t)(value), order);                                  \
    })

#undef atomic_exchange_explicit
#define atomic_exchange_explicit(p, value, order)                                                  \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_CHANGE);                                                            \
        __atomic_exchange_n(growth_plain, (growth_t)(value), order);                               \
    })

#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(p, expected, value, order, failure)                \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_CHANGE);                                                            \
        __atomic_compare_exchange_n(growth_plain, expected, (growth_t)(value), 0, order, failure); \
    })

#undef atomic_fetch_or_explicit
#define atomic_fetch_or_explicit(p, value, order)                                                  \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_CHANGE);                                                            \
        __atomic_fetch_or(growth_plain, (growth_t)(value), order);                                 \
    })

#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(p, value, order)                                                 \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_CHANGE);                                                            \
        __atomic_fetch_and(growth_plain, (growth_t)(value), order);                                \
    })

#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(p, value, order)                                                 \
    __extension__({                                                                                \
        GROWTH_PLAIN(p, GROWTH_CHANGE);                                                            \
        __atomic_fetch_add(growth_plain, (growth_t)(value), order);                                \
    })

#undef atomic_fetch_or
#define atomic_fetch_or(p, value) atomic_fetch_or_explicit(p, value, memory_order_seq_cst)
#undef atomic_fetch_and
#define atomic_fetch_and(p, value) atomic_fetch_and_explicit(p, value, memory_order_seq_cst)

#endif
