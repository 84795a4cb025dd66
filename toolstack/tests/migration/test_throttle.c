/* SPDX-License-Identifier: MIT */
/* Who is throttled and by how much: the policy by tables, the rest against the fake host. */
#include "fake_host.h"
#include "precopy/throttle.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* Two vCPUs, and a link that takes 1000 pages a second. */
struct row {
    const char *what;
    uint64_t dirty_pages_per_s; /* 0: the sum of the two */
    unsigned pressing;          /* before */
    struct throttle_vcpu before[2];
    unsigned after[2];
    unsigned pressing_after;
    bool changed;
};

static const struct row rows[] = {
    {"idle", 0, 0, {{0, 0, 0}, {0, 0, 0}}, {0, 0}, 0, false},
    {"half of the link is no pressure", 0, 1, {{500, 0, 0}, {0, 0, 0}}, {0, 0}, 0, false},
    {"the first round that presses only warns", 0, 0, {{501, 0, 0}, {0, 0, 0}}, {0, 0}, 1, false},
    {"the second takes 20 %", 0, 1, {{501, 0, 0}, {0, 0, 0}}, {20, 0}, 2, true},
    {"the second vCPU writes", 0, 1, {{3, 0, 0}, {900, 0, 0}}, {0, 22}, 2, true},
    {"both write", 0, 1, {{300, 0, 0}, {300, 0, 0}}, {20, 20}, 2, true},
    {"an even share of the half is not a writer's",
     0,
     1,
     {{250, 0, 0}, {2000, 0, 0}},
     {0, 44},
     2,
     true},
    {"one page more is", 0, 1, {{251, 0, 0}, {2000, 0, 0}}, {39, 39}, 2, true},
    {"half of the way to 92 %", 0, 2, {{5000, 20, 0}, {1, 0, 0}}, {56, 0}, 3, true},
    {"10 % more at least", 0, 2, {{501, 20, 0}, {1, 0, 0}}, {30, 0}, 3, true},
    {"from 90 to 99", 0, 9, {{5000, 90, 0}, {1, 0, 0}}, {99, 0}, 10, true},
    {"and no further", 0, 9, {{5000, 99, 0}, {1, 0, 0}}, {99, 0}, 10, false},
    {"a throttled writer stays one", 600, 2, {{30, 90, 0}, {0, 0, 0}}, {99, 0}, 3, true},
    {"one that stopped gets time back", 0, 5, {{0, 50, 0}, {900, 0, 0}}, {40, 22}, 6, true},
    {"without a writer all stay", 5000, 5, {{0, 99, 0}, {3, 20, 0}}, {99, 20}, 6, false},
    {"all by other hands: nobody is to blame", 5000, 3, {{3, 0, 0}, {4, 0, 0}}, {0, 0}, 4, false},
    {"released in steps", 0, 3, {{100, 50, 0}, {0, 0, 0}}, {40, 0}, 0, true},
    {"from 99 to 90", 0, 3, {{10, 99, 0}, {0, 0, 0}}, {90, 0}, 0, true},
    {"from 20 to 0", 0, 3, {{300, 20, 0}, {0, 0, 0}}, {0, 0}, 0, true},
    {"held when a step more would press again", 0, 3, {{500, 50, 0}, {0, 0, 0}}, {50, 0}, 0, false},
    {"and when others press together with it",
     500,
     3,
     {{200, 50, 0}, {0, 0, 0}},
     {50, 0},
     0,
     false},
    {"also when it seemed slow, whose looks were too long to see how fast it was",
     0,
     3,
     {{60, 99, 100}, {0, 0, 0}},
     {99, 0},
     0,
     false},
    {"both are released", 0, 0, {{10, 30, 0}, {20, 99, 0}}, {20, 90}, 0, true},
    {"one that was always slow is no writer", 0, 2, {{2, 99, 100}, {900, 0, 0}}, {90, 22}, 3, true},
    {"one that writes more than it did is one",
     0,
     2,
     {{900, 50, 300}, {0, 0, 0}},
     {60, 0},
     3,
     true},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct throttle_vcpu vcpus[2] = {row->before[0], row->before[1]};
        struct throttle_measure measure = {.send_pages_per_s = 1000,
                                           .dirty_pages_per_s = row->dirty_pages_per_s};
        unsigned pressing = row->pressing;

        if (measure.dirty_pages_per_s == 0)
            measure.dirty_pages_per_s = vcpus[0].dirty_pages_per_s + vcpus[1].dirty_pages_per_s;
        bool changed = throttle_decide(&pressing, &measure, vcpus, 2);
        if (vcpus[0].percent != row->after[0] || vcpus[1].percent != row->after[1] ||
            pressing != row->pressing_after || changed != row->changed)
            fail_msg("%s: %u %% %u %% pressing %u changed %d", row->what, vcpus[0].percent,
                     vcpus[1].percent, pressing, changed);
    }
}

