/* SPDX-License-Identifier: MIT */
/* vGIC: registers, priorities, overflow, level semantics, linked interrupts, routing, SGIs. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct domain *d;

static int one_cpu(void **state)
{
    fake_reset(4);
    d = fake_domain(1);
    fake_load(d->vcpus[0]);
    return 0;
}

static int four_vcpus(void **state)
{
    fake_reset(4);
    d = fake_domain(4);
    fake_load(d->vcpus[0]);
    return 0;
}

static int done(void **state)
{
    for (fake_cpu = 0; fake_cpu < FAKE_CPUS; fake_cpu++) {
        if (vcpu_current()) {
            fake_unload();
        }
    }
    fake_domain_free(d);
    return 0;
}

static void enable_spi(uint32_t intid, unsigned priority)
{
    guest_write(GICD(0x100 + intid / 32 * 4), 4, 1u << intid % 32);
    guest_write(GICD(0x400 + intid), 1, priority);
}

static void make_edge(uint32_t intid)
{
    uint64_t reg = GICD(0xc00 + intid / 16 * 4);
    guest_write(reg, 4, guest_read(reg, 4) | 2u << intid % 16 * 2);
}

static void test_identification(void **state)
{
    assert_int_equal(guest_read(GICD(0xffe8), 4), 0x3b);
    assert_int_equal(guest_read(GICR(0, 0xffe8), 4), 0x3b);
    assert_int_equal(guest_read(GICD(4), 4) & 0x1f, 1); /* 64 INTIDs */
    assert_int_equal(guest_read(GICD(0), 4), 0x53);
    assert_int_equal(guest_read(GICR(0, 8), 8), 0x10);
    assert_int_equal(guest_read(GICR(0, 0x14), 4), 0);
    guest_write(GICR(0, 0x14), 4, 2);
    assert_int_equal(guest_read(GICR(0, 0x14), 4), 6);
}

static void test_register_widths(void **state)
{
    struct mmio_access access = {.bytes = 8};
    assert_false(guest_try(GICD(0x100), &access));
    access = (struct mmio_access){.bytes = 2};
    assert_false(guest_try(GICD(0x104), &access));
    access = (struct mmio_access){.bytes = 4};
    assert_false(guest_try(GICD(0x102), &access));
    guest_write(GICD(0x420), 4, 0xff7f3f10);
    assert_int_equal(guest_read(GICD(0x420), 4), 0xf8783810);
    assert_int_equal(guest_read(GICD(0x421), 1), 0x38);
    guest_write(GICD(0x400), 4, 0xffffffff); /* private ones are in the redistributor */
    assert_int_equal(guest_read(GICR(0, 0x10400), 4), 0);
    assert_int_equal(guest_read(GICD(0x440), 4), 0); /* beyond the last SPI */
}

static void test_routing_registers(void **state)
{
    guest_write(GICD(0x6000 + 8 * 40), 8, 0xffffffffffffffff);
    assert_int_equal(guest_read(GICD(0x6000 + 8 * 40), 8), 0xff00ffffff);
    guest_write(GICD(0x6004 + 8 * 40), 4, 0);
    assert_int_equal(guest_read(GICD(0x6000 + 8 * 40), 8), 0xffffff);
    assert_int_equal(guest_read(GICD(0x6000 + 8 * 10), 8), 0);
}

static void test_set_and_clear_registers(void **state)
{
    guest_write(GICD(0x104), 4, 0x00ff00ff);
    guest_write(GICD(0x184), 4, 0x000f000f);
    assert_int_equal(guest_read(GICD(0x104), 4), 0x00f000f0);
    assert_int_equal(guest_read(GICD(0x184), 4), 0x00f000f0);
    guest_write(GICD(0x204), 4, 0x3);
    assert_int_equal(guest_read(GICD(0x204), 4), 0x3);
    guest_write(GICD(0x284), 4, 0x1);
    assert_int_equal(guest_read(GICD(0x284), 4), 0x2);
    guest_write(GICD(0x304), 4, 0x8);
    assert_int_equal(guest_read(GICD(0x384), 4), 0x8);
    guest_write(GICD(0x384), 4, 0x8);
    assert_int_equal(guest_read(GICD(0x304), 4), 0);
    assert_int_equal(guest_read(GICR(0, 0x10c00), 4), 0xaaaaaaaa); /* SGIs: edge */
    guest_write(GICR(0, 0x10c00), 4, 0);
    assert_int_equal(guest_read(GICR(0, 0x10c00), 4), 0xaaaaaaaa);
}

