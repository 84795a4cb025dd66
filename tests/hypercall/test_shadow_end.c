/* SPDX-License-Identifier: MIT */
/*
 * How an unfinished CLEAN or dirty_ranges ends when it has taken a lot: its bits go back a piece at
 * each entry, whoever enters, and nobody waits for a vCPU that does not come back.
 */
#include <godwit/ext.h>
#include <hv/errno.h>
#include <hv/hypercall.h>
#include <xen/domctl.h>

#include "fake_host.h"

#define OP_OFF   XEN_DOMCTL_SHADOW_OP_OFF
#define OP_CLEAN XEN_DOMCTL_SHADOW_OP_CLEAN
#define OP_PEEK  XEN_DOMCTL_SHADOW_OP_PEEK

#define ABORT_PAGES 8192u
#define ABORT_STEPS ((FAKE_LOG_PAGES + ABORT_PAGES - 1) / ABORT_PAGES)

static uint8_t bitmap[FAKE_LOG_PAGES / 8], own_bitmap[FAKE_LOG_PAGES / 8];
static struct godwit_range ranges[64];

/* A call: the same vCPU makes the same one again by calling the same structure. */
struct caller {
    bool by_ranges;
    struct xen_domctl domctl;
    struct godwit_dirty_ranges request;
};

static struct caller first, second;

static int end(void **state)
{
    fake_end();
    return 0;
}

static void prepare(struct caller *caller, uint32_t op, void *to)
{
    memset(&caller->domctl, 0, sizeof(caller->domctl));
    caller->domctl.cmd = XEN_DOMCTL_shadow_op;
    caller->domctl.interface_version = 0x15;
    caller->domctl.domain = fake.guest->id;
    caller->domctl.u.shadow_op.op = op;
    caller->domctl.u.shadow_op.pages = FAKE_LOG_PAGES;
    caller->domctl.u.shadow_op.dirty_bitmap.p = to;
    caller->request = (struct godwit_dirty_ranges){
        .domid = fake.guest->id,
        .end_gfn = FAKE_LOG_PAGES,
        .ranges = (uintptr_t)ranges,
        .count = 64,
    };
}

/* One entry: at most one step of an abort. */
static int64_t enter(struct caller *caller, bool *ret_again)
{
    unsigned before = fake.aborts;
    int64_t result;

    result = caller->by_ranges
                 ? fake_hvc_once(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES,
                                 (uintptr_t)&caller->request, 0, ret_again)
                 : fake_hvc_once(__HYPERVISOR_domctl, (uintptr_t)&caller->domctl, 0, 0, ret_again);
    assert_true(fake.aborts - before <= 1);
    return result;
}

static int64_t finish(struct caller *caller)
{
    bool again;
    int64_t result;

    do {
        result = enter(caller, &again);
    } while (again);
    return result;
}

static int64_t run(uint32_t op)
{
    second.by_ranges = false;
    prepare(&second, op, bitmap);
    return finish(&second);
}

static void dirty_all(void)
{
    fake.dirty[3] = fake.dirty[17000] = fake.dirty[39998] = 1;
}

static bool all_dirty(void)
{
    return fake.dirty[3] && fake.dirty[17000] && fake.dirty[39998];
}

static unsigned steps_left(void)
{
    return (unsigned)(ABORT_STEPS - fake.aborts);
}

/* A second caller finds everything: what was taken, and what the log had. */
static void check_second(uint32_t op)
{
    fake_run_as(fake.control, 1);
    assert_int_equal(run(op), 0);
    assert_int_equal(second.domctl.u.shadow_op.stats.dirty_count, 3);
    assert_true((bitmap[0] >> 3 & 1) && (bitmap[17000 / 8] & 1) && (bitmap[39998 / 8] >> 6 & 1));
    assert_int_equal(steps_left(), 0);
}

static int reset_for(bool by_ranges)
{
    fake_reset();
    fake_run_as(fake.control, 0);
    if (run(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY) != 0) {
        return -1;
    }
    fake.abort_pages = ABORT_PAGES;
    fake.words_per_call = 1;
    dirty_all();
    first.by_ranges = by_ranges;
    prepare(&first, OP_CLEAN, own_bitmap);
    return 0;
}

static int reset_clean(void **state)
{
    return reset_for(false);
}

static int reset_ranges(void **state)
{
    return reset_for(true);
}

/* The first caller has taken some, and is then interrupted. */
static void stop_first(void)
{
    bool again;

    prepare(&first, OP_CLEAN, own_bitmap);
    fake.preempt_after = 2;
    fake.preempt_asked = 0;
    enter(&first, &again);
    fake.preempt_after = 0;
    assert_true(again && fake.harvest_open && !fake.dirty[3]);
}

/* The first caller fails behind all that it has taken; some of that is back. */
static void fail_first(void)
{
    bool again;

    prepare(&first, OP_CLEAN, own_bitmap);
    fake.hole_start = (uintptr_t)(first.by_ranges ? (void *)&ranges[2] : &own_bitmap[39998 / 8]);
    fake.hole_end = fake.hole_start + 1;
    enter(&first, &again);
    fake.hole_start = fake.hole_end = 0;
    assert_true(again && fake.aborts == 1 && !all_dirty());
}

