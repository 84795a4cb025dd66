/* SPDX-License-Identifier: MIT */
/*
 * Contracts of the descriptor functions of arm64 that WP can prove: changing a permission changes
 * nothing else, and what the predicates ask. What constructors build, bit by bit, is proven by
 * enumeration in tests/port. Frama-C reads this file, no compiler does.
 */
#define _Atomic
#define _Alignas(bytes)
#include <core/addr.h>
#include <core/s2.h>

/*@ assigns \nothing;
    ensures (\result & 1) == 0 && \result != 0; */
static inline uint64_t s2_pte_locked(void);

/*@ assigns \nothing;
    ensures (\result & 0x80) == 0x80; */
static inline uint64_t s2_pte_opened(uint64_t pte, unsigned level);

/*@ assigns \nothing;
    ensures (\result & 0x80) == 0;
    ensures (\result & 0xffffffffffffff7f) == (pte & 0xffffffffffffff7f); */
static inline uint64_t s2_pte_closed(uint64_t pte, unsigned level);

/*@ assigns \nothing;
    ensures \result <==> (pte & 0x80) != 0; */
static inline bool s2_pte_is_writable(uint64_t pte, unsigned level);

/*@ assigns \nothing;
    ensures \result <==> (pte & 3) == (level == 3 ? 3 : 1); */
static inline bool s2_pte_is_leaf(uint64_t pte, unsigned level);

/*@ assigns \nothing;
    ensures \result <==> level < 3 && (pte & 3) == 3; */
static inline bool s2_pte_is_table(uint64_t pte, unsigned level);

#include <port/s2_pte.h>
