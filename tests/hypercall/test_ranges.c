/* SPDX-License-Identifier: MIT */
/* dirty_ranges: exact ranges, room that runs out, and no bit lost by an error or a lost caller. */
#include <godwit/ext.h>
#include <hv/errno.h>
#include <xen/domctl.h>

#include "fake_host.h"

#define ROOM 64u

static struct godwit_dirty_ranges request;
static struct godwit_range ranges[FAKE_LOG_PAGES / 2 + 1];
static struct xen_domctl domctl;

static int reset(void **state)
{
    fake_reset();
    memset(&domctl, 0, sizeof(domctl));
    domctl.cmd = XEN_DOMCTL_shadow_op;
    domctl.interface_version = 0x15;
    domctl.domain = fake.guest->id;
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static int64_t shadow(uint32_t op)
{
    domctl.u.shadow_op.op = op;
    return fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0);
}

static void prepare(uint32_t flags, uint64_t first, uint64_t end_gfn, uint32_t room)
{
    request = (struct godwit_dirty_ranges){
        .domid = fake.guest->id,
        .flags = flags,
        .first_gfn = first,
        .end_gfn = end_gfn,
        .ranges = (uintptr_t)ranges,
        .count = room,
    };
}

static int64_t take(uint32_t flags, uint64_t first, uint64_t end_gfn, uint32_t room)
{
    prepare(flags, first, end_gfn, room);
    return fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0);
}

static void enable(void)
{
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
}

static void dirty(uint64_t first, uint64_t pages)
{
    memset(&fake.dirty[first], 1, pages);
}

static void expect(unsigned i, uint64_t first, uint64_t pages)
{
    assert_int_equal(ranges[i].first_gfn, first);
    assert_int_equal(ranges[i].pages, pages);
}

static void ranges_are_whole(void **state)
{
    enable();
    dirty(0, 1);
    dirty(62, 4);     /* over the edge of a word */
    dirty(128, 1000); /* many words */
    dirty(39999, 1);  /* the last page */
    assert_int_equal(take(GODWIT_DIRTY_PEEK, 0, UINT64_MAX, ROOM), 0);
    assert_int_equal(request.count, 4);
    assert_int_equal(request.pages, 1006);
    assert_true(fake.dirty[0] && fake.dirty[39999]);
    fake.words_per_call = 3;
    fake.preempt_after = 1; /* whenever it asks */
    assert_int_equal(take(0, 0, UINT64_MAX, ROOM), 0);
    fake.preempt_after = 0;
    assert_int_equal(request.first_gfn, UINT64_MAX);
    assert_int_equal(request.count, 4);
    assert_int_equal(request.pages, 1006);
    expect(0, 0, 1);
    expect(1, 62, 4);
    expect(2, 128, 1000);
    expect(3, 39999, 1);
    assert_false(fake.dirty[0] || fake.dirty[500] || fake.dirty[39999] || fake.harvest_open);
    assert_int_equal(take(0, 0, UINT64_MAX, ROOM), 0);
    assert_int_equal(request.count + request.pages, 0);
}

static void only_what_is_asked_for(void **state)
{
    enable();
    dirty(60, 40);
    assert_int_equal(take(0, 64, 90, ROOM), 0);
    assert_int_equal(request.first_gfn, 90);
    assert_int_equal(request.count, 1);
    expect(0, 64, 26);
    assert_true(fake.dirty[63] && fake.dirty[90] && !fake.dirty[64] && !fake.dirty[89]);
    assert_int_equal(take(0, 64, 64, ROOM), 0);
    assert_int_equal(request.count, 0);
}

/* Every second page is dirty: the most ranges that there can be. */
static void room_runs_out(void **state)
{
    uint64_t first = 0, found = 0, calls = 0;

    enable();
    for (uint64_t gfn = 1; gfn < FAKE_LOG_PAGES; gfn += 2) {
        dirty(gfn, 1);
    }
    while (first < FAKE_LOG_PAGES) {
        assert_int_equal(take(0, first, FAKE_LOG_PAGES, ROOM + (uint32_t)calls++ % 100), 0);
        assert_true(request.first_gfn > first && request.count > 0);
        assert_int_equal(request.pages, request.count);
        for (unsigned i = 0; i < request.count; i++, found++) {
            expect(i, 2 * found + 1, 1);
        }
        first = request.first_gfn;
        if (first < FAKE_LOG_PAGES) {
            assert_true(fake.dirty[first + 1] && !fake.dirty[first - 1]);
        }
    }
    assert_int_equal(found, FAKE_LOG_PAGES / 2);
    assert_false(fake.dirty[1] || fake.dirty[FAKE_LOG_PAGES - 1]);
}

