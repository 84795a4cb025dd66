/* SPDX-License-Identifier: MIT */
/* The scheduler's choices, with simulated CPUs and time. */
#include "fake_host.h"

/* Its variables are reset between tests. */
#include "../../hypervisor/domain/sched.c"

#include <hv/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP_NS UINT64_C(100000)

#define DOMAINS          3u
#define VCPUS_PER_DOMAIN 3u

static struct domain domains[DOMAINS];
static struct vcpu vcpus[DOMAINS][VCPUS_PER_DOMAIN];

static void run_on(unsigned cpu)
{
    fake.cpu = cpu;
    struct cpu *here = this_cpu();
    struct vcpu *next = sched_pick(here, here->current);
    if (next != here->current) {
        if (here->current) {
            here->current->cpu = -1;
        }
        if (next) {
            assert_int_equal(next->cpu, -1); /* loaded on one CPU at a time */
            next->cpu = (int)cpu;
        }
        here->current = next;
    }
}

/* Lets every CPU act on its kicks and slices. */
static void settle(void)
{
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned id = 0; id < fake.cpu_count; id++) {
            fake.cpu = id;
            if (fake.slice_ns[id] && fake.now_ns >= fake.slice_ns[id]) {
                fake.slice_ns[id] = 0;
                fake.slice[id]->fire(fake.slice[id]);
            }
            if (cpus[id].need_resched) {
                cpus[id].need_resched = false;
                run_on(id);
            }
        }
    }
}

static void advance(uint64_t ns)
{
    for (uint64_t done = 0; done < ns; done += STEP_NS) {
        fake.now_ns += STEP_NS;
        settle();
    }
}

static void start(unsigned count)
{
    fake_reset(count);
    queue = NULL;
    queue_time_ns = idle_cpus = kicks = 0;
    memset(running, 0, sizeof(running));
    memset(domains, 0, sizeof(domains));
    memset(vcpus, 0, sizeof(vcpus));
    for (unsigned d = 0; d < DOMAINS; d++) {
        domains[d].id = (domid_t)(d + 1);
        domains[d].max_vcpus = VCPUS_PER_DOMAIN;
        for (unsigned i = 0; i < VCPUS_PER_DOMAIN; i++) {
            struct vcpu *v = &vcpus[d][i];
            v->domain = &domains[d];
            v->id = i;
            v->cpu = v->last_cpu = -1;
            domains[d].vcpus[i] = v;
        }
    }
    for (unsigned id = 0; id < count; id++) {
        fake.cpu = id;
        sched_init_cpu();
        run_on(id);
        assert_null(cpus[id].current);
    }
}

static void stop(void)
{
    for (unsigned d = 0; d < DOMAINS; d++) {
        domains[d].dying = DOMAIN_DYING;
        sched_domain_recheck(&domains[d]);
    }
    settle();
    for (unsigned id = 0; id < fake.cpu_count; id++) {
        assert_null(cpus[id].current);
    }
}

static void test_equal_shares(void **state)
{
    start(2);
    uint64_t before[3];
    for (unsigned i = 0; i < 3; i++) {
        assert_true(sched_vcpu_on(&vcpus[i][0]));
    }
    settle();
    for (unsigned i = 0; i < 3; i++) {
        before[i] = sched_run_time_ns(&vcpus[i][0]);
    }
    advance(UINT64_C(3000000000));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t ran = sched_run_time_ns(&vcpus[i][0]) - before[i];
        assert_in_range(ran, 1990000000, 2010000000); /* 2 CPUs for 3 s, three ways */
    }
    stop();
}

/* A sleeper must neither starve nor, after a long sleep, keep the others away. */
static void test_sleeper_gets_one_slice_of_credit(void **state)
{
    start(1);
    struct vcpu *sleeper = &vcpus[0][0], *worker = &vcpus[1][0];
    sched_vcpu_on(sleeper);
    settle();
    fake.cpu = 0;
    sched_block_current();
    settle();
    assert_int_equal(sleeper->state, VCPU_BLOCKED);
    sched_vcpu_on(worker);
    settle();
    advance(UINT64_C(1000000000)); /* alone, so never charged meanwhile */
    sched_wake(sleeper);
    settle();
    assert_ptr_equal(cpus[0].current, sleeper); /* far behind: it preempts at once */
    uint64_t worked = sched_run_time_ns(worker);
    advance(3 * SLICE_NS);
    assert_true(sched_run_time_ns(worker) - worked >= SLICE_NS / 2);
    stop();
}

