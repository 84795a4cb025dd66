/* SPDX-License-Identifier: MIT */
/*
 * Memory running out: each call that may allocate, in each state of a VM, with each of its
 * allocations failing in turn. Then nothing has changed that can be told from outside, the guest
 * runs on, nothing is leaked, and OFF and a merge give the tables of a VM in which nothing failed.
 */
#include "log_util.h"

#define RUNS_MAX 4096u
#define FAR      GIB(700)

/* What the tables say, whatever the sizes of their leaves. */
struct run {
    uint64_t ipa, pa, bytes;
    uint64_t type, writable;
};

/* Compared as bytes: so there is no padding. */
struct picture {
    uint64_t runs;
    struct run run[RUNS_MAX];
    uint64_t prepaid, limit_gfn, marks, pinned, state;
    uint8_t bits[GIB(3) >> PAGE_SHIFT >> 3];
};

static struct picture before, after;

/*
 * Where the hardware notes writes, the pages of a block that is split before the sweep of ENABLE
 * has come to it are tracked at once: closed, without a fault for the guest, and maybe dirty.
 * Nobody reads the log before the sweep is through.
 */
static bool is_swept_by_hardware(void)
{
    return log_options.hardware && vm.log.state == DIRTY_LOG_PROTECT;
}

static void add_run(struct picture *picture, ipa_t ipa, const struct s2_leaf *leaf)
{
    struct run *last = picture->runs != 0 ? &picture->run[picture->runs - 1] : NULL;

    if (last != NULL && last->ipa + last->bytes == ipa.addr &&
        last->pa + last->bytes == leaf->pa.addr && last->type == leaf->type &&
        last->writable == leaf->writable) {
        last->bytes += leaf->bytes;
        return;
    }
    assert_true(picture->runs < RUNS_MAX);
    picture->run[picture->runs++] =
        (struct run){ipa.addr, leaf->pa.addr, leaf->bytes, leaf->type, leaf->writable};
}

static void take_picture(struct picture *picture)
{
    const ipa_t end = ipa_make(UINT64_C(1) << vm.ipa_bits);
    ipa_t ipa = ipa_make(0), at;
    struct s2_leaf leaf;

    memset(picture, 0, sizeof(*picture));
    while ((leaf = s2_next(&vm, ipa, end, &at)).type != S2_NONE) {
        leaf.writable = leaf.writable && !is_swept_by_hardware();
        add_run(picture, at, &leaf);
        ipa = ipa_add(at, leaf.bytes);
    }
    picture->prepaid = stats().tables_prepaid;
    picture->limit_gfn = dirty_log_limit_gfn(&vm);
    picture->pinned = vm.pins.used;
    picture->state = vm.log.state;
    if (is_swept_by_hardware()) {
        return;
    }
    picture->marks = dirty_log_count(&vm);
    for (uint64_t gfn = 0; gfn < 8 * sizeof(picture->bits); gfn += CHUNK) {
        (void)dirty_log_peek(&vm, gfn, CHUNK, picture->bits + gfn / 8);
    }
}

/* States. All of them begin with the same guest. */

static void map_guest(void)
{
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(16));
    map_ram(&vm, GIB(1), GIB(1));
    map_ram(&vm, GIB(2) + KIB(4), MIB(1));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(32)), frame_for(MIB(32)), MIB(4), S2_RAM_RO), 0);
    store(MIB(3));
}

static void run_until(enum dirty_log_state state)
{
    while (vm.log.state != state) {
        int result =
            state <= DIRTY_LOG_ON ? dirty_log_enable(&vm, &log_options) : dirty_log_off(&vm);

        assert_true(result == 0 || result == -CORE_ERESTART);
    }
}

static void is_off(void)
{
}

static void is_off_with_pins(void)
{
    for (uint64_t gfn = 0; gfn < 256; gfn++) {
        assert_int_equal(dirty_log_pin(&vm, ipa_from_gfn(gfn * 3)), 0);
    }
}

static void is_preparing(void)
{
    run_until(DIRTY_LOG_PREPARE);
}

static void is_protecting(void)
{
    run_until(DIRTY_LOG_PROTECT);
    store(MIB(4));
}

static void is_on(void)
{
    run_until(DIRTY_LOG_ON);
    store(MIB(4));
    store(GIB(1) + MIB(3));
}

