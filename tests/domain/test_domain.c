/* SPDX-License-Identifier: MIT */
/* Creation, references and destruction of domains. */
#include "fake_host.h"

#include <hv/errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <xen/sched.h>

#include <cmocka.h>

static struct domain *create(domid_t id, uint32_t vcpus)
{
    struct domain *d;

    assert_int_equal(domain_create(id, vcpus, false, &d), 0);
    for (uint32_t i = 0; i < vcpus; i++) {
        assert_non_null(vcpu_create(d, i));
    }
    return d;
}

/* How many steps it took. */
static unsigned destroy(struct domain *d)
{
    unsigned steps = 1;
    int error;

    while ((error = domain_destroy_step(d)) == -ERESTART) {
        steps++;
        assert_true(steps < 100);
    }
    assert_int_equal(error, 0);
    return steps;
}

static void test_ids(void **state)
{
    struct domain *d;

    fake_reset(1);
    struct domain *five = create(5, 1);
    assert_int_equal(domain_create(5, 1, false, &d), -EEXIST);
    assert_int_equal(domain_create(0x7ff0, 1, false, &d), -EINVAL);
    assert_int_equal(domain_create(1, 0, false, &d), -EINVAL);
    assert_int_equal(domain_create(1, DOMAIN_VCPUS_MAX + 1, false, &d), -EINVAL);
    struct domain *first = create(DOMID_INVALID, 1);
    struct domain *second = create(DOMID_INVALID, 1);
    assert_int_not_equal(first->id, second->id);
    /* An id is not given again at once. */
    domid_t old = second->id;
    destroy(second);
    second = create(DOMID_INVALID, 1);
    assert_int_not_equal(second->id, old);
    destroy(first);
    destroy(second);
    destroy(five);
    assert_int_equal(fake.pages, 0);
}

static void test_listing(void **state)
{
    fake_reset(1);
    struct domain *nine = create(9, 1), *three = create(3, 1);

    assert_null(domain_get(4));
    struct domain *d = domain_get_next(0);
    assert_ptr_equal(d, three);
    domain_put(d);
    d = domain_get_next(4);
    assert_ptr_equal(d, nine);
    domain_put(d);
    assert_null(domain_get_next(10));
    destroy(nine);
    destroy(three);
    assert_int_equal(fake.pages, 0);
}

static void test_every_vmid_is_flushed_before_use(void **state)
{
    uint16_t seen[600];

    fake_reset(1);
    for (unsigned i = 0; i < 600; i++) {
        struct domain *d = create(DOMID_INVALID, 1);
        assert_int_equal(fake.flushes, i + 1);
        assert_int_equal(fake.flushed_root >> 48, d->vmid);
        assert_in_range(d->vmid, 1, 255);
        seen[i] = d->vmid;
        destroy(d);
    }
    assert_int_not_equal(seen[0], seen[1]); /* reuse is put off as long as possible */
    assert_int_equal(seen[0], seen[255]);
}

static void test_too_many(void **state)
{
    static struct domain *all[DOMAINS_MAX];
    struct domain *d;

    fake_reset(1);
    for (unsigned i = 0; i < DOMAINS_MAX; i++) {
        all[i] = create(DOMID_INVALID, 1);
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(all[i]->vmid, all[j]->vmid);
        }
    }
    assert_int_equal(domain_create(DOMID_INVALID, 1, false, &d), -ENOSPC);
    for (unsigned i = 0; i < DOMAINS_MAX; i++) {
        destroy(all[i]);
    }
    assert_int_equal(fake.pages, 0);
}

static void test_failed_creation_leaves_nothing(void **state)
{
    struct domain *d;

    for (int n = 1;; n++) {
        fake_reset(1);
        fake.fail_alloc = n;
        int error = domain_create(7, 1, false, &d);
        if (error == 0) {
            assert_true(n > 3); /* every allocation has failed once */
            destroy(d);
            break;
        }
        assert_int_equal(error, -ENOMEM);
        assert_int_equal(fake.pages, 0);
        assert_null(domain_get(7));
    }
}

static void test_destruction_in_steps(void **state)
{
    fake_reset(1);
    struct domain *d = create(7, 4);
    struct domain *held = domain_get(7);

    fake.relinquish_steps = 5;
    fake.kill_steps = 3;
    assert_in_range(destroy(d), 8, 20);
    assert_int_equal(fake.dom_exc, 1);
    assert_int_equal(held->dying, DOMAIN_DEAD);
    assert_int_equal(domain_destroy_step(held), 0); /* again: nothing happens */
    assert_int_equal(fake.dom_exc, 1);
    assert_non_null(held->vcpus[3]); /* whoever holds a reference may look */
    domain_put(held);
    assert_int_equal(fake.pages, 0);
}

static void test_zombie_until_its_last_frame_goes(void **state)
{
    fake_reset(1);
    struct domain *d = create(7, 1);

    /* As frame_alloc_domain does with the first frame of a domain. */
    atomic_fetch_add(&d->refcount, 1);
    destroy(d);
    struct domain *zombie = domain_get(7);
    assert_ptr_equal(zombie, d);
    assert_int_equal(zombie->dying, DOMAIN_DEAD);
    domain_put(zombie);
    domain_put(d);
    assert_null(domain_get(7));
    assert_int_equal(fake.pages, 0);
}

static void test_two_destroyers(void **state)
{
    fake_reset(1);
    struct domain *d = create(7, 1);
    struct domain *held = domain_get(7);

    d->destroy_lock.held = 1; /* the other one is in the middle of a step */
    assert_int_equal(domain_destroy_step(d), -ERESTART);
    assert_int_equal(d->dying, DOMAIN_ALIVE);
    d->destroy_lock.held = 0;
    destroy(d);
    domain_put(held);
    assert_int_equal(fake.pages, 0);
}

static void test_shutdown_is_said_once(void **state)
{
    fake_reset(1);
    struct domain *d = create(7, 1);

    domain_shutdown(d, SHUTDOWN_reboot);
    domain_shutdown(d, SHUTDOWN_crash);
    assert_int_equal(fake.dom_exc, 1);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);
    assert_int_equal(domain_resume(d), 0);
    assert_false(d->shut_down);
    domain_crash(d->vcpus[0], "did %s", "it");
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
    assert_string_equal(d->vcpus[0]->crash_reason, "did it");
    assert_int_equal(fake.dom_exc, 2);
    destroy(d);
}

static void test_affinity_numbers(void **state)
{
    fake_reset(1);
    struct domain *d = create(7, 20);

    assert_int_equal(d->vcpus[0]->vmpidr, 0x80000000);
    assert_int_equal(d->vcpus[15]->vmpidr, 0x8000000f);
    assert_int_equal(d->vcpus[16]->vmpidr, 0x80000100);
    assert_int_equal(d->vcpus[19]->vmpidr, 0x80000103);
    destroy(d);
    assert_int_equal(fake.pages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_every_vmid_is_flushed_before_use),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_failed_creation_leaves_nothing),
        cmocka_unit_test(test_destruction_in_steps),
        cmocka_unit_test(test_zombie_until_its_last_frame_goes),
        cmocka_unit_test(test_two_destroyers),
        cmocka_unit_test(test_shutdown_is_said_once),
        cmocka_unit_test(test_affinity_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
