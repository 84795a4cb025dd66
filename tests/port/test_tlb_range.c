/* SPDX-License-Identifier: MIT */
/*
 * Operands of the range invalidation against the architecture's formula for what they cover. An
 * emulator may invalidate more than it was told, so guests would not notice a page too few.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <tlb_range.h>

#define BASE_MAX ((UINT64_C(1) << 36) - 1) /* of 48 bits of address */

/* Cuts the range, and puts the pieces together as the architecture reads them. */
static void check(uint64_t base, uint64_t pages)
{
    struct tlb_range range = {.base = base, .pages = pages};
    uint64_t next = base, value;
    unsigned operations = 0;

    while (tlb_range_next(&range, &value)) {
        unsigned scale = (unsigned)(value >> 44) & 3u, number = (unsigned)(value >> 39) & 31u;

        assert_int_equal(value >> 46, 1);     /* 4 KiB granule, ASID 0 */
        assert_int_equal(value >> 37 & 3, 0); /* any level */
        assert_int_equal(value & ((UINT64_C(1) << 37) - 1), next);
        next += (uint64_t)(number + 1) << (5 * scale + 1);
        operations++;
    }
    assert_int_equal(next, base + pages);
    assert_true(operations <= 4);
}

static void ranges_are_covered_exactly(void **state)
{
    (void)state;
    for (uint64_t pages = 2; pages < 20000; pages += 2) {
        check(0, pages);
        check(12345, pages);
    }
    for (uint64_t pages = 2; pages < TLB_RANGE_PAGES_MAX; pages += 4098) {
        check(UINT64_C(0x40000), pages);
        check(BASE_MAX + 1 - pages, pages);
    }
}

static void edges_of_scales(void **state)
{
    (void)state;
    for (unsigned bit = 1; bit < 21; bit++) {
        const uint64_t pages = UINT64_C(1) << bit;

        check(512, pages);
        check(512, pages + 2);
        check(512, 2 * pages - 2);
    }
    check(0, TLB_RANGE_PAGES_MAX - 2);
    check(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_covered_exactly),
        cmocka_unit_test(edges_of_scales),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
