/* SPDX-License-Identifier: MIT */
/* A CPU's list of timers, and what the hardware is told of it, up to the last moment of time. */
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/irq.h>
#include <hv/time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sysreg.h>

#include <cmocka.h>

#define MHZ UINT64_C(1000000)

struct fake_registers fake_registers;

static struct cpu cpu_now; /* the one that executes */
static irq_handler_fn take_timer;
static struct timer timers[3];
static const struct timer *fired[8];
static unsigned fired_count;

struct cpu *this_cpu(void)
{
    return &cpu_now;
}

void spin_lock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 0);
    lock->held = 1;
}

void spin_unlock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 1);
    lock->held = 0;
}

void irq_set_handler(uint32_t intid, irq_handler_fn handler, void *context)
{
    assert_int_equal(intid, IRQ_PPI_HYPTIMER);
    take_timer = handler;
}

void irq_enable(uint32_t intid)
{
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

static void note(struct timer *timer)
{
    assert_in_range(fired_count, 0, 7);
    fired[fired_count++] = timer;
}

static void begin(uint64_t frequency_hz)
{
    fake_registers = (struct fake_registers){.cntfrq_el0 = frequency_hz, .cntpct_el0 = 1000};
    for (unsigned id = 2; id-- > 0;) { /* the first one last: it is this one's turn then */
        cpu_now.id = id;
        timer_init_cpu();
    }
    for (unsigned i = 0; i < 3; i++) {
        timer_init(&timers[i], note);
    }
    fired_count = 0;
}

static void end(void)
{
    for (unsigned i = 0; i < 3; i++) {
        timer_cancel(&timers[i]);
        assert_int_equal(timers[i].cpu, -1);
    }
    cpu_now.id = 0;
    (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
    assert_int_equal(fake_registers.cnthp_ctl_el2, 0);
}

/* The hardware's condition: its interrupt comes, and comes again until something is done. */
static bool hardware_fires(void)
{
    return fake_registers.cnthp_ctl_el2 == 1 &&
           fake_registers.cntpct_el0 >= fake_registers.cnthp_cval_el2;
}

static void test_in_order(void **state)
{
    begin(100 * MHZ); /* 10 ns a tick */
    timer_set(&timers[0], 30000);
    timer_set(&timers[1], 20000);
    timer_set(&timers[2], 40000);
    assert_in_range(fake_registers.cnthp_cval_el2, 2000, 2001);
    fake_registers.cntpct_el0 = 2001;
    (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
    assert_int_equal(fired_count, 1);
    assert_ptr_equal(fired[0], &timers[1]);
    assert_in_range(fake_registers.cnthp_cval_el2, 3000, 3001);
    timer_set(&timers[2], 25000); /* again, and now it is the first */
    assert_in_range(fake_registers.cnthp_cval_el2, 2500, 2501);
    fake_registers.cntpct_el0 = 9000;
    (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
    assert_int_equal(fired_count, 3);
    assert_ptr_equal(fired[1], &timers[2]);
    assert_ptr_equal(fired[2], &timers[0]);
    assert_false(hardware_fires());
    end();
}

static void test_from_another_cpu(void **state)
{
    begin(100 * MHZ);
    timer_set(&timers[0], 20000);
    timer_set(&timers[1], 30000);
    cpu_now.id = 1;
    timer_set(&timers[0], 50000); /* it moves here */
    assert_int_equal(timers[0].cpu, 1);
    timer_cancel(&timers[1]);
    assert_int_equal(timers[1].cpu, -1);
    cpu_now.id = 0;
    fake_registers.cntpct_el0 = 9000;
    (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
    assert_int_equal(fired_count, 0);
    cpu_now.id = 1;
    (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
    assert_int_equal(fired_count, 1);
    end();
}

/* However long the host has been up, and whatever its frequency: one interrupt, and it is time. */
static void test_after_long_uptime(void **state)
{
    static const uint64_t frequencies[] = {1 * MHZ,  19200000,  24 * MHZ,   50 * MHZ,
                                           62500000, 100 * MHZ, 1000 * MHZ, 1000 * MHZ + 1};
    static const uint64_t days[] = {0, 1, 100, 10000};

    for (unsigned f = 0; f < sizeof(frequencies) / sizeof(frequencies[0]); f++) {
        for (unsigned i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
            uint64_t deadline_ns;

            begin(frequencies[f]);
            fake_registers.cntpct_el0 = (days[i] * 86400 + 1) * frequencies[f];
            deadline_ns = time_now_ns() + 5 * MHZ; /* 5 ms */
            timer_set(&timers[0], deadline_ns);
            assert_false(hardware_fires());
            fake_registers.cntpct_el0 = fake_registers.cnthp_cval_el2;
            (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
            assert_int_equal(fired_count, 1);
            assert_in_range(time_now_ns(), deadline_ns,
                            deadline_ns + 2 * (UINT64_C(1000000000) / frequencies[f] + 1));
            end();
        }
    }
}

/*
 * A guest names any moment. None that is far off may be one that has passed to the hardware: its
 * interrupt would come again and again, and the CPU would do nothing else.
 */
static void test_last_moment(void **state)
{
    static const uint64_t frequencies[] = {1 * MHZ, 62500000, 1000 * MHZ, 1000 * MHZ + 1,
                                           2000 * MHZ};
    static const uint64_t moments[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2 + 1,
                                       UINT64_MAX / 2, UINT64_C(1) << 62};

    for (unsigned f = 0; f < sizeof(frequencies) / sizeof(frequencies[0]); f++) {
        for (unsigned m = 0; m < sizeof(moments) / sizeof(moments[0]); m++) {
            begin(frequencies[f]);
            timer_set(&timers[0], moments[m]);
            assert_int_equal(fake_registers.cnthp_ctl_el2, 1);
            assert_false(hardware_fires());
            (void)take_timer(IRQ_PPI_HYPTIMER, NULL);
            assert_int_equal(fired_count, 0);
            assert_false(hardware_fires());
            end();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_from_another_cpu),
        cmocka_unit_test(test_after_long_uptime),
        cmocka_unit_test(test_last_moment),
    };

    return cmocka_run_group_tests_name("host timers", tests, NULL, NULL);
}
