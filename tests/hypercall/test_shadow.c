/* SPDX-License-Identifier: MIT */
/* shadow_op: what Xen's tools rely on, and that no error and no disappearing caller loses a bit. */
#include <hv/errno.h>
#include <hv/hypercall.h>
#include <xen/domctl.h>

#include "fake_host.h"

#define BITMAP_BYTES 8192u
#define CANARY       0xa5u

static uint8_t bitmap[BITMAP_BYTES];
static struct xen_domctl domctl;

static int reset(void **state)
{
    fake_reset();
    memset(bitmap, CANARY, sizeof(bitmap));
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static void prepare(uint32_t op, uint32_t mode, uint64_t pages)
{
    memset(&domctl, 0, sizeof(domctl));
    domctl.cmd = XEN_DOMCTL_shadow_op;
    domctl.interface_version = 0x15;
    domctl.domain = fake.guest->id;
    domctl.u.shadow_op.op = op;
    domctl.u.shadow_op.mode = mode;
    domctl.u.shadow_op.pages = pages;
    domctl.u.shadow_op.dirty_bitmap.p = bitmap;
}

static int64_t shadow(uint32_t op, uint32_t mode, uint64_t pages)
{
    prepare(op, mode, pages);
    return fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0);
}

/* Makes one piece of work, and says whether the call wants to go on. */
static bool shadow_piece(uint32_t op, uint64_t pages, int64_t *ret_result)
{
    bool again;

    prepare(op, 0, pages);
    fake.preempt_after = 1;
    fake.preempt_asked = 0;
    *ret_result = fake_hvc_once(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0, &again);
    fake.preempt_after = 0;
    return again;
}

static void enable(void)
{
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0), 0);
}

static void dirty(uint64_t gfn)
{
    fake.dirty[gfn] = 1;
}

static bool reported(uint64_t gfn)
{
    return bitmap[gfn / 8] >> (gfn % 8) & 1;
}

static void check_target(void **state)
{
    prepare(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0);
    domctl.domain = fake.control->id;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), -EINVAL);
    domctl.domain = 77;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), -ESRCH);
    domctl.interface_version = 0x14;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), -EACCES);
    fake_run_as(fake.guest, 0);
    domctl.interface_version = 0x18;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), -EPERM);
    domctl.domain = fake.guest->id;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), -EPERM);
    fake_run_as(fake.control, 0);
    fake.guest->dying = DOMAIN_DYING;
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), -EINVAL);
    fake.guest->dying = DOMAIN_ALIVE;
}

static void check_operations(void **state)
{
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_TEST, 0, 0), -EINVAL);
    assert_int_equal(shadow(3, 0, 0), -EINVAL);
    assert_int_equal(shadow(99, 0, 0), -EINVAL);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE, 0, 0), -EINVAL);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_EXTERNAL, 0),
                     -EINVAL);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE,
                            XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY | XEN_DOMCTL_SHADOW_ENABLE_EXTERNAL,
                            0),
                     0);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0), -EINVAL);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 2, 8), -EINVAL);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    enable();
}

static void clean_reports_and_clears(void **state)
{
    enable();
    dirty(0);
    dirty(63);
    dirty(20000);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, 0, 30000), 0);
    assert_true(reported(0) && reported(63) && reported(20000) && !reported(1));
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 3);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 30000), 0);
    assert_true(reported(0) && reported(63) && reported(20000));
    assert_int_equal(domctl.u.shadow_op.pages, 30000);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 3);
    assert_int_equal(domctl.u.shadow_op.stats.fault_count, 0);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 30000), 0);
    assert_false(reported(0) || reported(63) || reported(20000));
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 0);
}

static void bytes_written_are_exact(void **state)
{
    static const uint64_t sizes[] = {1, 7, 8, 9, 63, 64, 65, 16383, 16384, 16385, 40001};

    enable();
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t bytes = (sizes[i] + 7) / 8;

        memset(bitmap, CANARY, sizeof(bitmap));
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, sizes[i]), 0);
        assert_int_equal(domctl.u.shadow_op.pages, sizes[i]);
        for (uint64_t at = 0; at < sizeof(bitmap); at++) {
            assert_int_equal(bitmap[at], at < bytes ? 0 : CANARY);
        }
    }
}

