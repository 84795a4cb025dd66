/* SPDX-License-Identifier: MIT */
/* PL061: masked data, directions, interrupt logic, the power key. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hv/errno.h>

#define DATA(mask) (GPIO_BASE + (mask)*UINT64_C(4))
#define DIR        (GPIO_BASE + 0x400)
#define IS         (GPIO_BASE + 0x404)
#define IBE        (GPIO_BASE + 0x408)
#define IEV        (GPIO_BASE + 0x40c)
#define IE         (GPIO_BASE + 0x410)
#define RIS        (GPIO_BASE + 0x414)
#define MIS        (GPIO_BASE + 0x418)
#define IC         (GPIO_BASE + 0x41c)

#define KEY UINT64_C(8)
#define MS  UINT64_C(1000000)

static struct domain *d;

static int setup(void **state)
{
    fake_reset(4);
    d = fake_domain(1);
    fake_load(d->vcpus[0]);
    guest_write(GICD(0x104), 4, 1u << 12); /* SPI 44 */
    return 0;
}

static int teardown(void **state)
{
    fake_unload();
    fake_domain_free(d);
    return 0;
}

static bool line(void)
{
    return d->vgic.spis[12].line;
}

static void test_identification(void **state)
{
    static const uint8_t ids[8] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(guest_read(GPIO_BASE + 0xfe0 + 4 * i, 4), ids[i]);
    }
    struct mmio_access access = {.bytes = 8};
    assert_false(guest_try(GPIO_BASE, &access));
}

static void test_masked_data(void **state)
{
    guest_write(DIR, 1, 0xf0);
    guest_write(DATA(0xff), 1, 0xff);
    assert_int_equal(guest_read(DATA(0xff), 1), 0xf0); /* inputs are not written */
    guest_write(DATA(0x30), 1, 0);
    assert_int_equal(guest_read(DATA(0xff), 4), 0xc0);
    assert_int_equal(guest_read(DATA(0x40), 1), 0x40);
    assert_int_equal(guest_read(DATA(0x0), 1), 0);
}

static void test_key_both_edges(void **state)
{
    guest_write(IBE, 1, KEY);
    guest_write(IE, 1, KEY);
    assert_int_equal(vpl061_press_power_key(d), 0);
    assert_true(line());
    assert_int_equal(guest_read(DATA(KEY), 1), KEY);
    assert_int_equal(guest_read(MIS, 1), KEY);
    guest_write(IC, 1, KEY);
    assert_false(line());
    fake_advance(99 * MS);
    assert_int_equal(guest_read(DATA(KEY), 1), KEY);
    fake_advance(1 * MS);
    assert_int_equal(guest_read(DATA(KEY), 1), 0);
    assert_true(line());
    guest_write(IC, 1, 0xff);
    assert_false(line());
}

static void test_one_edge_only(void **state)
{
    guest_write(IEV, 1, KEY); /* rising */
    guest_write(IE, 1, KEY);
    assert_int_equal(vpl061_press_power_key(d), 0);
    guest_write(IC, 1, KEY);
    fake_advance(100 * MS);
    assert_int_equal(guest_read(RIS, 1), 0);
    guest_write(IEV, 1, 0); /* falling */
    assert_int_equal(vpl061_press_power_key(d), 0);
    assert_int_equal(guest_read(RIS, 1), 0);
    fake_advance(100 * MS);
    assert_int_equal(guest_read(RIS, 1), KEY);
}

static void test_level(void **state)
{
    guest_write(IS, 1, KEY);
    guest_write(IEV, 1, KEY); /* high */
    assert_int_equal(vpl061_press_power_key(d), 0);
    assert_false(line()); /* masked */
    guest_write(IE, 1, KEY);
    assert_true(line());
    guest_write(IC, 1, KEY); /* the level holds */
    assert_true(line());
    fake_advance(100 * MS);
    assert_false(line());
    guest_write(IEV, 1, 0); /* low */
    assert_true(line());
}

static void test_second_press_prolongs(void **state)
{
    assert_int_equal(vpl061_press_power_key(d), 0);
    fake_advance(60 * MS);
    assert_int_equal(vpl061_press_power_key(d), 0);
    fake_advance(60 * MS);
    assert_int_equal(guest_read(DATA(KEY), 1), KEY);
    fake_advance(40 * MS);
    assert_int_equal(guest_read(DATA(KEY), 1), 0);
    d->vpl061.present = false;
    assert_int_equal(vpl061_press_power_key(d), -ENODEV);
}

static void take_device_away(void)
{
    vpl061_free(d);
}

/* The device goes with its domain while somebody presses the key: no timer outlives it. */
static void test_press_while_it_goes(void **state)
{
    fake.on_cancel = take_device_away;
    assert_int_equal(vpl061_press_power_key(d), -ENODEV);
    assert_null(fake.armed);
    assert_int_equal(vpl061_press_power_key(d), -ENODEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_masked_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_both_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_edge_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_press_prolongs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_press_while_it_goes, setup, teardown),
    };
    return cmocka_run_group_tests_name("pl061", tests, NULL, NULL);
}