/* Every copy of the call in turn is the one that fails. */
static void errors_lose_nothing(void **state)
{
    int64_t result = -EFAULT;

    enable();
    for (uint64_t gfn = 0; gfn < 1000; gfn += 3) {
        dirty(gfn, 1);
    }
    for (int n = 0; result != 0; n++) {
        fake.copies_until_fault = n;
        result = take(0, 0, UINT64_MAX, 1000);
        fake.copies_until_fault = -1;
        assert_true(result == 0 || (fake.dirty[0] && fake.dirty[999]));
        assert_false(fake.harvest_open);
        assert_true(n < 40);
    }
    assert_int_equal(request.count, 334);
    assert_false(fake.dirty[0] || fake.dirty[999]);
}

static void a_second_caller_is_busy(void **state)
{
    bool again;

    enable();
    dirty(7, 1);
    dirty(30000, 1);
    fake.words_per_call = 1;
    prepare(0, 0, UINT64_MAX, ROOM);
    fake.preempt_after = 1;
    fake_hvc_once(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0, &again);
    fake.preempt_after = 0;
    assert_true(again && fake.harvest_open && !fake.dirty[7]);
    fake_run_as(fake.control, 1);
    assert_int_equal(take(0, 0, UINT64_MAX, ROOM), -EBUSY);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN), -EBUSY);
    fake.now_ns += 1000000001; /* the first caller never comes back */
    assert_int_equal(take(0, 0, UINT64_MAX, ROOM), 0);
    assert_int_equal(request.count, 2);
    expect(0, 7, 1);

    /* And one that does something else. */
    dirty(8, 1);
    dirty(30000, 1);
    prepare(0, 0, UINT64_MAX, ROOM);
    fake.preempt_after = 1;
    fake_hvc_once(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0, &again);
    fake.preempt_after = 0;
    assert_true(again && !fake.dirty[8]);
    fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_VERSION, 0, 0);
    assert_true(fake.dirty[8] && !fake.harvest_open);
}

static int64_t take_in(uint64_t epoch, uint32_t flags)
{
    prepare(flags, 0, UINT64_MAX, ROOM);
    request.epoch = epoch;
    return fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0);
}

static uint64_t epoch_now(void)
{
    assert_int_equal(take(GODWIT_DIRTY_PEEK, 0, 0, ROOM), 0);
    assert_int_not_equal(request.epoch, 0);
    return request.epoch;
}

/* The epoch changes with all that ends the caller's knowledge of the log, and with nothing else. */
static void epochs(void **state)
{
    uint64_t epoch, old;

    enable();
    epoch = epoch_now();
    dirty(5, 1);
    assert_int_equal(epoch_now(), epoch);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK), 0);
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), -EINVAL); /* it is on */
    fake.copies_until_fault = 1;
    assert_int_equal(take_in(epoch, 0), -EFAULT);
    fake.copies_until_fault = -1;
    assert_int_equal(epoch_now(), epoch);

    assert_int_equal(take_in(epoch, 0), 0);
    assert_int_equal(request.count, 1);
    assert_int_not_equal(request.epoch, epoch);
    old = epoch;
    epoch = request.epoch;
    assert_int_equal(epoch_now(), epoch);
    dirty(5, 1);
    assert_int_equal(take_in(old, 0), -EILSEQ);
    assert_int_equal(take_in(old, GODWIT_DIRTY_PEEK), -EILSEQ);
    assert_true(fake.dirty[5] && !fake.harvest_open);

    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN), 0); /* somebody else's */
    dirty(5, 1);
    assert_int_equal(take_in(epoch, 0), -EILSEQ);
    epoch = epoch_now();
    assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF), 0);
    assert_int_equal(take_in(epoch, 0), -EINVAL);
    enable();
    assert_int_equal(take_in(epoch, 0), -EILSEQ);
    assert_int_equal(take_in(epoch_now(), 0), 0);
}

static void arguments_are_checked(void **state)
{
    assert_int_equal(take(0, 0, 64, ROOM), -EINVAL); /* not logged */
    enable();
    assert_int_equal(take(4, 0, 64, ROOM), -EINVAL);
    assert_int_equal(take(0, 1, 64, ROOM), -EINVAL);
    assert_int_equal(take(0, 64, 63, ROOM), -EINVAL);
    assert_int_equal(take(0, 0, 64, ROOM - 1), -EINVAL);
    prepare(0, 0, 64, ROOM);
    request.pad2 = 1;
    assert_int_equal(fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0),
                     -EINVAL);
    prepare(0, 0, 64, ROOM);
    request.domid = 77;
    assert_int_equal(fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0),
                     -ESRCH);
    request.domid = fake.control->id;
    assert_int_equal(fake_hvc(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)&request, 0),
                     -EINVAL);
    assert_int_equal(take(0, 0, 64, ROOM), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, end)
    const struct CMUnitTest tests[] = {
        CASE(ranges_are_whole),
        CASE(only_what_is_asked_for),
        CASE(room_runs_out),
        CASE(errors_lose_nothing),
        CASE(a_second_caller_is_busy),
        CASE(arguments_are_checked),
        CASE(epochs),
    };

    return cmocka_run_group_tests_name("dirty_ranges", tests, NULL, NULL);
}
