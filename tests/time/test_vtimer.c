/* SPDX-License-Identifier: MIT */
/*
 * A guest's timers while it runs on one CPU and the host timer that stands in for one of them fires
 * on another. What the guest itself sees of its timers is tested where there are guests.
 */
#include <hv/domain.h>
#include <hv/irq.h>
#include <hv/vgic.h>
#include <hv/vtimer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysreg.h>

#include <cmocka.h>

/* iss of MSR to CNTP_CVAL_EL0: CRm 2, op2 2. */
#define CNTP_CVAL (2u << 1 | 2u << 17)
#define PHYSICAL  30u
#define VIRTUAL   27u

struct fake_registers fake_registers;

static struct domain domain;
static struct vcpu vcpu;
static uint64_t now; /* counts and nanoseconds are the same here */
static bool lines[32];
static void (*meanwhile)(void); /* what another CPU does before the lock is ours */

void spin_lock(struct spinlock *lock)
{
    void (*act)(void) = meanwhile;

    meanwhile = NULL;
    if (act != NULL) {
        act();
    }
    assert_int_equal(lock->held, 0);
    lock->held = 1;
}

void spin_unlock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 1);
    lock->held = 0;
}

uint64_t time_counter(void)
{
    return now;
}

uint64_t time_now_ns(void)
{
    return now;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

uint64_t time_frequency_hz(void)
{
    return 1000;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire, .cpu = -1};
}

/* Two CPUs that set one timer without excluding each other would put it on two lists. */
void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    assert_int_equal(vcpu.vtimer.lock.held, 1);
    timer->deadline_ns = deadline_ns;
    timer->cpu = 0;
}

/* Waits for what fires, which may want the lock. */
void timer_cancel(struct timer *timer)
{
    assert_int_equal(vcpu.vtimer.lock.held, 0);
    timer->cpu = -1;
}

void vgic_set_line(struct domain *d, struct vcpu *v, uint32_t intid, bool level)
{
    lines[intid] = level;
}

void vgic_inject_hw_private(struct vcpu *v, uint32_t intid)
{
}

void vgic_link_hw_private(struct vcpu *v, uint32_t intid)
{
}

struct vcpu *vcpu_current(void)
{
    return &vcpu;
}

void irq_set_handler(uint32_t intid, irq_handler_fn handler, void *context)
{
}

void irq_set_edge(uint32_t intid, bool edge)
{
}

void irq_enable(uint32_t intid)
{
}

static int begin(void **state)
{
    memset(&domain, 0, sizeof(domain));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(lines, 0, sizeof(lines));
    meanwhile = NULL;
    now = 1000;
    vcpu.domain = &domain;
    vcpu.state = VCPU_BLOCKED;
    vtimer_vcpu_init(&vcpu);
    return 0;
}

static void set_physical(uint64_t cval)
{
    vcpu.vtimer.cntp_ctl = 1;
    assert_true(vtimer_trap_sysreg(&vcpu, CNTP_CVAL, &cval, true));
}

/* The vCPU leaves its CPU and sleeps, with that in its virtual timer. */
static void sleep_until(uint64_t cval)
{
    fake_registers.cntv_ctl_el0 = 1;
    fake_registers.cntv_cval_el0 = cval;
    vtimer_save(&vcpu);
}

static void fire(struct timer *timer)
{
    assert_int_equal(timer->cpu, 0);
    timer->cpu = -1;
    timer->fire(timer);
}

static void test_fires_and_waits(void **state)
{
    set_physical(1100);
    sleep_until(1200);
    assert_int_equal(vcpu.vtimer.phys.deadline_ns, 1101);
    assert_int_equal(vcpu.vtimer.wake.deadline_ns, 1201);
    now = 1050; /* too early, as after an hour of a longer wait */
    fire(&vcpu.vtimer.phys);
    assert_false(lines[PHYSICAL]);
    assert_int_equal(vcpu.vtimer.phys.cpu, 0);
    now = 1300;
    fire(&vcpu.vtimer.phys);
    fire(&vcpu.vtimer.wake);
    assert_true(lines[PHYSICAL] && lines[VIRTUAL]);
    assert_int_equal(vcpu.vtimer.phys.cpu, -1);
    assert_int_equal(vcpu.vtimer.wake.cpu, -1);
}

static void guest_puts_it_off(void)
{
    set_physical(2000);
}

/* What the guest has set last counts, for the line and for the host timer. */
static void test_set_while_it_fires(void **state)
{
    set_physical(1100);
    now = 1300;
    meanwhile = guest_puts_it_off;
    fire(&vcpu.vtimer.phys);
    assert_false(lines[PHYSICAL]);
    assert_int_equal(vcpu.vtimer.phys.cpu, 0);
    assert_int_equal(vcpu.vtimer.phys.deadline_ns, 2001);
}

static void sleeps_again(void)
{
    sleep_until(2000);
}

static void test_sleeps_again_while_it_fires(void **state)
{
    sleep_until(1100);
    now = 1300;
    meanwhile = sleeps_again;
    fire(&vcpu.vtimer.wake);
    assert_false(lines[VIRTUAL]);
    assert_int_equal(vcpu.vtimer.wake.deadline_ns, 2001);
}

static void guest_switches_it_off(void)
{
    uint64_t off = 0;

    assert_true(vtimer_trap_sysreg(&vcpu, 2u << 1 | 1u << 17, &off, true)); /* CNTP_CTL */
}

static void test_switched_off_while_it_fires(void **state)
{
    set_physical(1100);
    now = 1300;
    meanwhile = guest_switches_it_off;
    fire(&vcpu.vtimer.phys);
    assert_false(lines[PHYSICAL]);
    assert_int_equal(vcpu.vtimer.phys.cpu, -1);
}

/* The clock of a domain that is being destroyed may still be started: no timer outlives it. */
static void test_none_after_the_stop(void **state)
{
    vcpu.vtimer.cntv_ctl = vcpu.vtimer.cntp_ctl = 1;
    vcpu.vtimer.cntv_cval = vcpu.vtimer.cntp_cval = 5000;
    domain.clock_stands = true;
    vtimer_recompute(&vcpu);
    assert_int_equal(vcpu.vtimer.wake.cpu, -1);
    domain.clock_stands = false;
    vtimer_recompute(&vcpu);
    assert_int_equal(vcpu.vtimer.wake.cpu, 0);
    assert_int_equal(vcpu.vtimer.phys.cpu, 0);
    vtimer_vcpu_stop(&vcpu);
    vtimer_recompute(&vcpu);
    vcpu.vtimer.wake.fire(&vcpu.vtimer.wake); /* it had begun before the stop */
    assert_int_equal(vcpu.vtimer.wake.cpu, -1);
    assert_int_equal(vcpu.vtimer.phys.cpu, -1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        CASE(test_fires_and_waits),
        CASE(test_set_while_it_fires),
        CASE(test_sleeps_again_while_it_fires),
        CASE(test_switched_off_while_it_fires),
        CASE(test_none_after_the_stop),
    };

    return cmocka_run_group_tests_name("guests' timers", tests, NULL, NULL);
}