static void is_in_a_session(void)
{
    is_on();
    assert_int_equal(dirty_log_pin(&vm, ipa_make(MIB(5))), 0);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 2);
    store(MIB(5));
}

static void is_opening(void)
{
    is_on();
    run_until(DIRTY_LOG_OPEN);
}

static void is_merging(void)
{
    is_on();
    run_until(DIRTY_LOG_MERGE);
}

static void is_freeing(void)
{
    is_on();
    run_until(DIRTY_LOG_FREE);
}

static const struct {
    const char *name;
    void (*reach)(void);
} states[] = {
    {"off", is_off},
    {"off, pins", is_off_with_pins},
    {"PREPARE", is_preparing},
    {"PROTECT", is_protecting},
    {"ON", is_on},
    {"ON, a session is open", is_in_a_session},
    {"OPEN", is_opening},
    {"MERGE", is_merging},
    {"FREE", is_freeing},
};

/* Calls that may allocate. */

static int map_block(void)
{
    return s2_map(&vm, ipa_make(MIB(512)), frame_for(MIB(512)), MIB(2), S2_RAM_RW);
}

static int map_mixture(void)
{
    return s2_map(&vm, ipa_make(GIB(3) - KIB(8)), frame_for(GIB(3) - KIB(8)), MIB(4), S2_RAM_RW);
}

static int map_far(void)
{
    return s2_map(&vm, ipa_make(FAR), frame_for(GIB(3)), KIB(4), S2_RAM_RW);
}

static int map_foreign(void)
{
    return s2_map(&vm, ipa_make(GIB(5)), frame_for(GIB(3)), KIB(12), S2_FOREIGN_RW);
}

static int unmap_from_block(void)
{
    return s2_unmap(&vm, ipa_make(MIB(7) + KIB(4)), MIB(4), NULL, NULL);
}

static int unmap_from_large_block(void)
{
    return s2_unmap(&vm, ipa_make(GIB(1) + MIB(100) + KIB(8)), MIB(30), NULL, NULL);
}

static int make_readonly(void)
{
    return s2_set_type(&vm, ipa_make(GIB(1) + MIB(9) + KIB(4)), MIB(8), S2_RAM_RO);
}

static int make_writable(void)
{
    return s2_set_type(&vm, ipa_make(MIB(33) + KIB(4)), MIB(3) - KIB(4), S2_RAM_RW);
}

static int pin(void)
{
    return dirty_log_pin(&vm, ipa_make(MIB(7)));
}

static int reserve(void)
{
    return s2_pool_reserve(&vm, 5);
}

static int enable(void)
{
    int result;

    do {
        result = dirty_log_enable(&vm, &log_options);
    } while (result == -CORE_ERESTART);
    return result;
}

static int enable_eagerly(void)
{
    struct dirty_log_options options = log_options;
    int result;

    options.eager_split = true;
    do {
        result = dirty_log_enable(&vm, &options);
    } while (result == -CORE_ERESTART);
    return result;
}

static const struct operation {
    const char *name;
    int (*call)(void);
    bool off_after_failure; /* logging is off then, whatever it was doing */
} operations[] = {
    {"map a block", map_block, false},
    {"map pages and a block", map_mixture, false},
    {"map far away", map_far, false},
    {"map foreign pages", map_foreign, false},
    {"unmap inside of blocks", unmap_from_block, false},
    {"unmap inside of a large block", unmap_from_large_block, false},
    {"make read-only", make_readonly, false},
    {"make writable", make_writable, false},
    {"pin", pin, false},
    {"reserve tables", reserve, false},
    {"enable", enable, true},
    {"enable, split eagerly", enable_eagerly, true},
};

static void reach(unsigned state)
{
    map_guest();
    states[state].reach();
}

/* Turns logging off and merges; what is then left does not depend on what has failed before. */
static void settle(struct s2_stats *ret_stats, uint64_t *ret_pages)
{
    ipa_t cursor = ipa_make(0);

    log_off(&vm);
    s2_pool_release(&vm);
    while (s2_merge(&vm, &cursor) == -CORE_ERESTART) {
    }
    fake_check_tlbs(&vm);
    *ret_stats = stats();
    *ret_pages = fake_pages_allocated();
}