/* The steps of a writer that does not care, and all the way back. */
static void test_all_steps(void **state)
{
    static const unsigned up[] = {0, 50, 75, 87, 97, 99, 99};
    static const unsigned down[] = {90, 80, 70, 60, 50, 40, 30, 20, 0, 0};
    struct throttle_measure measure = {.send_pages_per_s = 1000, .dirty_pages_per_s = 90000};
    struct throttle_vcpu vcpu = {.dirty_pages_per_s = 90000};
    unsigned pressing = 0;

    for (size_t i = 0; i < sizeof(up) / sizeof(up[0]); i++) {
        throttle_decide(&pressing, &measure, &vcpu, 1);
        assert_int_equal(vcpu.percent, up[i]);
    }
    measure.dirty_pages_per_s = vcpu.dirty_pages_per_s = 0;
    for (size_t i = 0; i < sizeof(down) / sizeof(down[0]); i++) {
        throttle_decide(&pressing, &measure, &vcpu, 1);
        assert_int_equal(vcpu.percent, down[i]);
    }
}

static void test_nothing_is_harmless(void **state)
{
    struct throttle_measure measure = {0};
    struct throttle_vcpu vcpu = {.dirty_pages_per_s = 1};
    unsigned pressing = 7;

    assert_false(throttle_decide(&pressing, &measure, &vcpu, 0));
    measure.dirty_pages_per_s = 1; /* and a link that takes nothing at all */
    assert_true(throttle_decide(&pressing, &measure, &vcpu, 1));
    assert_int_equal(vcpu.percent, 20);
}

/* --- against the fake host ----------------------------------------------------------------------
 */

struct fixture {
    struct fake_world *world;
    struct fake_guest *guest;
    pthread_t thread;
    struct migrate_opener opener;
    struct migrate_host host;
    struct handover_guard guard;
    struct throttle throttle;
    struct gw_error err;
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    int fd;

    memset(f, 0, sizeof(*f));
    f->world = fake_world_create(&fd);
    close(fd);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    f->opener = fake_opener(f->world, 0);
    f->opener.open(f->opener.arg, &f->host, &f->err);
    atomic_store(&f->guard.domid, f->guest->domid);
    pthread_create(&f->thread, NULL, fake_vcpus, f->world);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->world->stop, true);
    pthread_join(f->thread, NULL);
    munmap(f->world, sizeof(*f->world));
    return 0;
}

static void begin(struct fixture *f)
{
    assert_int_equal(f->host.ops->log_start(f->host.ctx, f->guest->domid, &f->err), 0);
    assert_int_equal(throttle_begin(&f->throttle, &f->host, &f->guard, f->guest->domid, &f->err),
                     0);
}

