/* SPDX-License-Identifier: MIT */
/*
 * The part of <port/s2_pte.h> that is about hardware which notes writes, for machines that have
 * none: no page is ever tracked. port_has_hardware_dirty() must be false there.
 */
#ifndef CORE_NO_HARDWARE_DIRTY_H
#define CORE_NO_HARDWARE_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

static inline bool s2_pte_is_tracked(uint64_t pte)
{
    (void)pte;
    return false;
}

static inline uint64_t s2_pte_tracked(uint64_t pte)
{
    return pte;
}

static inline uint64_t s2_pte_untracked(uint64_t pte)
{
    return pte;
}

static inline bool s2_pte_track_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    (void)pages;
    (void)ret_old;
    return false;
}

static inline bool s2_pte_pages_are_closed(const _Atomic uint64_t *pages)
{
    (void)pages;
    return true;
}

static inline unsigned s2_pte_closed_runs(const _Atomic uint64_t *pages, unsigned runs,
                                          uint64_t *ret_open)
{
    (void)pages;
    (void)ret_open;
    return runs;
}

#endif