static struct s2_stats untouched;
static uint64_t untouched_pages;

/* What must be there after the operation has failed in that state, and at the end of all. */
static void expect_after_failure(unsigned state, const struct operation *operation)
{
    reach(state);
    if (operation->off_after_failure) {
        log_off(&vm);
    }
    take_picture(&before);
    settle(&untouched, &untouched_pages);
    end_vm(&vm);
}

static void check_failed(unsigned state, const struct operation *operation, long n)
{
    struct s2_stats failed;
    uint64_t failed_pages;

    take_picture(&after);
    if (memcmp(&before, &after, sizeof(before)) != 0) {
        fake_die("%s, %s: the failure of allocation %ld is seen from outside", states[state].name,
                 operation->name, n);
    }
    fake_check_tlbs(&vm);
    store(MIB(9));
    store(GIB(1) + MIB(101));
    settle(&failed, &failed_pages);
    end_vm(&vm);
    if (memcmp(untouched.leaves, failed.leaves, sizeof(failed.leaves)) != 0 ||
        untouched_pages != failed_pages || untouched.tables != failed.tables) {
        fake_die("%s, %s: the failure of allocation %ld has left something", states[state].name,
                 operation->name, n);
    }
}

/* Returns how many allocations failed before it went well, or was refused for another reason. */
static long fail_each(unsigned state, const struct operation *operation)
{
    for (long n = 0;; n += 1 + (n > 40) * 61) {
        int result;

        reach(state);
        fake_fail_allocation(n);
        result = operation->call();
        fake_fail_allocation(-1);
        if (result != -CORE_ENOMEM) {
            end_vm(&vm);
            return n;
        }
        check_failed(state, operation, n);
    }
}

static void each_allocation_of_each_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        long most = 0;

        for (unsigned s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
            long failures;

            expect_after_failure(s, &operations[i]);
            failures = fail_each(s, &operations[i]);
            most = failures > most ? failures : most;
        }
        print_message("%s: up to %ld allocations\n", operations[i].name, most);
        assert_true(most > 0); /* or it does not belong in this list */
    }
}

/* Setting up needs its tables and nothing else. */
static void a_vm_without_memory_is_none(void **state)
{
    (void)state;
    for (uint8_t ipa_bits = 32; ipa_bits <= 48; ipa_bits++) {
        const struct s2_config config = {.vmid = 1, .ipa_bits = ipa_bits};

        fake_fail_allocation(0);
        assert_int_equal(s2_init(&vm, &config), -CORE_ENOMEM);
        assert_int_equal(fake_pages_allocated(), 0);
        fake_fail_allocation(1);
        assert_int_equal(s2_init(&vm, &config), 0);
        s2_destroy(&vm);
        assert_int_equal(fake_pages_allocated(), 0);
    }
}

/* Everything else does its work without any memory: faults and splits, rounds, OFF, the end. */
static void the_rest_allocates_nothing(void **state)
{
    ipa_t cursor = ipa_make(0);

    (void)state;
    reach(5);
    fake_fail_allocation(0);
    for (uint64_t ipa = 0; ipa < MIB(16); ipa += MIB(1)) {
        store(ipa);
    }
    store(GIB(1) + MIB(300));
    dirty_log_mark(&vm, ipa_make(KIB(8)), DIRTY_WRITER_DEVICE);
    assert_int_equal(take(0), 16 + 1); /* MIB(5) is one of the 16, GIB(1) in another chunk */
    dirty_log_harvest_untake(&vm, 0, 64);
    abort_session(&vm);
    assert_true(harvest() >= 17);
    dirty_log_unpin(&vm, ipa_make(MIB(5)));
    s2_drain(&vm);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), MIB(2), NULL, NULL), 0);
    s2_merge_at(&vm, ipa_make(0));
    log_off(&vm);
    while (s2_merge(&vm, &cursor) == -CORE_ERESTART) {
    }
    end_vm(&vm);
}

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(each_allocation_of_each_call),
        TEST(a_vm_without_memory_is_none),
        TEST(the_rest_allocates_nothing),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    int failed = run_all("by faults");

    if (port_has_hardware_dirty()) {
        setenv("CORE_LOG", "hardware", 1);
        failed += run_all("by hardware updates");
    }
    return failed;
}