/* One look in which the guest dirtied so many pages per second of a link that takes 5. */
static void round_of(struct fixture *f, uint64_t dirty_pages_per_s, bool enabled)
{
    struct throttle_measure measure = {
        .ms = THROTTLE_LONG_LOOK_MS, .dirty_pages_per_s = dirty_pages_per_s, .send_pages_per_s = 5};
    const uint8_t *bits;

    assert_int_equal(
        f->host.ops->log_take(f->host.ctx, f->guest->domid, FAKE_GFN_LIMIT, false, &bits, &f->err),
        0);
    assert_int_equal(throttle_round(&f->throttle, &measure, enabled, &f->err), 0);
}

/* The second of two vCPUs writes: it alone pays, and does less. */
static void writer_is_found(struct fixture *f)
{
    uint64_t before;

    atomic_store(&f->world->busy_second, 60);
    begin(f);
    for (unsigned i = 0; i < 40 && f->guest->vcpus[1].percent < 99; i++)
        round_of(f, 100000, true);
    assert_int_equal(f->guest->vcpus[0].percent, 0);
    assert_int_equal(f->guest->vcpus[1].percent, 99);
    assert_true(handover_guard_has(&f->guard, HANDOVER_THROTTLED));
    before = f->guest->vcpus[0].throttled;
    round_of(f, 100000, true);
    assert_true(f->throttle.exhausted);
    assert_int_equal(f->guest->vcpus[0].throttled, before);
    assert_int_equal(throttle_read(&f->throttle, &f->err), 0);
    assert_int_not_equal(f->throttle.counts[1].stall_throttle_ns, 0);
    assert_int_equal(throttle_undo(&f->guard, &f->host, &f->err), 0);
    assert_int_equal(f->guest->vcpus[1].percent, 0);
    assert_false(handover_guard_has(&f->guard, HANDOVER_THROTTLED));
}

static void test_writer_is_found(void **state)
{
    writer_is_found(*state);
}

/* Where the MMU notes writes the sample is asked for, but not before the guest presses. */
static void test_writer_is_found_by_sample(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].hardware = true;
    begin(f);
    round_of(f, 0, true);
    assert_false(f->guest->sampling);
    assert_int_equal(f->host.ops->log_stop(f->host.ctx, f->guest->domid, &f->err), 0);
    writer_is_found(f);
    assert_true(f->guest->sampling);
}

/* Few pages in a long time are few, also when most of that time is no round's. */
static void test_slow_writer_between_rounds(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->world->busy_second, 60);
    begin(f);
    for (unsigned i = 0; i < 6; i++) {
        throttle_note_pace(&f->throttle, UINT64_C(86400000));
        round_of(f, 100000, true);
    }
    assert_true(f->throttle.counts[1].dirty_pages > 0);
    assert_int_equal(f->guest->vcpus[1].percent, 0);
}

static void test_released_when_it_converges(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->world->busy, 60);
    begin(f);
    for (unsigned i = 0; i < 4; i++)
        round_of(f, 100000, true);
    assert_int_equal(f->guest->vcpus[0].percent, 40);
    atomic_store(&f->world->busy, 0);
    for (unsigned i = 0; i < 5; i++)
        round_of(f, 1, true);
    assert_int_equal(f->guest->vcpus[0].percent, 0);
}

static void test_switched_off_meanwhile(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->world->busy, 60);
    begin(f);
    for (unsigned i = 0; i < 4; i++)
        round_of(f, 100000, true);
    round_of(f, 100000, false);
    assert_int_equal(f->guest->vcpus[0].percent, 0);
    assert_true(f->throttle.counts[0].dirty_pages > 0);
}

/* Nothing is left of a sample either, and when it is switched on again it is asked for again. */
static void test_switched_off_while_sampled(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].hardware = true;
    atomic_store(&f->world->busy, 60);
    begin(f);
    for (unsigned i = 0; i < 40 && f->guest->vcpus[0].percent < 99; i++)
        round_of(f, 100000, true);
    round_of(f, 100000, true);
    assert_int_equal(f->guest->vcpus[0].percent, 99);
    assert_true(f->throttle.exhausted);
    round_of(f, 100000, false);
    assert_int_equal(f->guest->vcpus[0].percent, 0);
    assert_false(f->guest->sampling);
    assert_false(f->throttle.exhausted);
    for (unsigned i = 0; i < 40 && f->guest->vcpus[0].percent == 0; i++)
        round_of(f, 100000, true);
    assert_true(f->guest->sampling);
    assert_int_not_equal(f->guest->vcpus[0].percent, 0);
}