static void test_alone_has_no_slice(void **state)
{
    start(2);
    sched_vcpu_on(&vcpus[0][0]);
    settle();
    assert_int_equal(fake.slice_ns[0], 0);
    assert_int_equal(fake.slice_ns[1], 0);
    /* The second takes the idle CPU and disturbs nobody; the third makes both share. */
    fake.kicked = 0;
    sched_vcpu_on(&vcpus[0][1]);
    assert_int_equal(__builtin_popcountll(fake.kicked), 1);
    settle();
    fake.kicked = 0;
    sched_vcpu_on(&vcpus[0][2]);
    assert_int_equal(fake.kicked, 3);
    settle();
    assert_true(fake.slice_ns[0] > fake.now_ns && fake.slice_ns[1] > fake.now_ns);
    stop();
}

static void test_two_wakes_take_two_idle_cpus(void **state)
{
    start(4);
    sched_vcpu_on(&vcpus[0][0]);
    sched_vcpu_on(&vcpus[0][1]); /* before the first one's CPU has moved */
    assert_int_equal(__builtin_popcountll(fake.kicked), 2);
    settle();
    assert_int_equal(vcpus[0][0].state, VCPU_RUNNING);
    assert_int_equal(vcpus[0][1].state, VCPU_RUNNING);
    stop();
}

static void test_pauses_are_counted(void **state)
{
    start(1);
    struct domain *d = &domains[0];
    struct vcpu *v = d->vcpus[0];
    sched_domain_pause(d);
    sched_vcpu_on(v);
    settle();
    assert_true(sched_vcpu_is_stopped(v));
    sched_domain_pause(d);
    assert_int_equal(sched_domain_unpause(d), 0);
    settle();
    assert_null(cpus[0].current);
    assert_int_equal(sched_domain_unpause(d), 0);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    assert_int_equal(sched_domain_unpause(d), -22);
    sched_vcpu_pause(v);
    assert_false(sched_vcpu_is_stopped(v)); /* pausing does not wait */
    settle();
    assert_true(sched_vcpu_is_stopped(v));
    assert_int_equal(v->state, VCPU_RUNNABLE);
    sched_vcpu_unpause(v);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    stop();
}

static void test_wake_during_pause_is_kept(void **state)
{
    start(1);
    struct domain *d = &domains[0];
    struct vcpu *v = d->vcpus[0];
    sched_vcpu_on(v);
    settle();
    sched_block_current();
    settle();
    sched_domain_pause(d);
    sched_wake(v);
    settle();
    assert_null(cpus[0].current);
    assert_int_equal(sched_domain_unpause(d), 0);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    stop();
}

static void test_block_with_a_pending_interrupt_returns(void **state)
{
    start(1);
    struct vcpu *v = &vcpus[0][0];
    sched_vcpu_on(v);
    settle();
    fake.pending = true;
    sched_block_current();
    assert_int_equal(v->state, VCPU_RUNNING);
    fake.pending = false;
    stop();
}

/* Woken after it blocked and before its CPU has left: it goes on where it is. */
static void test_wake_before_the_switch(void **state)
{
    start(1);
    struct vcpu *v = &vcpus[0][0];
    sched_vcpu_on(v);
    settle();
    sched_block_current();
    sched_wake(v);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    assert_int_equal(v->state, VCPU_RUNNING);
    stop();
}

