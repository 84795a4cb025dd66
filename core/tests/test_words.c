/* SPDX-License-Identifier: MIT */
/* Harvests as words: every boundary, room that runs out, and nothing visited that is clean. */
#include "log_util.h"

static struct dirty_log_word words[DIRTY_LOG_WORDS];
static uint64_t pages_found;

/* Where one session's words are collected. */
static struct dirty_log_word found[4096];
static unsigned found_count;

/* The machine's frames are fewer than the addresses that guests have: some are mapped twice. */
static void map_at(uint64_t ipa, uint64_t bytes)
{
    assert_int_equal(s2_map(&vm, ipa_make(ipa), frame_for(ipa % GIB(4)), bytes, S2_RAM_RW), 0);
}

/* A whole session over gfns [first, end), in as many calls as it takes. Returns the calls. */
static unsigned harvest_words(uint64_t first, uint64_t end)
{
    unsigned calls = 0;

    found_count = 0;
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (uint64_t gfn = first; gfn < end; calls++) {
        unsigned count = dirty_log_harvest_words(&vm, &gfn, end, words, &pages_found);

        assert_true(count <= DIRTY_LOG_WORDS);
        fake_check_tlbs(&vm);
        for (unsigned i = 0; i < count; i++) {
            assert_true(words[i].gfn % 64 == 0 && words[i].bits != 0);
            assert_true(words[i].gfn < gfn);
            assert_true(found_count == 0 || found[found_count - 1].gfn < words[i].gfn);
            found[found_count++] = words[i];
            pages_found -= (unsigned)__builtin_popcountll(words[i].bits);
        }
        assert_int_equal(pages_found, 0);
    }
    dirty_log_harvest_commit(&vm);
    return calls;
}

static void expect_only(uint64_t gfn)
{
    assert_int_equal(found_count, 1);
    assert_int_equal(found[0].gfn, gfn & ~UINT64_C(63));
    assert_int_equal(found[0].bits, UINT64_C(1) << (gfn % 64));
}

static void single_pages_at_every_boundary(void **state)
{
    /* Page 0, both sides of a word, of a summary word, of a chunk, of a word of chunks; the top. */
    static const uint64_t gfns[] = {
        0,     63,        64,        4095,           4096,       CHUNK - 1,
        CHUNK, CHUNK + 1, 2 * CHUNK, 64 * CHUNK - 1, 64 * CHUNK, ((uint64_t)1 << 28) - 1,
    };
    const uint64_t end = UINT64_C(1) << 28;

    (void)state;
    make_vm(&vm, 40);
    for (unsigned i = 0; i < sizeof(gfns) / sizeof(gfns[0]); i++) {
        map_at(gfns[i] << PAGE_SHIFT, KIB(4));
    }
    enable_log(&vm);
    for (unsigned i = 0; i < sizeof(gfns) / sizeof(gfns[0]); i++) {
        uint64_t gfn = gfns[i];

        store(gfn << PAGE_SHIFT);
        harvest_words(gfn & ~UINT64_C(63), gfn); /* ends right before it */
        assert_int_equal(found_count, 0);
        harvest_words(gfn - gfn % 64 + 64, end); /* begins behind it */
        assert_int_equal(found_count, 0);
        harvest_words(0, gfn + 1);
        expect_only(gfn);
        assert_int_equal(dirty_log_count(&vm), 0);
        store(gfn << PAGE_SHIFT);
        assert_int_equal(harvest_words(0, end), 1); /* holes and clean chunks cost no call */
        expect_only(gfn);
        harvest_words(0, UINT64_MAX);
        assert_int_equal(found_count, 0);
    }
    end_vm(&vm);
}

