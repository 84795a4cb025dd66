/* SPDX-License-Identifier: MIT */
/* <port/atomic.h> (core/port.h) for machines whose compiler makes the best of C's own operations.
 */
#ifndef CORE_PLAIN_ATOMICS_H
#define CORE_PLAIN_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

/* Macros, so that the order stays a constant in every build. */
#define port_fetch_or(at, bits, order)    atomic_fetch_or_explicit(at, bits, order)
#define port_fetch_clear(at, bits, order) atomic_fetch_and_explicit(at, ~(uint64_t)(bits), order)
#define port_exchange(at, value, order)   atomic_exchange_explicit(at, value, order)
#define port_compare_exchange(at, expected, value, order)                                          \
    atomic_compare_exchange_strong_explicit(at, expected, value, order, memory_order_relaxed)

#endif
