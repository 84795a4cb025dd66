/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations on descriptors and the log (core/port.h). Each is a loop of exclusive accesses,
 * as every CPU has them. Its first two instructions become one of FEAT_LSE and a branch behind
 * the loop where all CPUs have that (port_atomics_init): so nobody pays for a test at run time.
 */
#ifndef PORT_ATOMIC_H
#define PORT_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What .atomic_sites holds: two instructions, and where they go, from offset itself. */
struct port_atomic_site {
    int32_t offset;
    uint32_t instructions[2];
};

/* An entry for the loop at label 1, with as many bytes to branch over as it has behind the first
 * instruction. */
#define PORT_ATOMIC_SITE(instruction, bytes)                                                       \
    ".pushsection .atomic_sites, \"a\"\n\t.word 1b - .\n\t.arch_extension lse\n\t" instruction     \
    "\n\t.arch_extension nolse\n\tb . + " #bytes "\n\t.popsection"

/* load, store and instruction are those of one order. */
#define PORT_FETCH(load, operation, store, instruction)                                            \
    __asm__ volatile(                                                                              \
        "1: " load " %0, %3\n\t" operation " %1, %0, %4\n\t" store                                 \
        " %w2, %1, %3\n\tcbnz %w2, 1b\n\t" PORT_ATOMIC_SITE(instruction " %4, %0, %3", 12)         \
        : "=&r"(old), "=&r"(changed), "=&r"(failed), "+Q"(*at)                                     \
        : "r"(bits)                                                                                \
        : "memory")

#define PORT_EXCHANGE(store, instruction)                                                          \
    __asm__ volatile(                                                                              \
        "1: ldaxr %0, %2\n\t" store                                                                \
        " %w1, %x3, %2\n\tcbnz %w1, 1b\n\t" PORT_ATOMIC_SITE(instruction " %x3, %0, %2", 8)        \
        : "=&r"(old), "=&r"(failed), "+Q"(*at)                                                     \
        : "rZ"(value)                                                                              \
        : "memory")

/* Inlined everywhere: the order is a constant there, and one case is left. */
#define PORT_INLINED __attribute__((always_inline))
static inline uint64_t port_fetch_or(_Atomic uint64_t *at, uint64_t bits,
                                     memory_order order) PORT_INLINED;
static inline uint64_t port_fetch_clear(_Atomic uint64_t *at, uint64_t bits,
                                        memory_order order) PORT_INLINED;
static inline uint64_t port_exchange(_Atomic uint64_t *at, uint64_t value,
                                     memory_order order) PORT_INLINED;
static inline bool port_compare_exchange(_Atomic uint64_t *at, uint64_t *expected, uint64_t value,
                                         memory_order order) PORT_INLINED;

/* Other orders than these count as acq_rel. */
static inline uint64_t port_fetch_or(_Atomic uint64_t *at, uint64_t bits, memory_order order)
{
    uint64_t old, changed;
    uint32_t failed;

    if (order == memory_order_relaxed) {
        PORT_FETCH("ldxr", "orr", "stxr", "ldset");
    } else if (order == memory_order_acquire) {
        PORT_FETCH("ldaxr", "orr", "stxr", "ldseta");
    } else if (order == memory_order_release) {
        PORT_FETCH("ldxr", "orr", "stlxr", "ldsetl");
    } else {
        PORT_FETCH("ldaxr", "orr", "stlxr", "ldsetal");
    }
    return old;
}

static inline uint64_t port_fetch_clear(_Atomic uint64_t *at, uint64_t bits, memory_order order)
{
    uint64_t old, changed;
    uint32_t failed;

    if (order == memory_order_relaxed) {
        PORT_FETCH("ldxr", "bic", "stxr", "ldclr");
    } else if (order == memory_order_acquire) {
        PORT_FETCH("ldaxr", "bic", "stxr", "ldclra");
    } else if (order == memory_order_release) {
        PORT_FETCH("ldxr", "bic", "stlxr", "ldclrl");
    } else {
        PORT_FETCH("ldaxr", "bic", "stlxr", "ldclral");
    }
    return old;
}

/* acquire; anything else counts as acq_rel. */
static inline uint64_t port_exchange(_Atomic uint64_t *at, uint64_t value, memory_order order)
{
    uint64_t old;
    uint32_t failed;

    if (order == memory_order_acquire) {
        PORT_EXCHANGE("stxr", "swpa");
    } else {
        PORT_EXCHANGE("stlxr", "swpal");
    }
    return old;
}

/* acq_rel, whatever the order says. */
static inline bool port_compare_exchange(_Atomic uint64_t *at, uint64_t *expected, uint64_t value,
                                         memory_order order)
{
    uint64_t wanted = *expected, old = wanted, seen;
    uint32_t failed;

    (void)order;
    __asm__ volatile("1: ldaxr %1, %3\n\tcmp %1, %0\n\tb.ne 2f\n\tstlxr %w2, %4, %3\n\t"
                     "cbnz %w2, 1b\n2: mov %0, %1\n\t" PORT_ATOMIC_SITE("casal %0, %4, %3", 20)
                     : "+&r"(old), "=&r"(seen), "=&r"(failed), "+Q"(*at)
                     : "r"(value)
                     : "cc", "memory");
    *expected = old;
    return old == wanted;
}

#endif