static void test_on_and_off(void **state)
{
    start(1);
    struct vcpu *v = &vcpus[0][0];
    assert_true(sched_vcpu_start(v, 0x1000, 7));
    assert_int_equal(v->regs.pc, 0x1000);
    assert_int_equal(v->regs.x[0], 7);
    assert_false(sched_vcpu_start(v, 0x2000, 8));
    assert_int_equal(v->regs.pc, 0x1000);
    settle();
    sched_vcpu_off_current();
    settle();
    assert_true(sched_vcpu_is_off(v));
    sched_wake(v);
    settle();
    assert_null(cpus[0].current);
    stop();
}

static void test_shut_down_domain_stops(void **state)
{
    start(2);
    struct domain *d = &domains[0];
    for (unsigned i = 0; i < VCPUS_PER_DOMAIN; i++) {
        sched_vcpu_on(d->vcpus[i]);
    }
    settle();
    d->shut_down = true;
    sched_domain_recheck(d);
    settle();
    sched_wait_stopped(d);
    assert_null(cpus[0].current);
    assert_null(cpus[1].current);
    d->shut_down = false;
    sched_domain_recheck(d);
    settle();
    assert_non_null(cpus[0].current);
    assert_non_null(cpus[1].current);
    stop();
}

/* What must hold whenever all CPUs have acted on their kicks. */
static void check_invariants(void)
{
    unsigned waiting = 0, busy = 0;

    for (unsigned n = 0; n < DOMAINS * VCPUS_PER_DOMAIN; n++) {
        const struct vcpu *v = &vcpus[n / VCPUS_PER_DOMAIN][n % VCPUS_PER_DOMAIN];
        bool allowed = v->pause_count == 0 && v->domain->pause_count == 0;
        assert_int_equal(v->queued, v->state == VCPU_RUNNABLE && allowed);
        assert_int_equal(v->cpu >= 0, v->state == VCPU_RUNNING);
        assert_true(allowed || v->state != VCPU_RUNNING);
        waiting += v->queued;
        busy += v->state == VCPU_RUNNING;
    }
    assert_true(waiting == 0 || busy == fake.cpu_count); /* nobody waits beside an idle CPU */
    for (unsigned id = 0; id < fake.cpu_count && waiting; id++) {
        assert_int_not_equal(fake.slice_ns[id], 0);
    }
}

static void random_step(void)
{
    struct domain *d = &domains[(unsigned)rand() % DOMAINS];
    struct vcpu *v = d->vcpus[(unsigned)rand() % VCPUS_PER_DOMAIN];

    fake.cpu = (unsigned)rand() % fake.cpu_count;
    fake.pending = rand() % 8 == 0;
    switch (rand() % 10) {
    case 0:
        sched_domain_pause(d);
        break;
    case 1:
        (void)sched_domain_unpause(d);
        break;
    case 2:
        if (v->pause_count < 3) {
            sched_vcpu_pause(v);
        }
        break;
    case 3:
        sched_vcpu_unpause(v);
        break;
    case 4:
        (void)sched_vcpu_on(v);
        break;
    case 5:
        if (vcpu_current()) {
            sched_vcpu_off_current();
        }
        break;
    case 6:
        if (vcpu_current()) {
            sched_block_current();
        }
        break;
    case 7:
        if (vcpu_current()) {
            sched_yield_current();
        }
        break;
    default:
        sched_wake(v);
        break;
    }
}

static void test_random_operations(void **state)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        start(1 + seed % 4);
        for (unsigned i = 0; i < 500; i++) {
            random_step();
            if (rand() % 4 == 0) {
                fake.now_ns += (uint64_t)rand() % (2 * SLICE_NS);
            }
            settle();
            check_invariants();
        }
        stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_shares),
        cmocka_unit_test(test_sleeper_gets_one_slice_of_credit),
        cmocka_unit_test(test_alone_has_no_slice),
        cmocka_unit_test(test_two_wakes_take_two_idle_cpus),
        cmocka_unit_test(test_pauses_are_counted),
        cmocka_unit_test(test_wake_during_pause_is_kept),
        cmocka_unit_test(test_block_with_a_pending_interrupt_returns),
        cmocka_unit_test(test_wake_before_the_switch),
        cmocka_unit_test(test_on_and_off),
        cmocka_unit_test(test_shut_down_domain_stops),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
