/* SPDX-License-Identifier: MIT */
/* Which CPUs get what they need: parts that are on the lists, their neighbours, and versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errata.h>

/* MIDR_EL1 of rXpY; the architecture field says that features are described by ID registers. */
static uint64_t midr(unsigned implementer, unsigned part, unsigned x, unsigned y)
{
    return (uint64_t)implementer << 24 | x << 20 | 0xfu << 16 | part << 4 | y;
}

static void tlbi_is_repeated_on_affected_parts(void **state)
{
    static const unsigned parts[] = {
        0xd05, 0xd0b, 0xd0c, 0xd0d, 0xd0e, 0xd40, 0xd41, 0xd42, 0xd44, 0xd47, 0xd48,
        0xd49, 0xd4b, 0xd4c, 0xd4e, 0xd4f, 0xd82, 0xd83, 0xd84, 0xd85, 0xd8c, 0xd90,
    };

    (void)state;
    for (unsigned part = 0, i = 0; part < 0x1000; part++) {
        bool listed = i < sizeof(parts) / sizeof(parts[0]) && part == parts[i];

        i += listed;
        if (part != 0xd46) {
            assert_int_equal(errata_repeat_tlbi(midr(0x41, part, 0, 0)), listed);
            assert_int_equal(errata_repeat_tlbi(midr(0x41, part, 15, 15)), listed);
        }
    }
    assert_true(errata_repeat_tlbi(0x410fd0b1));  /* Cortex-A76 r0p1 */
    assert_true(errata_repeat_tlbi(0x414fd0c1));  /* Neoverse N1 r4p1, QEMU's */
    assert_false(errata_repeat_tlbi(0x410fd083)); /* Cortex-A72 r0p3, QEMU's */
    assert_false(errata_repeat_tlbi(0x000f0510)); /* QEMU's max */
}

static void tlbi_is_repeated_for_affected_versions(void **state)
{
    (void)state;
    assert_true(errata_repeat_tlbi(midr(0x41, 0xd46, 0, 0)));
    assert_true(errata_repeat_tlbi(midr(0x41, 0xd46, 0, 3)));
    assert_true(errata_repeat_tlbi(midr(0x41, 0xd46, 1, 1)));
    assert_false(errata_repeat_tlbi(midr(0x41, 0xd46, 1, 2)));
    assert_true(errata_repeat_tlbi(midr(0x51, 0xc00, 0, 0)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0xc00, 1, 0)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0x804, 12, 13)));
    assert_true(errata_repeat_tlbi(midr(0x51, 0x804, 12, 14)));
    assert_true(errata_repeat_tlbi(midr(0x51, 0x804, 15, 14)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0x804, 15, 15)));
}

static void implementers_are_told_apart(void **state)
{
    (void)state;
    assert_true(errata_repeat_tlbi(midr(0x51, 0x200, 0, 0)));
    assert_true(errata_repeat_tlbi(midr(0x51, 0x2ff, 3, 1)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0x1ff, 0, 0)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0x300, 0, 0)));
    assert_false(errata_repeat_tlbi(midr(0x41, 0x200, 0, 0)));
    assert_false(errata_repeat_tlbi(midr(0x51, 0xd0b, 0, 0)));
    assert_true(errata_repeat_tlbi(midr(0x6d, 0xd49, 0, 0)));
    assert_true(errata_repeat_tlbi(midr(0x4e, 0x010, 0, 0)));
    assert_false(errata_repeat_tlbi(midr(0x4e, 0x004, 0, 0)));
}

static void dirty_state_is_not_used_where_it_is_wrong(void **state)
{
    (void)state;
    assert_true(errata_wrong_dirty_state(midr(0x41, 0xd05, 2, 0)));
    assert_true(errata_wrong_dirty_state(midr(0x51, 0x805, 0, 0)));
    assert_true(errata_wrong_dirty_state(midr(0x41, 0xd46, 0, 2)));
    assert_false(errata_wrong_dirty_state(midr(0x41, 0xd46, 0, 3)));
    assert_true(errata_wrong_dirty_state(midr(0xc0, 0xac3, 0, 0)));
    assert_true(errata_wrong_dirty_state(midr(0xc0, 0xac4, 1, 0)));
    assert_false(errata_wrong_dirty_state(midr(0xc0, 0xac5, 0, 0)));
    assert_false(errata_wrong_dirty_state(0x414fd0c1)); /* Neoverse N1 */
    assert_false(errata_wrong_dirty_state(0x000f0510)); /* QEMU's max */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tlbi_is_repeated_on_affected_parts),
        cmocka_unit_test(tlbi_is_repeated_for_affected_versions),
        cmocka_unit_test(implementers_are_told_apart),
        cmocka_unit_test(dirty_state_is_not_used_where_it_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