static void an_end_inside_a_word_leaves_the_rest(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(2));
    enable_log(&vm);
    for (uint64_t gfn = 0; gfn < 200; gfn++) {
        store(gfn << PAGE_SHIFT);
    }
    harvest_words(0, 130);
    assert_int_equal(found_count, 3);
    assert_int_equal(found[2].bits, 3);
    assert_int_equal(dirty_log_count(&vm), 70);
    assert_int_equal(dirty_log_count_from(&vm, 192), 8);
    /* A closed page that is marked no more marks again; an open one that stayed marked does not. */
    store(UINT64_C(129) << PAGE_SHIFT);
    store(UINT64_C(130) << PAGE_SHIFT);
    assert_int_equal(dirty_log_count(&vm), 71);
    harvest_words(128, 512);
    assert_int_equal(found_count, 2);
    assert_int_equal(found[0].bits, ~UINT64_C(1));
    assert_int_equal(found[1].bits, 255);
    assert_int_equal(dirty_log_count(&vm), 0);
    end_vm(&vm);
}

static void a_hole_between_banks_and_a_dirty_neighbour(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_at(GIB(1), MIB(4));
    map_at(GIB(1) + MIB(256), MIB(2)); /* a clean chunk lies between, without RAM */
    map_at(GIB(512), MIB(2));
    enable_log(&vm);
    assert_int_equal(harvest_words(0, dirty_log_limit_gfn(&vm)), 1);
    assert_int_equal(found_count, 0);
    store(GIB(512) + MIB(2) - KIB(4));
    store(GIB(1) + MIB(256));
    assert_int_equal(harvest_words(0, dirty_log_limit_gfn(&vm)), 1);
    assert_int_equal(found_count, 2);
    assert_int_equal(found[0].gfn, (GIB(1) + MIB(256)) >> PAGE_SHIFT);
    assert_int_equal(found[1].gfn, ((GIB(512) + MIB(2)) >> PAGE_SHIFT) - 64);
    end_vm(&vm);
}

static void room_runs_out_and_nothing_is_lost(void **state)
{
    const uint64_t pages = MIB(64) >> PAGE_SHIFT; /* 256 words */
    uint64_t invalidations;

    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(64));
    enable_log(&vm);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t gfn = 0; gfn < pages; gfn++) {
            store(gfn << PAGE_SHIFT);
        }
        invalidations = stats().invalidations;
        assert_int_equal(harvest_words(0, pages), 2);
        assert_int_equal(stats().invalidations - invalidations, 2);
        assert_int_equal(found_count, 256);
        for (unsigned i = 0; i < 256; i++) {
            assert_int_equal(found[i].gfn, i * 64);
            assert_int_equal(found[i].bits, ~UINT64_C(0));
        }
        assert_int_equal(harvest_words(0, pages), 1);
        assert_int_equal(found_count, 0);
    }
    end_vm(&vm);
}

static void words_of_an_aborted_session_come_back(void **state)
{
    uint64_t gfn = 0;

    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(64));
    enable_log(&vm);
    for (uint64_t i = 0; i < MIB(64) >> PAGE_SHIFT; i += 32) {
        store(i << PAGE_SHIFT);
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_words(&vm, &gfn, UINT64_MAX, words, &pages_found), 128);
    assert_int_equal(gfn, 128 * 64);
    store(0); /* taken, and marked again */
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 512);
    /* The session is gone: nothing is taken any more. */
    gfn = 0;
    assert_int_equal(dirty_log_harvest_words(&vm, &gfn, 4096, words, &pages_found), 0);
    assert_int_equal(gfn, 4096);
    harvest_words(0, UINT64_MAX);
    assert_int_equal(found_count, 256);
    end_vm(&vm);
}

static void what_is_committed_does_not_come_back(void **state)
{
    uint64_t gfn = 0;

    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(2));
    enable_log(&vm);
    store(0);
    harvest_words(0, UINT64_MAX);
    store(KIB(4)); /* in the same word */
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_words(&vm, &gfn, 512, words, &pages_found), 1);
    gfn = 0;
    store(KIB(4) * 2);
    assert_int_equal(dirty_log_harvest_words(&vm, &gfn, 512, words, &pages_found),
                     1); /* twice in a session */
    abort_session(&vm);
    harvest_words(0, UINT64_MAX);
    assert_int_equal(found_count, 1);
    assert_int_equal(found[0].bits, 6);
    end_vm(&vm);
}