static void test_edge_is_delivered_once(void **state)
{
    enable_spi(40, 0x80);
    make_edge(40);
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    assert_int_equal(guest_read(GICD(0x304), 4), 1u << 8);
    vgic_inject(d, NULL, 40); /* a second edge while the first is active */
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1023);
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 40);
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 1023);
    assert_null(d->vgic.spis[8].next);
}

static void test_level_comes_again_until_it_drops(void **state)
{
    enable_spi(40, 0x80);
    vgic_set_line(d, NULL, 40, true);
    fake_enter();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guest_acknowledge(), 40);
        guest_end(40);
    }
    assert_int_equal(guest_acknowledge(), 40);
    vgic_set_line(d, NULL, 40, false);
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 1023);
}

static void test_level_that_drops_before_acknowledge(void **state)
{
    enable_spi(40, 0x80);
    vgic_set_line(d, NULL, 40, true);
    fake_enter();
    assert_true(guest_irq_is_signalled());
    vgic_set_line(d, NULL, 40, false);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1023);
}

/* The latch is beside the line: ISPENDR on a low line is delivered once, ICPENDR cannot hide a
 * line. */
static void test_latch_and_line_are_apart(void **state)
{
    enable_spi(40, 0x80);
    guest_write(GICD(0x204), 4, 1u << 8);
    assert_int_equal(guest_acknowledge(), 40);
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 1023);
    vgic_set_line(d, NULL, 40, true);
    guest_write(GICD(0x284), 4, 1u << 8);
    assert_int_equal(guest_read(GICD(0x204), 4), 1u << 8);
    assert_int_equal(guest_acknowledge(), 40);
}

static void test_disable_withdraws(void **state)
{
    enable_spi(40, 0x80);
    vgic_set_line(d, NULL, 40, true);
    fake_enter();
    guest_write(GICD(0x184), 4, 1u << 8);
    assert_int_equal(guest_acknowledge(), 1023);
    assert_false(vgic_has_pending(d->vcpus[0]));
    guest_write(GICD(0x104), 4, 1u << 8);
    guest_write(GICD(0), 4, 1); /* group 1 not forwarded */
    assert_int_equal(guest_acknowledge(), 1023);
    guest_write(GICD(0), 4, 2);
    assert_int_equal(guest_acknowledge(), 40);
}

static void test_priorities_and_overflow(void **state)
{
    /* 20 interrupts in 4 list registers, priorities in no order of INTID. */
    for (uint32_t i = 0; i < 20; i++) {
        enable_spi(32 + i, (i * 7 % 20) * 8);
        make_edge(32 + i);
        vgic_inject(d, NULL, 32 + i);
    }
    fake_enter();
    for (unsigned rank = 0; rank < 20; rank++) {
        uint32_t intid = guest_acknowledge();
        assert_in_range(intid, 32, 51);
        assert_int_equal((intid - 32) * 7 % 20, rank);
        guest_end(intid);
    }
    assert_int_equal(guest_acknowledge(), 1023);
}

/* Eight levels of preemption in 4 list registers; every end must find its interrupt. */
static void test_nesting_beyond_the_list_registers(void **state)
{
    for (uint32_t i = 0; i < 8; i++) {
        enable_spi(32 + i, 0xf0 - i * 0x10);
        make_edge(32 + i);
    }
    for (uint32_t i = 0; i < 8; i++) {
        vgic_inject(d, NULL, 32 + i);
        fake_enter();
        assert_int_equal(guest_acknowledge(), 32 + i);
    }
    assert_int_equal(guest_read(GICD(0x304), 4), 0xff);
    vgic_inject(d, NULL, 32); /* the lowest, again */
    for (uint32_t i = 8; i-- > 0;) {
        guest_end(32 + i);
        assert_int_equal(guest_read(GICD(0x304), 4), (1u << i) - 1);
    }
    assert_int_equal(guest_acknowledge(), 32);
    guest_end(32);
    assert_int_equal(guest_acknowledge(), 1023);
}

