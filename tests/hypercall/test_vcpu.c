/* SPDX-License-Identifier: MIT */
/* GODWIT_OP_VCPU_STATS, GODWIT_OP_VCPU_THROTTLE and GODWIT_OP_WRITER_SAMPLE. */
#include <godwit/ext.h>
#include <hv/errno.h>
#include <hv/hypercall.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <xen/domctl.h>

#include <cmocka.h>

#include "fake_host.h"

static int begin(void **state)
{
    fake_reset();
    fake_run_as(fake.control, 0);
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static int64_t call(enum godwit_op op, void *argument)
{
    return fake_hvc(GODWIT_HYPERCALL, op, (uintptr_t)argument, 0);
}

static int64_t shadow_op(uint32_t op)
{
    static struct xen_domctl domctl;

    memset(&domctl, 0, sizeof(domctl));
    domctl.cmd = XEN_DOMCTL_shadow_op;
    domctl.interface_version = 0x15;
    domctl.domain = fake.guest->id;
    domctl.u.shadow_op.op = op;
    return fake_hvc(__HYPERVISOR_domctl, (uintptr_t)&domctl, 0, 0);
}

static int64_t throttle(uint32_t vcpu, uint32_t percent)
{
    struct godwit_vcpu_throttle op = {.domid = fake.guest->id, .vcpu = vcpu, .percent = percent};

    return call(GODWIT_OP_VCPU_THROTTLE, &op);
}

static void test_stats(void **state)
{
    struct godwit_vcpu_stats stats = {.domid = fake.guest->id, .bytes = sizeof(stats)};

    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), 0);
    assert_int_equal(stats.bytes, sizeof(stats));
    assert_int_equal(stats.faults, 10);
    assert_int_equal(stats.dirty_pages, 20);
    assert_int_equal(stats.fault_ns, 30);
    assert_int_equal(stats.harvest_ns, 40);
    assert_int_equal(stats.throttle_ns, 50);
    assert_int_equal(stats.pause_ns, 60);
    assert_int_equal(stats.pages_per_count, 1);
}

/* Callers that know fewer fields, or more, get what both know. */
static void test_stats_sizes(void **state)
{
    struct {
        struct godwit_vcpu_stats stats;
        uint64_t later;
    } wide = {.stats = {.domid = fake.guest->id, .bytes = sizeof(wide)}, .later = 77};
    struct godwit_vcpu_stats narrow = {.domid = fake.guest->id,
                                       .bytes = offsetof(struct godwit_vcpu_stats, fault_ns),
                                       .fault_ns = 77};

    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &wide), 0);
    assert_int_equal(wide.stats.bytes, sizeof(wide.stats));
    assert_int_equal(wide.later, 77);
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &narrow), 0);
    assert_int_equal(narrow.dirty_pages, 20);
    assert_int_equal(narrow.fault_ns, 77);
}

static void test_stats_refuses(void **state)
{
    struct godwit_vcpu_stats good = {.domid = fake.guest->id, .bytes = sizeof(good)}, stats;

    stats = good;
    stats.bytes = offsetof(struct godwit_vcpu_stats, faults) - 1;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -EINVAL);
    stats = good;
    stats.pad = 1;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -EINVAL);
    stats = good;
    stats.pad2 = 1;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -EINVAL);
    stats = good;
    stats.domid = 77;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -ESRCH);
    stats = good;
    stats.vcpu = fake.guest->max_vcpus;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -ENOENT);
    stats.vcpu = UINT32_MAX;
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -ENOENT);
    stats = good;
    fake.hole_start = (uintptr_t)&stats;
    fake.hole_end = (uintptr_t)(&stats + 1);
    assert_int_equal(call(GODWIT_OP_VCPU_STATS, &stats), -EFAULT);
}

/* The throttle begins and ends with the logging, whoever ends that. */
static void test_throttle(void **state)
{
    assert_int_equal(throttle(0, 50), -EINVAL);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    assert_int_equal(fake.resets, 1);
    assert_int_equal(throttle(0, 50), 0);
    assert_int_equal(fake.throttle_percent[0], 50);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), -EINVAL); /* it is on */
    assert_int_equal(fake.throttle_percent[0], 50);
    assert_int_equal(fake.resets, 1);
    assert_int_equal(throttle(GODWIT_VCPU_ALL, 99), 0);
    assert_int_equal(fake.throttle_percent[0], 99);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF), 0);
    assert_int_equal(fake.throttle_percent[0], 0);
    assert_int_equal(throttle(0, 1), -EINVAL);
}

/* What is being destroyed is not throttled either: its vCPUs are gone, and their timers with them.
 */
static void test_throttle_ends_with_the_domain(void **state)
{
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    assert_int_equal(throttle(0, 50), 0);
    assert_int_equal(hypercall_domain_kill_step(fake.guest), 0);
    assert_int_equal(fake.throttle_percent[0], 0);
    assert_false(fake.may_throttle);
}

/* An enabling that takes several entries resets once, and is no reason to refuse afterwards. */
static void test_throttle_after_slow_enable(void **state)
{
    fake.enable_steps = 3;
    fake.preempt_after = 1;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    assert_int_equal(fake.resets, 1);
    assert_int_equal(throttle(0, 20), 0);
}

static void test_throttle_refuses(void **state)
{
    struct godwit_vcpu_throttle op = {.domid = 77};

    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    assert_int_equal(throttle(0, 100), -EINVAL);
    assert_int_equal(throttle(0, UINT32_MAX), -EINVAL);
    assert_int_equal(throttle(fake.guest->max_vcpus, 10), -ENOENT);
    assert_int_equal(call(GODWIT_OP_VCPU_THROTTLE, &op), -ESRCH);
    op.domid = fake.guest->id;
    op.pad[1] = 1;
    assert_int_equal(call(GODWIT_OP_VCPU_THROTTLE, &op), -EINVAL);
    op.pad[1] = 0;
    fake.hole_start = (uintptr_t)&op;
    fake.hole_end = (uintptr_t)(&op + 1);
    assert_int_equal(call(GODWIT_OP_VCPU_THROTTLE, &op), -EFAULT);
}

static void test_sample(void **state)
{
    struct godwit_writer_sample op = {.domid = fake.guest->id, .enable = 1};

    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), -EINVAL); /* logging is off */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY), 0);
    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), 0);
    assert_true(fake.sampling);
    op.enable = 2;
    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), -EINVAL);
    op.enable = 0;
    op.pad = 1;
    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), -EINVAL);
    op.pad = 0;
    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), 0);
    assert_false(fake.sampling);
    op.domid = 77;
    assert_int_equal(call(GODWIT_OP_WRITER_SAMPLE, &op), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stats, begin, end),
        cmocka_unit_test_setup_teardown(test_stats_sizes, begin, end),
        cmocka_unit_test_setup_teardown(test_stats_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_throttle, begin, end),
        cmocka_unit_test_setup_teardown(test_throttle_ends_with_the_domain, begin, end),
        cmocka_unit_test_setup_teardown(test_throttle_after_slow_enable, begin, end),
        cmocka_unit_test_setup_teardown(test_throttle_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_sample, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
