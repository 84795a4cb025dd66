/* SPDX-License-Identifier: MIT */
/*
 * The descriptor constructors of arm64 against the architecture's own drawing of a stage-2
 * descriptor (Arm ARM, VMSAv8-64, 4 KiB granule, 48 bits): every type, level, permission and
 * attribute scheme, with every bit and every pair of bits of an address. This is the proof that
 * Frama-C cannot give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <port/s2_pte.h>

bool port_has_fwb;

#define PA_TOP 48u

enum field {
    KIND,
    MEMATTR,
    S2AP,
    SH,
    AF,
    FNXS,
    ADDRESS,
    RES0,
    DBM,
    CONTIGUOUS,
    XN,
    SOFTWARE,
    HIGH, /* PBHA and what stage 2 does not use */
    FIELDS,
};
static const unsigned field_bits[FIELDS] = {
    [KIND] = 2, [MEMATTR] = 4,  [S2AP] = 2, [SH] = 2,  [AF] = 1,
    [FNXS] = 1, [ADDRESS] = 36, [RES0] = 3, [DBM] = 1, [CONTIGUOUS] = 1,
    [XN] = 2,   [SOFTWARE] = 4, [HIGH] = 5,
};

struct fields {
    uint64_t value[FIELDS];
};

static struct fields take_apart(uint64_t pte)
{
    struct fields fields;
    unsigned low = 0;

    for (unsigned i = 0; i < FIELDS; i++) {
        fields.value[i] = pte >> low & ((UINT64_C(1) << field_bits[i]) - 1);
        low += field_bits[i];
    }
    assert_int_equal(low, 64);
    return fields;
}

static void check_fields(uint64_t pte, const struct fields *expected)
{
    struct fields fields = take_apart(pte);

    for (unsigned i = 0; i < FIELDS; i++) {
        if (fields.value[i] != expected->value[i]) {
            fail_msg("descriptor %016llx: field %u is %llx, not %llx", (unsigned long long)pte, i,
                     (unsigned long long)fields.value[i], (unsigned long long)expected->value[i]);
        }
    }
}

static const enum s2_type types[] = {S2_RAM_RW,     S2_RAM_RO,     S2_DEVICE,
                                     S2_FOREIGN_RW, S2_FOREIGN_RO, S2_SHARED};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* What the architecture wants for a page or block of that type. */
static struct fields expected_leaf(uint64_t pa, unsigned level, enum s2_type type, bool writable)
{
    struct fields fields = {{0}};
    bool is_device = type == S2_DEVICE;
    bool is_own_memory = type == S2_RAM_RW || type == S2_RAM_RO;

    fields.value[KIND] = level == 3 ? 3 : 1; /* page : block */
    /* Device-nGnRE; Normal Write-Back, inner and outer; with FWB: forced to be Write-Back. */
    fields.value[MEMATTR] = is_device ? 1 : port_has_fwb ? 6 : 15;
    fields.value[S2AP] = writable ? 3 : 1; /* readable always */
    fields.value[SH] = 3;                  /* inner */
    fields.value[AF] = 1;
    fields.value[ADDRESS] = pa >> 12;
    fields.value[XN] = is_own_memory ? 0 : 2; /* no execution at EL1 and EL0 */
    fields.value[SOFTWARE] = (uint64_t)type;
    return fields;
}

static unsigned page_bits(unsigned level)
{
    return 12 + 9 * (3 - level);
}

static void check_leaf(uint64_t pa, unsigned level, enum s2_type type, bool writable)
{
    struct fields expected = expected_leaf(pa, level, type, writable);
    uint64_t pte = s2_pte_leaf(pa_make(pa), level, type, writable);
    _Atomic uint64_t entry = pte;

    check_fields(pte, &expected);
    assert_int_equal(s2_pte_pa(pte, level).addr, pa);
    assert_int_equal(s2_pte_type(pte, level), type);
    assert_int_equal(s2_pte_is_writable(pte, level), writable);
    assert_true(s2_pte_is_leaf(pte, level));
    assert_false(s2_pte_is_table(pte, level));
    if (level == 3) {
        for (unsigned other = 0; other < 16; other++) {
            assert_int_equal(s2_pte_is_page(pte, (enum s2_type)other, writable), other == type);
            assert_false(s2_pte_is_page(pte, (enum s2_type)other, !writable));
        }
        assert_false(s2_pte_is_page(pte & ~S2_PTE_VALID, type, writable));
    }
    assert_true(pte != s2_pte_locked() && pte != 0);

    expected.value[S2AP] = 3;
    check_fields(s2_pte_opened(pte, level), &expected);
    assert_int_equal(s2_pte_open(&entry, level), pte);
    check_fields(entry, &expected);

    expected.value[S2AP] = 1;
    check_fields(s2_pte_closed(pte, level), &expected);
    (void)s2_pte_close(&entry, level);
    check_fields(entry, &expected);
}

