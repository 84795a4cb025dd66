/* SPDX-License-Identifier: MIT */
/* What every test file needs. */
#ifndef TESTS_UTIL_H
#define TESTS_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <core/dirty_log.h>
#include <core/s2.h>
#include <core/s2_vm.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "find.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* find_linear makes no 1 GiB blocks: what would be one is 512 of 2 MiB in a table. */
#define BLOCKS_OF_1G (S2_FIND_LARGEST == S2_LEVEL_1G)

/* The frame that tests map at ipa unless they say otherwise: same offset from the RAM base. */
static inline pa_t frame_for(uint64_t ipa)
{
    return pa_make(FAKE_RAM_BASE + ipa);
}

static inline void make_vm(struct s2_vm *vm, uint8_t ipa_bits)
{
    static uint16_t vmid; /* one after the other: some tests have several VMs */

    vmid = vmid % 64 + 1;
    assert_int_equal(s2_init(vm, &(struct s2_config){.vmid = vmid, .ipa_bits = ipa_bits}), 0);
}

static inline void map_ram(struct s2_vm *vm, uint64_t ipa, uint64_t bytes)
{
    assert_int_equal(s2_map(vm, ipa_make(ipa), frame_for(ipa), bytes, S2_RAM_RW), 0);
}

static inline void abort_session(struct s2_vm *vm)
{
    while (dirty_log_harvest_abort(vm) == -CORE_ERESTART) {
    }
}

/* How logging is enabled: by faults, unless CORE_LOG asks for "hardware" or "eager". */
static struct dirty_log_options log_options;

static inline void read_log_options(void)
{
    const char *mode = getenv("CORE_LOG");

    log_options.hardware = mode != NULL && strstr(mode, "hardware") != NULL;
    log_options.eager_split = mode != NULL && strstr(mode, "eager") != NULL;
}

/* What n first writes cost: a fault each, or nothing where the hardware notices them. */
static inline uint64_t first_write_faults(uint64_t n)
{
    return log_options.hardware ? 0 : n;
}

static inline void enable_log(struct s2_vm *vm)
{
    int result;

    do {
        result = dirty_log_enable(vm, &log_options);
    } while (result == -CORE_ERESTART);
    assert_int_equal(result, 0);
}

static inline void log_off(struct s2_vm *vm)
{
    int result;

    do {
        result = dirty_log_off(vm);
    } while (result == -CORE_ERESTART);
    assert_int_equal(result, 0);
    if (log_options.hardware) {
        assert_int_equal(fake_tracked_pages(vm), 0);
    }
}

/* Unmaps everything, destroys, and finds no page missing. */
static inline void end_vm(struct s2_vm *vm)
{
    fake_hook = NULL;
    log_off(vm);
    assert_int_equal(s2_unmap(vm, ipa_make(0), UINT64_C(1) << vm->ipa_bits, NULL, NULL), 0);
    fake_check_tlbs(vm);
    s2_destroy(vm);
    assert_int_equal(fake_pages_allocated(), 0);
}

static inline bool test_bit(const uint8_t *bits, uint64_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

/* For cmocka's setup hook. */
static inline int fresh_machine(void **state)
{
    (void)state;
    fake_reset();
    read_log_options();
    return 0;
}

#endif