static void peek_finds_the_same_words(void **state)
{
    struct dirty_log_word seen[DIRTY_LOG_WORDS];
    uint64_t gfn = 0;
    unsigned count;

    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(2));
    map_at(GIB(3), MIB(2));
    enable_log(&vm);
    store(KIB(4) * 70);
    store(KIB(4) * 71);
    store(GIB(3));
    store(GIB(3) + KIB(4));
    count = dirty_log_peek_words(&vm, &gfn, (GIB(3) >> PAGE_SHIFT) + 1, seen, &pages_found);
    assert_int_equal(gfn, (GIB(3) >> PAGE_SHIFT) + 1);
    assert_int_equal(count, 2);
    assert_int_equal(seen[1].bits, 1);
    harvest_words(0, (GIB(3) >> PAGE_SHIFT) + 1);
    assert_int_equal(found_count, 2);
    assert_memory_equal(seen, found, 2 * sizeof(seen[0]));
    assert_int_equal(dirty_log_count(&vm), 1);
    gfn = 0;
    log_off(&vm);
    assert_int_equal(dirty_log_peek_words(&vm, &gfn, 64, seen, &pages_found), 0);
    assert_int_equal(gfn, 64);
    end_vm(&vm);
}

static void pinned_pages_come_in_every_round(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(2));
    assert_int_equal(dirty_log_pin(&vm, ipa_make(KIB(4) * 77)), 0);
    enable_log(&vm);
    for (unsigned i = 0; i < 3; i++) {
        harvest_words(0, UINT64_MAX);
        expect_only(77);
    }
    for (uint64_t page = 0; page < 300; page++) { /* too many for a look-up of each */
        store(page * KIB(4));
    }
    harvest_words(0, UINT64_MAX);
    assert_int_equal(found_count, 5);
    harvest_words(0, UINT64_MAX);
    expect_only(77);
    dirty_log_unpin(&vm, ipa_make(KIB(4) * 77));
    end_vm(&vm);
}

/* What was unmapped leaves summaries behind that say too much: they cost one look. */
static void unmapped_pages_are_not_found(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_at(0, MIB(4));
    enable_log(&vm);
    store(0);
    store(MIB(2));
    assert_int_equal(s2_unmap(&vm, ipa_make(0), MIB(2), NULL, NULL), 0);
    harvest_words(0, UINT64_MAX);
    expect_only(512);
    harvest_words(0, UINT64_MAX);
    assert_int_equal(found_count, 0);
    end_vm(&vm);
}

/* A new bank above the directory: marks made before it survive its growth. */
static void the_log_grows_with_marks_in_it(void **state)
{
    (void)state;
    make_vm(&vm, 44);
    map_at(0, MIB(2));
    enable_log(&vm);
    store(KIB(4) * 5);
    map_at(GIB(1) << 12, KIB(4)); /* 4 TiB: counts as written */
    store(KIB(4) * 6);
    harvest_words(0, UINT64_MAX);
    assert_int_equal(found_count, 2);
    assert_int_equal(found[0].bits, 0x60);
    assert_int_equal(found[1].gfn, UINT64_C(1) << 30);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(single_pages_at_every_boundary),
        TEST(an_end_inside_a_word_leaves_the_rest),
        TEST(a_hole_between_banks_and_a_dirty_neighbour),
        TEST(room_runs_out_and_nothing_is_lost),
        TEST(words_of_an_aborted_session_come_back),
        TEST(what_is_committed_does_not_come_back),
        TEST(peek_finds_the_same_words),
        TEST(pinned_pages_come_in_every_round),
        TEST(unmapped_pages_are_not_found),
        TEST(the_log_grows_with_marks_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