/* A page that the MMU opens by itself: DBM, not writable yet, and the rest as it was. */
static void check_tracked(uint64_t pa, bool writable)
{
    struct fields expected = expected_leaf(pa, 3, S2_RAM_RW, false);
    uint64_t pte = s2_pte_leaf(pa_make(pa), 3, S2_RAM_RW, writable);
    uint64_t tracked = s2_pte_tracked(pte);

    assert_false(s2_pte_is_tracked(pte));
    assert_true(s2_pte_is_tracked(tracked));
    assert_int_equal(s2_pte_untracked(tracked), s2_pte_closed(pte, 3));
    assert_true(s2_pte_is_leaf(tracked, 3));
    assert_int_equal(s2_pte_pa(tracked, 3).addr, pa);
    assert_int_equal(s2_pte_type(tracked, 3), S2_RAM_RW);
    expected.value[DBM] = 1;
    check_fields(tracked, &expected);
    expected.value[S2AP] = 3; /* what the MMU makes of it: dirty */
    check_fields(s2_pte_opened(tracked, 3), &expected);
    assert_int_equal(s2_pte_closed(s2_pte_opened(tracked, 3), 3), tracked);
}

static void check_table(uint64_t pa, unsigned level)
{
    uint64_t pte = s2_pte_table(pa_make(pa), level);
    struct fields fields = take_apart(pte);

    /* At stage 2 the other bits of a table descriptor are ignored, but for the top five. */
    assert_int_equal(fields.value[KIND], 3);
    assert_int_equal(fields.value[ADDRESS], pa >> 12);
    assert_int_equal(fields.value[RES0], 0);
    assert_int_equal(fields.value[HIGH], 0);
    assert_int_equal(s2_pte_pa(pte, level).addr, pa);
    assert_true(s2_pte_is_table(pte, level));
    assert_false(s2_pte_is_leaf(pte, level));
}

typedef void (*check_pa_fn)(uint64_t pa, unsigned level);

/* Every address with no, one, two or all bits set. */
static void for_addresses(unsigned alignment, unsigned level, check_pa_fn check)
{
    check(0, level);
    check((UINT64_C(1) << PA_TOP) - (UINT64_C(1) << alignment), level);
    for (unsigned a = alignment; a < PA_TOP; a++) {
        for (unsigned b = a; b < PA_TOP; b++) {
            check(UINT64_C(1) << a | UINT64_C(1) << b, level);
        }
    }
}

static void check_leaves_at(uint64_t pa, unsigned level)
{
    for (unsigned i = 0; i < TYPES; i++) {
        for (unsigned choice = 0; choice < 4; choice++) {
            port_has_fwb = choice % 2 != 0;
            check_leaf(pa, level, types[i], choice / 2 != 0);
        }
    }
}

static void test_leaves(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 3; level++) {
        for_addresses(page_bits(level), level, check_leaves_at);
    }
}

static void check_tracked_at(uint64_t pa, unsigned level)
{
    (void)level;
    for (unsigned choice = 0; choice < 4; choice++) {
        port_has_fwb = choice % 2 != 0;
        check_tracked(pa, choice / 2 != 0);
    }
}

static void test_tracked(void **state)
{
    (void)state;
    for_addresses(page_bits(3), 3, check_tracked_at);
}

static void test_tables(void **state)
{
    (void)state;
    for (unsigned level = 0; level <= 2; level++) {
        for_addresses(12, level, check_table);
    }
}

/* Whatever the other bits are, the lowest two decide, and what they mean depends on the level. */
static void test_kinds(void **state)
{
    static const uint64_t others[] = {0, ~UINT64_C(3), UINT64_C(0x5555555555555554)};

    (void)state;
    for (unsigned level = 0; level <= 3; level++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                uint64_t pte = others[i] | kind;

                assert_int_equal(s2_pte_is_table(pte, level), kind == 3 && level < 3);
                /* There are no blocks of level 0, and nobody makes one. */
                if (level != 0) {
                    assert_int_equal(s2_pte_is_leaf(pte, level), kind == (level == 3 ? 3 : 1));
                }
            }
        }
    }
}

/* A descriptor in transit is invalid, and not the one that maps nothing. */
static void test_locked(void **state)
{
    (void)state;
    assert_int_equal(take_apart(s2_pte_locked()).value[KIND] & 1, 0);
    assert_true(s2_pte_locked() != 0);
    for (unsigned level = 0; level <= 3; level++) {
        assert_false(s2_pte_is_leaf(s2_pte_locked(), level));
        assert_false(s2_pte_is_table(s2_pte_locked(), level));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves), cmocka_unit_test(test_tracked),
        cmocka_unit_test(test_tables), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_locked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
