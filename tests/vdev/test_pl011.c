/* SPDX-License-Identifier: MIT */
/* PL011: registers, FIFOs, interrupts, and a ring whose other end does what it likes. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <hv/errno.h>
#include <xen/io/console.h>

#define DR   UART_BASE
#define FR   (UART_BASE + 0x18)
#define LCRH (UART_BASE + 0x2c)
#define CR   (UART_BASE + 0x30)
#define IFLS (UART_BASE + 0x34)
#define IMSC (UART_BASE + 0x38)
#define RIS  (UART_BASE + 0x3c)
#define MIS  (UART_BASE + 0x40)
#define ICR  (UART_BASE + 0x44)

#define RX  0x10u
#define TX  0x20u
#define RT  0x40u
#define FEN 0x10u

static struct domain *d;
static struct xencons_interface ring __attribute__((aligned(4096)));

static int setup(void **state)
{
    fake_reset(4);
    memset(&ring, 0, sizeof(ring));
    d = fake_domain(1);
    fake_load(d->vcpus[0]);
    guest_write(GICD(0x104), 4, 1); /* SPI 32 */
    return 0;
}

static int teardown(void **state)
{
    fake_unload();
    fake_domain_free(d);
    return 0;
}

static void attach(void)
{
    assert_int_equal(vpl011_attach_ring(d, pa_make((uintptr_t)&ring), 0x39003, 7), 0);
}

static void type(const char *text)
{
    for (; *text; text++) {
        ring.in[ring.in_prod++ % sizeof(ring.in)] = *text;
    }
    vpl011_notify(d);
    fake_enter();
}

static bool line(void)
{
    return d->vgic.spis[0].line;
}

static void test_identification(void **state)
{
    static const uint8_t ids[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
            assert_int_equal(guest_read(UART_BASE + 0xfe0 + 4 * i, bytes), ids[i]);
        }
    }
    assert_int_equal(guest_read(UART_BASE + 0xfe1, 1), 0);
    struct mmio_access access = {.bytes = 8};
    assert_false(guest_try(UART_BASE, &access));
    access = (struct mmio_access){.bytes = 4};
    assert_false(guest_try(UART_BASE + 2, &access));
}

static void test_registers_keep_their_bits(void **state)
{
    static const struct {
        uint32_t offset, mask, reset;
    } registers[] = {
        {0x20, 0xff, 0},  {0x24, 0xffff, 0},     {0x28, 0x3f, 0},    {0x2c, 0xff, 0},
        {0x38, 0x7ff, 0}, {0x30, 0xff87, 0x300}, {0x34, 0x3f, 0x12}, {0x48, 7, 0},
    };
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        uint64_t at = UART_BASE + registers[i].offset;
        assert_int_equal(guest_read(at, 4), registers[i].reset);
        guest_write(at, 4, 0xffffffff);
        assert_int_equal(guest_read(at, 2), registers[i].mask);
        guest_write(at, 2, 0);
        assert_int_equal(guest_read(at, 4), 0);
    }
    assert_int_equal(guest_read(UART_BASE + 0x4, 4), 0);
    assert_int_equal(guest_read(FR, 4) & 0xf8, 0x90); /* both FIFOs empty, not busy */
}

static void test_output_waits_for_its_reader(void **state)
{
    for (unsigned i = 0; i < VPL011_EARLY_BYTES + 5; i++) {
        guest_write(DR, 1, i);
    }
    assert_int_equal(d->vpl011.dropped_bytes, 5);
    assert_int_equal(fake.notifications, 0);
    attach();
    assert_int_equal(fake.notifications, 1);
    assert_int_equal(fake.last_marked_gfn, 0x39003);
    assert_int_equal(ring.out_prod, VPL011_EARLY_BYTES);
    for (unsigned i = 0; i < VPL011_EARLY_BYTES; i++) {
        assert_int_equal((uint8_t)ring.out[i], (uint8_t)(i + 5));
    }
    assert_int_equal(vpl011_attach_ring(d, pa_make(4096), 1, 1), -EEXIST);
    vpl011_free(d);
    assert_int_equal(fake.frames_put, 1);
}

static unsigned complete_at_mark;

static void look_at_ring(void)
{
    complete_at_mark += ring.out[0] == 'a' && ring.out_prod == 1;
}

/* The host's own writes for its devices were in no log. */
static void bug_13_own_writes(void **state)
{
    attach();
    fake.marks = 0;
    complete_at_mark = 0;
    fake.on_mark = look_at_ring;
    guest_write(DR, 4, 'a');
    assert_int_equal(fake.marks, 1);
    assert_int_equal(fake.last_marked_gfn, 0x39003);
    assert_int_equal(complete_at_mark, 1); /* a harvest that takes the mark copies the character */
    /* Taking input writes the ring as well: its consumer index. */
    complete_at_mark = 0;
    fake.on_mark = NULL;
    type("x");
    assert_true(fake.marks > 1);
}

/* A ring that comes while the domain goes is its caller's to put. */
static void test_no_ring_after_the_end(void **state)
{
    attach();
    vpl011_free(d);
    assert_int_equal(fake.frames_put, 1);
    assert_int_equal(vpl011_attach_ring(d, pa_make(4096), 1, 1), -ENODEV);
    vpl011_free(d);
    assert_int_equal(fake.frames_put, 1);
}

