/* SPDX-License-Identifier: MIT */
/* The scheduler's choices, with simulated CPUs and time. */
#include "fake_host.h"

/* Its variables are reset between tests. */
#include "../../hypervisor/domain/sched.c"

#include <hv/errno.h>
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
            fake_run_timers();
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
            v->state_entry_ns = v->hold_began_ns = fake.now_ns;
            timer_init(&v->throttle_end, sched_throttle_end);
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
    assert_false(fake_has_timer(0));
    assert_false(fake_has_timer(1));
    /* The second takes the idle CPU and disturbs nobody; the third makes both share. */
    fake.kicked = 0;
    sched_vcpu_on(&vcpus[0][1]);
    assert_int_equal(__builtin_popcountll(fake.kicked), 1);
    settle();
    fake.kicked = 0;
    sched_vcpu_on(&vcpus[0][2]);
    assert_int_equal(fake.kicked, 3);
    settle();
    assert_true(fake_has_timer(0) && fake_has_timer(1));
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
        bool paused = v->pause_count != 0 || v->domain->pause_count != 0;
        bool throttled = v->throttle.until_ns != 0;
        bool allowed = !paused && !throttled;
        assert_int_equal(v->queued, v->state == VCPU_RUNNABLE && allowed);
        assert_int_equal(v->cpu >= 0, v->state == VCPU_RUNNING);
        assert_true(allowed || v->state != VCPU_RUNNING);
        assert_true(v->throttle.percent != 0 || !throttled);
        assert_true(v->throttle.percent == 0 || v->domain->may_throttle);
        if (throttled) { /* its wait ends by itself, and soon */
            assert_true(v->throttle_end.cpu >= 0);
            assert_true(v->throttle.until_ns <= fake.now_ns + UINT64_C(400000000));
        }
        if (v->state == VCPU_RUNNING && v->throttle.percent != 0) {
            assert_true(fake_has_timer((unsigned)v->cpu));
        }
        assert_int_equal(v->hold, v->state != VCPU_RUNNABLE ? VCPU_HOLD_NONE
                                  : paused                  ? VCPU_HOLD_PAUSE
                                  : throttled               ? VCPU_HOLD_THROTTLE
                                                            : VCPU_HOLD_NONE);
        waiting += v->queued;
        busy += v->state == VCPU_RUNNING;
    }
    assert_true(waiting == 0 || busy == fake.cpu_count); /* nobody waits beside an idle CPU */
    for (unsigned id = 0; id < fake.cpu_count && waiting; id++) {
        assert_true(fake_has_timer(id));
    }
}

static uint64_t ran_in(const struct vcpu *v, uint64_t ns)
{
    uint64_t before = sched_run_time_ns(v);

    advance(ns);
    return sched_run_time_ns(v) - before;
}

/* Each percent is kept, on CPUs that have nothing else to do, and nobody else pays. */
static void test_throttle_takes_its_share(void **state)
{
    static const unsigned percents[] = {20, 50, 75, 90, 99, 1, 0};
    const uint64_t second = UINT64_C(1000000000);
    struct vcpu *writer = &vcpus[0][0], *reader = &vcpus[0][1];

    start(2);
    sched_vcpu_on(writer);
    sched_vcpu_on(reader);
    settle();
    assert_int_equal(sched_throttle(&domains[0], writer, 50), -EINVAL); /* it is not logged */
    sched_domain_may_throttle(&domains[0], true);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        uint64_t others = sched_run_time_ns(reader), held, left;

        assert_int_equal(sched_throttle(&domains[0], writer, percents[i]), 0);
        settle();
        held = sched_vcpu_holds(writer).throttle_ns;
        uint64_t ran = ran_in(writer, second);
        held = sched_vcpu_holds(writer).throttle_ns - held;
        left = second / 100 * (100 - percents[i]);
        assert_int_equal(sched_vcpu_holds(writer).throttle_percent, percents[i]);
        assert_true(ran + second / 200 > left && ran < left + second / 200);
        assert_int_equal(ran + held, second);
        assert_int_equal(sched_run_time_ns(reader) - others, second);
    }
    assert_int_equal(sched_vcpu_holds(reader).throttle_ns, 0);
    stop();
}

/* Works for a while whenever it may; wakes so long after it has gone to sleep. How often in 2 s. */
static unsigned wakes_in_two_seconds(struct vcpu *v, uint64_t work_ns, uint64_t sleep_ns)
{
    uint64_t end_ns = fake.now_ns + UINT64_C(2000000000);
    unsigned wakes = 0;

    while (fake.now_ns < end_ns) {
        if (cpus[0].current == v) {
            advance(work_ns);
            fake.cpu = 0;
            sched_block_current();
            settle();
            advance(sleep_ns);
            sched_wake(v);
            settle();
            wakes++;
        } else {
            advance(STEP_NS);
        }
    }
    return wakes;
}