static void error_returns_when_all_is_back(void **state)
{
    bool again = true;

    fail_first();
    while (again) {
        assert_false(all_dirty());
        if (enter(&first, &again) == -EFAULT && !again) {
            break;
        }
        assert_true(again);
    }
    assert_true(all_dirty());
    assert_int_equal(steps_left(), 0);
    assert_null(fake.guest->logdirty_session);
    check_second(OP_CLEAN);
}

static void others_finish_a_failed_call(void **state)
{
    fail_first(); /* and never comes back: no second passes */
    check_second(OP_PEEK);
    assert_true(all_dirty());
    /* It comes back after all: a new call. */
    fake_run_as(fake.control, 0);
    assert_int_equal(finish(&first), 0);
    assert_false(all_dirty());
}

static void two_finish_by_turns(void **state)
{
    bool again;

    fail_first();
    fake_run_as(fake.control, 1);
    second.by_ranges = false;
    prepare(&second, OP_PEEK, bitmap);
    enter(&second, &again);
    assert_true(again && fake.aborts == 2);
    fake_run_as(fake.control, 0);
    assert_int_equal(finish(&first), -EFAULT);
    assert_true(all_dirty());
    check_second(OP_CLEAN);
}

/* Lost in the middle of a CLEAN: busy for a second, and then every kind of caller goes on. */
static void lost_caller_is_given_up(void **state)
{
    static const uint32_t ops[] = {OP_PEEK, OP_CLEAN};

    for (unsigned i = 0; i < 2; i++) {
        dirty_all();
        fake.aborts = 0;
        fake_run_as(fake.control, 0);
        stop_first();
        fake_run_as(fake.control, 1);
        assert_int_equal(run(ops[i]), -EBUSY);
        assert_int_equal(run(XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION), -EBUSY);
        assert_int_equal(fake.aborts, 0);
        fake.now_ns += 1000000001;
        check_second(ops[i]);
        /* Back in time to see that it has to begin again. */
        fake_run_as(fake.control, 0);
        assert_int_equal(finish(&first), 0);
        assert_int_equal(first.by_ranges ? first.request.pages
                                         : first.domctl.u.shadow_op.stats.dirty_count,
                         ops[i] == OP_PEEK ? 3 : 0);
    }
}

static void lost_caller_does_not_hold_the_pool(void **state)
{
    stop_first();
    fake_run_as(fake.control, 1);
    fake.now_ns += 1000000001;
    assert_true(run(XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION) != -EBUSY);
    assert_true(all_dirty());
    assert_null(fake.guest->logdirty_session);
}

/* Another call of the owner: one piece, and the rest is left to whoever wants the log next. */
static void owner_does_something_else(void **state)
{
    bool again;

    stop_first();
    fake_hvc_once(__HYPERVISOR_sched_op, 0, 0, 0, &again);
    assert_false(again);
    assert_int_equal(fake.aborts, 1);
    fake_hvc_once(__HYPERVISOR_sched_op, 0, 0, 0, &again);
    assert_int_equal(fake.aborts, 1);
    check_second(OP_CLEAN); /* at once */

    /* The owner itself wants it next: with the same structure, but a new call. */
    dirty_all();
    fake.aborts = 0;
    fake_run_as(fake.control, 0);
    stop_first();
    fake_hvc_once(__HYPERVISOR_sched_op, 0, 0, 0, &again);
    assert_int_equal(finish(&first), 0);
    assert_int_equal(
        first.by_ranges ? first.request.pages : first.domctl.u.shadow_op.stats.dirty_count, 3);
}

static void off_ends_it_at_once(void **state)
{
    for (unsigned failed = 0; failed < 2; failed++) {
        if (failed) {
            fake_run_as(fake.control, 0);
            assert_int_equal(run(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
            dirty_all();
            fail_first();
        } else {
            stop_first();
        }
        fake_run_as(fake.control, 1);
        assert_int_equal(run(OP_OFF), 0);
        assert_int_equal(fake.aborts, failed);
        assert_false(fake.harvest_open);
        assert_null(fake.guest->logdirty_session);
    }
    /* Its owner finds the log off, or on again and its own. */
    fake_run_as(fake.control, 1);
    assert_int_equal(run(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    memset(fake.dirty, 0, sizeof(fake.dirty));
    dirty_all();
    fake_run_as(fake.control, 0);
    assert_int_equal(finish(&first), 0);
    assert_false(all_dirty());
}

static void destruction_ends_it_at_once(void **state)
{
    fail_first();
    fake.guest->dying = DOMAIN_DYING;
    assert_int_equal(hypercall_domain_kill_step(fake.guest), 0);
    assert_int_equal(fake.aborts, 1);
    assert_null(fake.guest->logdirty_session);
    assert_int_equal(finish(&first), -EINVAL);
    fake.guest->dying = DOMAIN_ALIVE;
}

int main(void)
{
#define BOTH(name)                                                                                 \
    {"clean_" #name, name, reset_clean, end, NULL},                                                \
    {                                                                                              \
        "ranges_" #name, name, reset_ranges, end, NULL                                             \
    }
    const struct CMUnitTest tests[] = {
        BOTH(error_returns_when_all_is_back),
        BOTH(others_finish_a_failed_call),
        BOTH(two_finish_by_turns),
        BOTH(lost_caller_is_given_up),
        BOTH(lost_caller_does_not_hold_the_pool),
        BOTH(owner_does_something_else),
        BOTH(off_ends_it_at_once),
        BOTH(destruction_ends_it_at_once),
    };

    return cmocka_run_group_tests_name("shadow_end", tests, NULL, NULL);
}