static void test_full_ring_drops(void **state)
{
    attach();
    for (unsigned i = 0; i < sizeof(ring.out) + 3; i++) {
        guest_write(DR, 4, 'x');
    }
    assert_int_equal(d->vpl011.dropped_bytes, 3);
    ring.out_cons += 10;
    guest_write(DR, 4, 'y');
    assert_int_equal(d->vpl011.dropped_bytes, 3);
    assert_int_equal(ring.out[0], 'y');
    assert_int_equal(fake.marks, sizeof(ring.out) + 1);
}

static void test_hostile_indices(void **state)
{
    attach();
    ring.out_cons = ring.out_prod + 1; /* more consumed than produced */
    guest_write(DR, 1, 'x');
    assert_int_equal(d->vpl011.dropped_bytes, 1);
    ring.out_prod = 0x80000000;
    ring.out_cons = 0;
    guest_write(DR, 1, 'x');
    assert_int_equal(d->vpl011.dropped_bytes, 2);
    ring.out_prod = UINT32_MAX; /* wraps */
    ring.out_cons = UINT32_MAX - 1;
    guest_write(DR, 1, 'z');
    assert_int_equal(ring.out_prod, 0);
    assert_int_equal(ring.out[sizeof(ring.out) - 1], 'z');
    ring.in_prod = ring.in_cons + sizeof(ring.in) + 1;
    vpl011_notify(d);
    assert_int_equal(guest_read(FR, 4) & 0x10, 0x10);
    assert_int_equal(guest_read(DR, 4), 0);
}

static void test_input_without_fifo(void **state)
{
    attach();
    guest_write(IMSC, 4, RX);
    type("ab");
    assert_true(line());
    assert_int_equal(guest_acknowledge(), 32);
    assert_int_equal(guest_read(MIS, 4), RX);
    assert_int_equal(guest_read(FR, 4) & 0x50, 0x40); /* one byte fills it */
    assert_int_equal(guest_read(DR, 4), 'a');
    assert_int_equal(guest_read(DR, 4), 'b');
    assert_false(line());
    guest_end(32);
    assert_int_equal(guest_acknowledge(), 1023);
    assert_int_equal(ring.in_cons, 2);
}

static void test_input_with_fifo(void **state)
{
    attach();
    guest_write(LCRH, 4, FEN);
    guest_write(IFLS, 4, 0); /* 1/8: four bytes */
    guest_write(IMSC, 4, RX | RT);
    type("abc");
    assert_int_equal(guest_read(MIS, 4), RT); /* below the trigger: the timeout tells */
    type("d");
    assert_int_equal(guest_read(MIS, 4), RX | RT);
    assert_int_equal(guest_read(DR, 4), 'a');
    assert_int_equal(guest_read(MIS, 4), RT);
    guest_write(ICR, 4, RT);
    assert_true(line()); /* bytes still wait */
    assert_int_equal(guest_read(DR, 4), 'b');
    assert_int_equal(guest_read(DR, 4), 'c');
    assert_int_equal(guest_read(DR, 4), 'd');
    assert_int_equal(guest_read(RIS, 4), 0);
    assert_false(line());
}

static void test_long_input_flows(void **state)
{
    char text[200];
    for (unsigned i = 0; i < sizeof(text) - 1; i++) {
        text[i] = (char)('A' + i % 26);
    }
    text[sizeof(text) - 1] = 0;
    attach();
    guest_write(LCRH, 4, FEN);
    type(text);
    assert_int_equal(ring.in_cons, VPL011_FIFO_BYTES);
    for (unsigned i = 0; i < sizeof(text) - 1; i++) {
        assert_int_equal(guest_read(FR, 4) & 0x10, 0);
        assert_int_equal(guest_read(DR, 4), (uint8_t)text[i]);
    }
    assert_int_equal(guest_read(FR, 4) & 0x10, 0x10);
    guest_write(LCRH, 4, FEN);
    type("zz");
    guest_write(LCRH, 4, 0); /* FIFOs off: emptied */
    assert_int_equal(guest_read(FR, 4) & 0x10, 0x10);
}

static void test_transmit_interrupt(void **state)
{
    attach();
    guest_write(IMSC, 4, TX);
    assert_false(line()); /* nothing was sent yet */
    guest_write(DR, 1, 'x');
    assert_true(line());
    assert_int_equal(guest_acknowledge(), 32);
    guest_write(ICR, 2, TX);
    assert_false(line());
    guest_end(32);
    guest_write(DR, 1, 'y');
    assert_int_equal(guest_acknowledge(), 32);
    guest_write(IMSC, 2, 0);
    guest_end(32);
    assert_int_equal(guest_acknowledge(), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers_keep_their_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_waits_for_its_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(bug_13_own_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_ring_after_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_ring_drops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_indices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_without_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_with_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_input_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit_interrupt, setup, teardown),
    };
    return cmocka_run_group_tests_name("pl011", tests, NULL, NULL);
}
