/* SPDX-License-Identifier: MIT */
/*
 * The part of log_range.h that Frama-C cannot prove, because it is about single bits: all arguments
 * that there are. The rest: proofs/wp.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log_range.h"

static void test_log_bits(void **state)
{
    unsigned checked = 0;

    (void)state;
    for (unsigned first = 0; first < 64; first++) {
        uint64_t expected = 0;

        for (unsigned count = 1; count <= 64 - first; count++, checked++) {
            expected |= UINT64_C(1) << (first + count - 1);
            assert_true(log_bits(first, count) == expected);
        }
    }
    assert_int_equal(checked, 64 * 65 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_log_bits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
