/* SPDX-License-Identifier: MIT */
/* What a dirty log costs, as counts: a change in any of them is to be noticed. */
#include "log_util.h"

#define GUEST_BYTES GIB(1)
#define GUEST_PAGES (GUEST_BYTES >> PAGE_SHIFT)

static void harvest_all(uint64_t *taken)
{
    *taken = 0;
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (uint64_t gfn = 0; gfn < GUEST_PAGES; gfn += CHUNK) {
        *taken += take(gfn);
    }
    dirty_log_harvest_commit(&vm);
}

/* A guest of 1 GiB in 2 MiB blocks, as a populate in extents of 2 MiB leaves it. */
static void map_guest(void)
{
    make_vm(&vm, 40);
    for (uint64_t ipa = 0; ipa < GUEST_BYTES; ipa += MIB(2)) {
        assert_int_equal(
            s2_map(&vm, ipa_make(ipa), frame_for(GUEST_BYTES - ipa), MIB(2), S2_RAM_RW), 0);
    }
    assert_int_equal(stats().leaves[2], 512);
}

static void memory_of_a_logged_guest(void **state)
{
    uint64_t before, logged;

    (void)state;
    map_guest();
    before = fake_pages_allocated();
    enable_log(&vm);
    logged = fake_pages_allocated();
    print_message("tables %u pages, log and prepaid tables %u pages: %u per mille of the RAM\n",
                  (unsigned)before, (unsigned)(logged - before),
                  (unsigned)(logged * 1000 / GUEST_PAGES));
    assert_int_equal(before, 3); /* a root of two tables, one table of blocks */
    /* 512 tables, 8 chunks of two pages, a page of records, the directory. */
    assert_int_equal(logged - before, 512 + 16 + 1 + 1);
    assert_true(logged * 400 <= GUEST_PAGES); /* 0.25 % */
    log_off(&vm);
    assert_int_equal(fake_pages_allocated(), before);
    end_vm(&vm);
}

static void faults_and_invalidations_of_a_full_rewrite(void **state)
{
    struct s2_stats before, after;
    uint64_t taken, splits;

    (void)state;
    map_guest();
    enable_log(&vm);
    before = stats();
    for (uint64_t ipa = 0; ipa < GUEST_BYTES; ipa += PAGE_SIZE_BYTES) {
        store(ipa);
    }
    after = stats();
    assert_int_equal(after.faults_first_write - before.faults_first_write,
                     first_write_faults(GUEST_PAGES));
    splits = log_options.eager_split ? 0 : 512;
    assert_int_equal(after.splits - before.splits, splits);
    assert_int_equal(after.faults_split - before.faults_split, splits);
    assert_int_equal(after.faults_spurious, 0);
    /* One broadcast for each split, none for a page. */
    assert_int_equal(after.invalidations - before.invalidations, splits);
    harvest_all(&taken);
    assert_int_equal(taken, GUEST_PAGES);
    assert_int_equal(stats().invalidations - after.invalidations, GUEST_PAGES / CHUNK);
    /* The second round splits nothing; one with nothing to do invalidates nothing. */
    after = stats();
    store(MIB(5));
    harvest_all(&taken);
    assert_int_equal(taken, 1);
    harvest_all(&taken);
    assert_int_equal(taken, 0);
    assert_int_equal(stats().splits, after.splits);
    assert_int_equal(stats().invalidations - after.invalidations, 1);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_of_a_logged_guest),
        TEST(faults_and_invalidations_of_a_full_rewrite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