/* Words that lie across a page of the bitmap, pieces that end anywhere, every alignment. */
static void bitmaps_at_every_address(void **state)
{
    static uint8_t space[3 * 4096] __attribute__((aligned(4096)));
    uint32_t random = 1;

    enable();
    for (unsigned offset = 0; offset < 20; offset++) {
        uint8_t *at = space + 4096 - offset;
        uint64_t pages = 20000 + 7 * offset;
        uint8_t expected[(20000 + 7 * 20) / 8 + 1] = {0};

        fake.words_per_call = 1 + offset % 5;
        for (uint64_t gfn = 0; gfn < pages; gfn++) {
            random = random * 1664525u + 1013904223u;
            if ((gfn / 4096) % 2 == 0 && random >> 28 == 0) {
                dirty(gfn);
                expected[gfn / 8] |= (uint8_t)(1u << (gfn % 8));
            }
        }
        memset(space, CANARY, sizeof(space));
        prepare(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, pages);
        domctl.u.shadow_op.dirty_bitmap.p = at;
        fake.preempt_after = 1; /* whenever it asks */
        assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), 0);
        fake.preempt_after = 0;
        assert_memory_equal(at, expected, (pages + 7) / 8);
        assert_int_equal(at[-1], CANARY);
        assert_int_equal(at[(pages + 7) / 8], CANARY);
    }
}

static void partial_clean_clears_what_it_reported(void **state)
{
    enable();
    dirty(9);   /* inside */
    dirty(13);  /* behind `pages`, in the last byte: reported, so cleared */
    dirty(16);  /* in the same word, not reported */
    dirty(700); /* far behind */
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 10), 0);
    assert_true(reported(9) && reported(13));
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 4);
    assert_int_equal(bitmap[2], CANARY);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 1000), 0);
    assert_true(!reported(9) && !reported(13) && reported(16) && reported(700));
}

static void null_bitmap_clears_without_writing(void **state)
{
    enable();
    dirty(5);
    prepare(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, UINT64_MAX);
    domctl.u.shadow_op.dirty_bitmap.p = NULL;
    assert_int_equal(fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0), 0);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 1);
    assert_int_equal(domctl.u.shadow_op.pages, UINT64_C(1) << 42);
    assert_int_equal(fake.dirty[5], 0);
}

static void off_reports_zeros(void **state)
{
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 64), 0);
    assert_int_equal(bitmap[0] | bitmap[7], 0);
    assert_int_equal(bitmap[8], CANARY);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 0);
}

static void failing_copy_loses_nothing(void **state)
{
    enable();
    dirty(1);
    dirty(17000);
    dirty(39999);
    fake.hole_start = (uintptr_t)&bitmap[2500]; /* in the second piece */
    fake.hole_end = fake.hole_start + 1;
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), -EFAULT);
    assert_true(fake.dirty[1] && fake.dirty[17000] && fake.dirty[39999]);
    assert_false(fake.harvest_open);
    fake.hole_start = fake.hole_end = 0;
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 3);
    assert_true(reported(1) && reported(17000) && reported(39999));
}

/* Every copy of the call in turn is the one that fails. */
static void every_copy_may_fail(void **state)
{
    int64_t result = -EFAULT;

    enable();
    dirty(1);
    dirty(39999);
    for (int n = 0; result != 0; n++) {
        fake.copies_until_fault = n;
        result = shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES);
        fake.copies_until_fault = -1;
        assert_true(result == 0 || (fake.dirty[1] && fake.dirty[39999]));
        assert_true(n < 20);
    }
    assert_false(fake.dirty[1] || fake.dirty[39999]);
}

static void long_call_continues(void **state)
{
    int64_t result;

    enable();
    dirty(2);
    dirty(39998);
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    assert_true(fake.harvest_open);
    dirty(2); /* again, behind the harvest: belongs to the next round */
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 2);
    assert_true(reported(2) && reported(39998));
    assert_true(fake.dirty[2]);
    assert_false(fake.harvest_open);
}