/* EOImode 1: ends in any order, more active interrupts than list registers. */
static void test_split_end_and_deactivation(void **state)
{
    fake.cpus[0].vmcr |= VGIC_VMCR_EOIM;
    for (uint32_t i = 0; i < 10; i++) {
        enable_spi(32 + i, 0x80);
        make_edge(32 + i);
        vgic_inject(d, NULL, 32 + i);
    }
    fake_enter();
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t intid = guest_acknowledge();
        assert_int_equal(intid, 32 + i);
        guest_end(intid);
    }
    assert_int_equal(guest_read(GICD(0x304), 4), 0x3ff);
    uint32_t left = 0x3ff;
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t which = (i * 3 + 1) % 10;
        guest_deactivate(32 + which);
        left &= ~(1u << which);
        assert_int_equal(guest_read(GICD(0x304), 4), left);
    }
}

static void test_linked_spi(void **state)
{
    vgic_assign_hw(d, 50);
    assert_false(fake.physical[50].enabled);
    enable_spi(50, 0x80);
    assert_true(fake.physical[50].enabled);
    fake_physical_line(50, true);
    fake_enter();
    assert_true(fake.physical[50].active);
    assert_int_equal(guest_acknowledge(), 50);
    guest_end(50); /* ends the physical one, which fires again: the line is still up */
    assert_true(fake.physical[50].active);
    assert_int_equal(guest_acknowledge(), 50);
    fake.physical[50].line = false;
    guest_end(50);
    assert_false(fake.physical[50].active);
    assert_int_equal(guest_acknowledge(), 1023);
    make_edge(50);
    assert_true(fake.physical[50].edge);
    guest_write(GICD(0x184), 4, 1u << 18);
    assert_false(fake.physical[50].enabled);
}

static void test_linked_spi_masked_while_pending(void **state)
{
    vgic_assign_hw(d, 50);
    enable_spi(50, 0x80);
    fake_physical_line(50, true);
    fake_enter();
    guest_write(GICD(0x184), 4, 1u << 18);
    assert_false(fake.physical[50].active); /* let go, or no later interrupt would come */
    assert_int_equal(guest_acknowledge(), 1023);
    fake.physical[50].line = false;
    guest_write(GICD(0x104), 4, 1u << 18);
    assert_int_equal(guest_acknowledge(), 1023);
    fake_physical_line(50, true);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 50);
    fake.physical[50].line = false;
    guest_write(GICD(0x384), 4, 1u << 18); /* ICACTIVER ends it too */
    assert_false(fake.physical[50].active);
}

/* Linked interrupts evicted from the list registers while active end through EOIcount. */
static void test_linked_overflow(void **state)
{
    for (uint32_t i = 0; i < 7; i++) {
        vgic_assign_hw(d, 32 + i);
        enable_spi(32 + i, 0xf0 - i * 0x10);
    }
    for (uint32_t i = 0; i < 7; i++) {
        fake_physical_line(32 + i, true);
        fake_enter();
        assert_int_equal(guest_acknowledge(), 32 + i);
    }
    for (uint32_t i = 7; i-- > 0;) {
        fake.physical[32 + i].line = false;
        guest_end(32 + i);
        assert_false(fake.physical[32 + i].active);
    }
}

static enum irq_result timer_fired(uint32_t intid, void *context)
{
    vgic_inject_hw_private(vcpu_current(), intid);
    return IRQ_KEEP_ACTIVE;
}

static void test_linked_timer_moves_with_its_vcpu(void **state)
{
    struct vcpu *v = d->vcpus[0];
    vgic_link_hw_private(v, 27);
    irq_set_handler(27, timer_fired, NULL);
    irq_enable(27);
    guest_write(GICR(0, 0x10100), 4, 1u << 27);
    fake_physical_line(27, true);
    fake_enter();
    assert_true(fake.physical[27].active);
    fake_unload(); /* pending, not acknowledged: the line stands in */
    assert_false(fake.physical[27].active);
    assert_true(vgic_has_pending(v));
    fake.physical[27].line = false;
    fake_load(v);
    assert_int_equal(guest_acknowledge(), 1023); /* the CPU's own line counts again */
    fake_physical_line(27, true);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 27);
    fake_unload(); /* active */
    assert_false(fake.physical[27].active);
    assert_false(vgic_has_pending(v));
    fake_load(v);
    assert_true(fake.physical[27].active); /* so it does not fire under the guest's handler */
    fake.physical[27].line = false;
    guest_end(27);
    assert_false(fake.physical[27].active);
    assert_int_equal(guest_acknowledge(), 1023);
}

