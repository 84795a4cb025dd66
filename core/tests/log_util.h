/* SPDX-License-Identifier: MIT */
/* One VM whose log is looked at. */
#ifndef TESTS_LOG_UTIL_H
#define TESTS_LOG_UTIL_H

#include "util.h"

#include <string.h>

#define CHUNK DIRTY_LOG_CHUNK_PAGES

static struct s2_vm vm;
static uint8_t bits[CHUNK / 8];

static inline void store(uint64_t ipa)
{
    assert_int_equal(fake_store(&vm, ipa_make(ipa), 1), FAKE_DONE);
}

static inline uint64_t take(uint64_t first_gfn)
{
    uint64_t taken = dirty_log_harvest_take(&vm, first_gfn, CHUNK, bits);

    fake_check_tlbs(&vm);
    return taken;
}

/* A whole session over the first chunk. */
static inline uint64_t harvest(void)
{
    uint64_t taken;

    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    taken = take(0);
    dirty_log_harvest_commit(&vm);
    return taken;
}

static inline struct s2_stats stats(void)
{
    struct s2_stats now;

    s2_stats_get(&vm, &now);
    return now;
}

#define TEST(name) cmocka_unit_test_setup(name, fresh_machine)

#endif