static void second_caller_is_busy_for_a_second(void **state)
{
    int64_t result;

    enable();
    dirty(2);
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    fake_run_as(fake.control, 1);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), -EBUSY);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, 0, FAKE_LOG_PAGES), -EBUSY);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0), -EBUSY);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0, 0), 0);
    fake.now_ns += 1000000001;
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
    assert_true(reported(2));
}

static void other_hypercall_abandons(void **state)
{
    int64_t result;

    enable();
    dirty(2);
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    assert_false(fake.dirty[2]);
    fake_hvc(__HYPERVISOR_sched_op, 0, 0, 0);
    assert_true(fake.dirty[2]);
    assert_false(fake.harvest_open);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 1);

    /* The same address, another operation. */
    dirty(3);
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, 0, 64), 0);
    assert_true(reported(3) && fake.dirty[3]);
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    domctl.cmd = XEN_DOMCTL_pausedomain;
    fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0);
    assert_true(fake.dirty[3]);
}

#define STEPS 3u /* pieces of a CLEAN of FAKE_LOG_PAGES */

static void dirty_all_steps(void)
{
    dirty(3);
    dirty(17000);
    dirty(39998);
}

static bool all_dirty(void)
{
    return fake.dirty[3] && fake.dirty[17000] && fake.dirty[39998];
}

/* The owner does so many pieces of a CLEAN, which is then not finished. */
static void stop_after(unsigned steps)
{
    int64_t result;

    fake_run_as(fake.control, 0);
    for (unsigned i = 0; i < steps; i++) {
        assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    }
}

static void off_at_every_step(void **state)
{
    for (unsigned steps = 1; steps < STEPS; steps++) {
        enable();
        dirty_all_steps();
        stop_after(steps);
        fake_run_as(fake.control, 1);
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
        assert_false(fake.harvest_open);
        /* The owner comes back to a log that is off, and to one that is on again. */
        fake_run_as(fake.control, 0);
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
        assert_false(reported(3) || reported(17000));
        enable();
        memset(fake.dirty, 0, sizeof(fake.dirty));
        dirty_all_steps();
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
        assert_true(reported(3) && reported(17000) && reported(39998));
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    }
}

static void destroy_at_every_step(void **state)
{
    for (unsigned steps = 1; steps < STEPS; steps++) {
        enable();
        dirty_all_steps();
        stop_after(steps);
        fake_run_as(fake.control, 1);
        fake.guest->dying = DOMAIN_DYING;
        fake.off_steps = 2;
        assert_int_equal(hypercall_domain_kill_step(fake.guest), -ERESTART);
        assert_int_equal(hypercall_domain_kill_step(fake.guest), -ERESTART);
        assert_int_equal(hypercall_domain_kill_step(fake.guest), 0);
        assert_false(fake.harvest_open);
        assert_null(fake.guest->logdirty_session);
        fake_run_as(fake.control, 0);
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), -EINVAL);
        assert_null(fake.guest->logdirty_session);
        fake.guest->dying = DOMAIN_ALIVE;
    }
}

/* One byte of the output cannot be written: after every number of pieces, in every later piece. */
static void failing_output_at_every_step(void **state)
{
    unsigned allocated = fake.allocated;

    enable();
    dirty_all_steps();
    for (unsigned steps = 0; steps < STEPS; steps++) {
        for (unsigned piece = steps; piece < STEPS; piece++) {
            int64_t result;

            stop_after(steps);
            fake.hole_start = (uintptr_t)&bitmap[piece * 2048];
            fake.hole_end = fake.hole_start + 1;
            result = shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES);
            fake.hole_start = fake.hole_end = 0;
            assert_int_equal(result, -EFAULT);
            assert_true(all_dirty());
            assert_false(fake.harvest_open);
            assert_int_equal(fake.allocated, allocated);
        }
    }
}