static void test_has_pending_follows_the_interface(void **state)
{
    struct vcpu *v = d->vcpus[0];
    enable_spi(40, 0x80);
    make_edge(40);
    assert_false(vgic_has_pending(v));
    vgic_inject(d, NULL, 40);
    assert_true(vgic_has_pending(v));
    fake_enter();
    assert_true(vgic_has_pending(v));
    fake.cpus[0].vmcr &= ~(UINT64_C(0xff) << 24);
    fake.cpus[0].vmcr |= UINT64_C(0x80) << 24;
    assert_false(vgic_has_pending(v));
    fake.cpus[0].vmcr |= UINT64_C(0xff) << 24;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    assert_false(vgic_has_pending(v));
    vgic_inject(d, NULL, 40);
    assert_false(vgic_has_pending(v)); /* pending again, but it runs */
    enable_spi(41, 0x88);
    make_edge(41);
    vgic_inject(d, NULL, 41);
    assert_false(vgic_has_pending(v)); /* does not preempt */
    enable_spi(42, 0x78);
    make_edge(42);
    vgic_inject(d, NULL, 42);
    assert_true(vgic_has_pending(v));
    fake_unload();
    assert_true(vgic_has_pending(v));
    fake_load(v);
    assert_int_equal(guest_acknowledge(), 42);
}

static void test_write_fault_path_touches_nothing(void **state)
{
    enable_spi(40, 0x80);
    vgic_set_line(d, NULL, 40, true);
    fake_enter();
    assert_false(d->vcpus[0]->vgic.dirty);
    vgic_set_line(d, NULL, 40, true); /* no change */
    assert_false(d->vcpus[0]->vgic.dirty);
}

static void send_sgi(unsigned from, uint64_t value)
{
    vgic_send_sgi(d->vcpus[from], value, true);
}

static void test_sgi_targets(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        guest_write(GICR(i, 0x10100), 4, 0xffff);
    }
    send_sgi(0, 5u << 24 | 0x6); /* vCPUs 1 and 2 */
    assert_int_equal(guest_read(GICR(0, 0x10200), 4), 0);
    assert_int_equal(guest_read(GICR(1, 0x10200), 4), 1u << 5);
    assert_int_equal(guest_read(GICR(2, 0x10200), 4), 1u << 5);
    assert_int_equal(guest_read(GICR(3, 0x10200), 4), 0);
    send_sgi(0, UINT64_C(1) << 40 | 7u << 24); /* all but self */
    assert_int_equal(guest_read(GICR(0, 0x10200), 4), 0);
    assert_int_equal(guest_read(GICR(3, 0x10200), 4), 1u << 7);
    send_sgi(0, 1u << 24 | 1); /* self */
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1);
    vgic_send_sgi(d->vcpus[0], 2u << 24 | 2, false); /* group 0 register, group 1 interrupt */
    assert_int_equal(guest_read(GICR(1, 0x10200), 4), 1u << 5 | 1u << 7);
}

static void test_sgi_beyond_sixteen(void **state)
{
    fake_reset(4);
    d = fake_domain(40);
    send_sgi(0, UINT64_C(2) << 16 | 3u << 24 | 0x81);
    assert_true(d->vcpus[32]->vgic.private_irqs[3].pending_latch);
    assert_true(d->vcpus[39]->vgic.private_irqs[3].pending_latch);
    /* The same vCPU by range when its affinity is flat. */
    d->vcpus[39]->vmpidr = 39;
    send_sgi(0, UINT64_C(2) << 44 | 4u << 24 | 0x80);
    assert_true(d->vcpus[39]->vgic.private_irqs[4].pending_latch);
    assert_false(d->vcpus[7]->vgic.private_irqs[4].pending_latch);
    fake_load(d->vcpus[39]);
    guest_write(GICR(39, 0x10100), 4, 0xffff);
    assert_int_equal(guest_acknowledge(), 3);
    assert_int_equal(guest_read(GICR(39, 8), 8) >> 32, 39);
    assert_int_equal(guest_read(GICR(39, 8), 8) & 0x10, 0x10);
    assert_int_equal(guest_read(GICR(38, 8), 8) & 0x10, 0);
    struct mmio_access access = {.bytes = 4};
    assert_false(guest_try(GICR(40, 0), &access));
}