/* A writer that uses 2.5 % of its CPU and writes in each wake-up is slowed down as any other. */
static void test_throttle_counts_sleep_in_the_window(void **state)
{
    struct vcpu *v = &vcpus[0][0];

    start(1);
    sched_vcpu_on(v);
    sched_domain_may_throttle(&domains[0], true);
    settle();
    assert_in_range(wakes_in_two_seconds(v, STEP_NS, 39 * STEP_NS), 499, 501);
    sched_throttle(&domains[0], v, 50);
    assert_in_range(wakes_in_two_seconds(v, STEP_NS, 39 * STEP_NS), 240, 310);
    sched_throttle(&domains[0], v, 90);
    assert_in_range(wakes_in_two_seconds(v, STEP_NS, 39 * STEP_NS), 90, 110);
    sched_throttle(&domains[0], v, 99);
    assert_in_range(wakes_in_two_seconds(v, STEP_NS, 39 * STEP_NS), 9, 12);
    sched_throttle(&domains[0], v, 0);
    assert_in_range(wakes_in_two_seconds(v, STEP_NS, 39 * STEP_NS), 498, 501);
    stop();
}

/* Who comes back once a period, and for less than a window, does not notice. */
static void test_throttle_spares_long_sleepers(void **state)
{
    struct vcpu *v = &vcpus[0][0];

    start(1);
    sched_vcpu_on(v);
    sched_domain_may_throttle(&domains[0], true);
    sched_throttle(&domains[0], NULL, 60);
    settle();
    for (unsigned i = 0; i < 50; i++) {
        assert_ptr_equal(cpus[0].current, v); /* works for 4 ms of 20 */
        advance(UINT64_C(4000000));
        fake.cpu = 0;
        sched_block_current();
        settle();
        advance(UINT64_C(16000000));
        sched_wake(v);
        settle();
    }
    assert_int_equal(sched_vcpu_holds(v).throttle_ns, 0);
    stop();
}

static void throttle_until_held(struct vcpu *v)
{
    sched_domain_may_throttle(v->domain, true);
    assert_int_equal(sched_throttle(v->domain, v, 90), 0);
    settle();
    advance(3 * UINT64_C(1000000));
    assert_null(cpus[0].current);
    assert_int_equal(v->state, VCPU_RUNNABLE);
}

static void test_throttle_ends_with_the_log(void **state)
{
    struct vcpu *v = &vcpus[0][0];

    start(1);
    sched_vcpu_on(v);
    settle();
    throttle_until_held(v);
    sched_domain_may_throttle(&domains[0], false);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    assert_int_equal(ran_in(v, UINT64_C(100000000)), UINT64_C(100000000));
    assert_int_equal(sched_throttle(&domains[0], v, 10), -EINVAL);
    assert_true(sched_vcpu_holds(v).throttle_ns > 0); /* still told */
    sched_domain_may_throttle(&domains[0], true);
    assert_int_equal(sched_vcpu_holds(v).throttle_ns, 0);
    stop();
}

/* A pause and its end, a wake-up, OFF and ON while the throttle holds a vCPU. */
static void test_throttle_beside_other_stops(void **state)
{
    struct vcpu *v = &vcpus[0][0];

    start(1);
    sched_vcpu_on(v);
    settle();
    throttle_until_held(v);
    sched_domain_pause(&domains[0]);
    assert_true(sched_vcpu_is_stopped(v));
    advance(UINT64_C(40000000)); /* the wait ends during the pause */
    assert_null(cpus[0].current);
    assert_true(sched_vcpu_holds(v).pause_ns >= UINT64_C(40000000));
    assert_int_equal(sched_domain_unpause(&domains[0]), 0);
    settle();
    assert_ptr_equal(cpus[0].current, v);
    advance(3 * UINT64_C(1000000));
    assert_null(cpus[0].current);
    sched_wake(v); /* an interrupt: it waits all the same */
    settle();
    assert_null(cpus[0].current);
    advance(UINT64_C(20000000));
    sched_vcpu_pause(v);
    settle();
    sched_vcpu_unpause(v);
    settle();
    check_invariants();
    stop();
}

static void random_step(void)
{
    struct domain *d = &domains[(unsigned)rand() % DOMAINS];
    struct vcpu *v = d->vcpus[(unsigned)rand() % VCPUS_PER_DOMAIN];

    fake.cpu = (unsigned)rand() % fake.cpu_count;
    fake.pending = rand() % 8 == 0;
    switch (rand() % 13) {
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
    case 8:
        sched_domain_may_throttle(d, rand() % 3 != 0);
        break;
    case 9:
    case 10:
        (void)sched_throttle(d, rand() % 4 ? v : NULL, (unsigned)rand() % 100);
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
        cmocka_unit_test(test_throttle_takes_its_share),
        cmocka_unit_test(test_throttle_counts_sleep_in_the_window),
        cmocka_unit_test(test_throttle_spares_long_sleepers),
        cmocka_unit_test(test_throttle_ends_with_the_log),
        cmocka_unit_test(test_throttle_beside_other_stops),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