static void two_callers_at_every_step(void **state)
{
    for (unsigned steps = 1; steps < STEPS; steps++) {
        enable();
        dirty_all_steps();
        stop_after(steps);
        fake_run_as(fake.control, 1);
        for (unsigned i = 0; i < 3; i++) { /* asking again changes nothing */
            assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), -EBUSY);
            fake.now_ns += 300000000;
        }
        fake_run_as(fake.control, 0); /* within its second: it gets everything */
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
        assert_true(reported(3) && reported(17000) && reported(39998));

        dirty_all_steps();
        stop_after(steps);
        fake.now_ns += 1000000001;
        fake_run_as(fake.control, 1); /* given up: the other one gets everything */
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
        assert_true(reported(3) && reported(17000) && reported(39998));
        fake_run_as(fake.control, 0); /* and the first one, that comes back, begins anew */
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES), 0);
        assert_false(reported(3) || reported(17000) || reported(39998));
        assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    }
}

static void off_by_another_ends_it(void **state)
{
    int64_t result;

    enable();
    fake.off_steps = 3;
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_CLEAN, FAKE_LOG_PAGES, &result));
    fake_run_as(fake.control, 1);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, 0, 0), 0);
    assert_false(fake.harvest_open);
    assert_int_equal(fake.log_state, FAKE_LOG_OFF);
}

static void abandoned_enable_goes_on(void **state)
{
    int64_t result;

    fake.enable_steps = 5;
    assert_true(shadow_piece(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, &result));
    fake_hvc(__HYPERVISOR_sched_op, 0, 0, 0);
    assert_int_equal(fake.log_state, FAKE_LOG_STARTING);
    fake_run_as(fake.control, 1);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, 0), 0);
    assert_int_equal(fake.log_state, FAKE_LOG_ON);
}

static void inside_a_multicall(void **state)
{
    struct multicall_entry entries[2] = {
        {.op = __HYPERVISOR_sched_op, .result = 1},
        {.op = __HYPERVISOR_domctl, .args = {(uintptr_t)&domctl}, .result = 1},
    };
    bool again;

    enable();
    dirty(2);
    dirty(39998);
    prepare(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, FAKE_LOG_PAGES);
    fake.preempt_after = 3; /* between the first pieces of the second entry */
    fake.preempt_asked = 0;
    fake_hvc_once(__HYPERVISOR_multicall, (uintptr_t)entries, 2, 0, &again);
    assert_true(again && fake.harvest_open);
    assert_int_equal(entries[0].result, (xen_ulong_t)-ENOSYS);
    assert_int_equal(fake_continue(), 0);
    assert_int_equal(entries[1].result, 0);
    assert_true(reported(2) && reported(39998));
    assert_int_equal(domctl.u.shadow_op.stats.dirty_count, 2);
    assert_false(fake.harvest_open);
}

static void no_memory_changes_nothing(void **state)
{
    enable();
    dirty(4);
    fake.out_of_memory = true;
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, 64), -ENOMEM);
    fake.out_of_memory = false;
    assert_true(fake.dirty[4]);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, end)
    const struct CMUnitTest tests[] = {
        CASE(check_target),
        CASE(check_operations),
        CASE(clean_reports_and_clears),
        CASE(bytes_written_are_exact),
        CASE(bitmaps_at_every_address),
        CASE(partial_clean_clears_what_it_reported),
        CASE(null_bitmap_clears_without_writing),
        CASE(off_reports_zeros),
        CASE(failing_copy_loses_nothing),
        CASE(every_copy_may_fail),
        CASE(long_call_continues),
        CASE(second_caller_is_busy_for_a_second),
        CASE(other_hypercall_abandons),
        CASE(off_at_every_step),
        CASE(destroy_at_every_step),
        CASE(failing_output_at_every_step),
        CASE(two_callers_at_every_step),
        CASE(off_by_another_ends_it),
        CASE(abandoned_enable_goes_on),
        CASE(inside_a_multicall),
        CASE(no_memory_changes_nothing),
    };

    return cmocka_run_group_tests_name("shadow_op", tests, NULL, NULL);
}