static void test_rerouting(void **state)
{
    enable_spi(40, 0x80);
    make_edge(40);
    fake_cpu = 1;
    fake_load(d->vcpus[1]);
    fake_cpu = 0;
    vgic_inject(d, NULL, 40); /* to vCPU 0, into a list register there */
    fake_enter();
    assert_true(guest_irq_is_signalled());
    guest_write(GICD(0x6000 + 8 * 40), 8, 1); /* handled at the write: it is this vCPU's */
    assert_int_equal(guest_acknowledge(), 1023);
    assert_true(fake.cpus[1].kicked);
    fake_cpu = 1;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    guest_write(GICD(0x6000 + 8 * 40), 8, 0); /* while active here: the next one goes there */
    vgic_inject(d, NULL, 40);
    fake_enter();
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 1023);
    fake_cpu = 0;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 1023);
}

/* In a list register of another CPU: that CPU passes it on when it exits. */
static void test_rerouting_from_afar(void **state)
{
    enable_spi(40, 0x80);
    make_edge(40);
    guest_write(GICD(0x6000 + 8 * 40), 8, 1);
    fake_cpu = 1;
    fake_load(d->vcpus[1]);
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_true(guest_irq_is_signalled());
    fake_cpu = 0;
    guest_write(GICD(0x6000 + 8 * 40), 8, 0);
    assert_true(fake.cpus[1].kicked);
    fake_cpu = 1;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1023);
    fake_cpu = 0;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
}

static void test_clear_from_afar(void **state)
{
    enable_spi(40, 0x80);
    make_edge(40);
    guest_write(GICD(0x6000 + 8 * 40), 8, 1);
    fake_cpu = 1;
    fake_load(d->vcpus[1]);
    vgic_inject(d, NULL, 40);
    fake_enter();
    fake_cpu = 0;
    guest_write(GICD(0x284), 4, 1u << 8);
    assert_true(fake.cpus[1].kicked);
    fake_cpu = 1;
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1023);
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    fake_cpu = 0;
    guest_write(GICD(0x384), 4, 1u << 8); /* ends it from afar */
    fake_cpu = 1;
    fake_enter();
    fake.cpus[1].apr[1][0] = 0;
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
}

static void test_wakes_a_blocked_vcpu(void **state)
{
    guest_write(GICR(2, 0x10100), 4, 1u << 30);
    d->vcpus[2]->state = VCPU_BLOCKED;
    vgic_set_line(d, d->vcpus[2], 29, true); /* not enabled: no reason to wake */
    assert_int_equal(d->vcpus[2]->state, VCPU_BLOCKED);
    vgic_set_line(d, d->vcpus[2], 30, true);
    assert_int_equal(d->vcpus[2]->state, VCPU_RUNNABLE);
    assert_true(vgic_has_pending(d->vcpus[2]));
}

static void test_spi_to_nobody(void **state)
{
    enable_spi(40, 0x80);
    make_edge(40);
    guest_write(GICD(0x6000 + 8 * 40), 8, 0x70000);
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 1023);
    assert_int_equal(guest_read(GICD(0x204), 4), 1u << 8);
    guest_write(GICD(0x6000 + 8 * 40), 8, 0);
    assert_int_equal(guest_acknowledge(), 40);
    vgic_inject(d, NULL, 400); /* no such SPI */
    vgic_set_line(d, NULL, 64, true);
}

int main(void)
{
    const struct CMUnitTest one[] = {
        cmocka_unit_test_setup_teardown(test_identification, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_register_widths, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_routing_registers, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_set_and_clear_registers, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_edge_is_delivered_once, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_level_comes_again_until_it_drops, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_level_that_drops_before_acknowledge, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_latch_and_line_are_apart, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_disable_withdraws, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_priorities_and_overflow, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_nesting_beyond_the_list_registers, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_split_end_and_deactivation, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_linked_spi, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_linked_spi_masked_while_pending, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_linked_overflow, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_linked_timer_moves_with_its_vcpu, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_has_pending_follows_the_interface, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_write_fault_path_touches_nothing, one_cpu, done),
        cmocka_unit_test_setup_teardown(test_sgi_targets, four_vcpus, done),
        cmocka_unit_test_teardown(test_sgi_beyond_sixteen, done),
        cmocka_unit_test_setup_teardown(test_rerouting, four_vcpus, done),
        cmocka_unit_test_setup_teardown(test_rerouting_from_afar, four_vcpus, done),
        cmocka_unit_test_setup_teardown(test_clear_from_afar, four_vcpus, done),
        cmocka_unit_test_setup_teardown(test_wakes_a_blocked_vcpu, four_vcpus, done),
        cmocka_unit_test_setup_teardown(test_spi_to_nobody, one_cpu, done),
    };
    return cmocka_run_group_tests_name("vgic", one, NULL, NULL);
}