/* A round in which few pages were written tells a sample too little. */
static void test_sample_takes_longer_looks(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].hardware = true;
    atomic_store(&f->world->busy_second, 60);
    begin(f);
    assert_int_equal(throttle_look_ms(&f->throttle), THROTTLE_LOOK_MS);
    round_of(f, 1024, true);
    assert_int_equal(throttle_look_ms(&f->throttle), THROTTLE_LOOK_MS);
    round_of(f, 1024, true); /* the sample is there */
    assert_int_equal(throttle_look_ms(&f->throttle), 1000);
    for (unsigned i = 0; i < 4; i++)
        round_of(f, 1024, true);
    assert_int_equal(f->throttle.look_ms, 800);
    assert_int_equal(f->guest->vcpus[1].percent, 0);
    round_of(f, 1024, true);
    assert_int_equal(f->throttle.look_ms, 0);
    round_of(f, 1, true); /* no pressure after all: as soon as without one */
    for (unsigned i = 0; i < 4; i++)
        round_of(f, 1, true);
    assert_int_equal(f->throttle.look_ms, 0);
    assert_int_equal(throttle_look_ms(&f->throttle), THROTTLE_LOOK_MS);
}

/* A second undo, one after the log ended, and one of a guest that is gone, are all harmless. */
static void test_undo_is_idempotent(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(throttle_undo(&f->guard, &f->host, &f->err), 0);
    handover_guard_add(&f->guard, HANDOVER_THROTTLED);
    assert_int_equal(throttle_undo(&f->guard, &f->host, &f->err), 0);
    handover_guard_add(&f->guard, HANDOVER_THROTTLED);
    atomic_store(&f->guard.domid, 77);
    assert_int_equal(throttle_undo(&f->guard, &f->host, &f->err), 0);
    assert_false(handover_guard_has(&f->guard, HANDOVER_THROTTLED));
}

/* An older hypervisor: the migration goes on without. */
static void test_no_counts(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].no_counts = true;
    atomic_store(&f->world->busy, 60);
    begin(f);
    for (unsigned i = 0; i < 4; i++)
        round_of(f, 100000, true);
    assert_int_equal(f->throttle.n, 0);
    assert_false(handover_guard_has(&f->guard, HANDOVER_THROTTLED));
}

/* The duty stands before the call: whoever dies between the two is mended. */
static void test_refusal_is_an_error(void **state)
{
    struct throttle_measure measure = {
        .ms = THROTTLE_LONG_LOOK_MS, .dirty_pages_per_s = 100000, .send_pages_per_s = 5};
    struct fixture *f = *state;

    f->world->hosts[0].refuse_throttle = true;
    atomic_store(&f->world->busy, 60);
    begin(f);
    round_of(f, 100000, true);
    while (f->guest->vcpus[0].dirty_pages < f->throttle.counts[0].dirty_pages + 50)
        usleep(1000);
    assert_int_equal(throttle_round(&f->throttle, &measure, true, &f->err), -1);
    assert_true(handover_guard_has(&f->guard, HANDOVER_THROTTLED));
    assert_int_equal(throttle_undo(&f->guard, &f->host, &f->err), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_all_steps),
        cmocka_unit_test(test_nothing_is_harmless),
        cmocka_unit_test_setup_teardown(test_writer_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_is_found_by_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_writer_between_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_released_when_it_converges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_switched_off_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_switched_off_while_sampled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sample_takes_longer_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undo_is_idempotent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_is_an_error, setup, teardown),
    };

    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
