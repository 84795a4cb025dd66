/* SPDX-License-Identifier: MIT */
/* Save records: a domain and its copy are equal and behave alike; no hostile list gets through. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <godwit/save.h>
#include <hv/errno.h>
#include <hv/save.h>

#define VCPUS 3u

static struct domain *source, *target;
static uint8_t *list;
static size_t list_bytes;

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint8_t *save(struct domain *d, size_t *ret_bytes)
{
    size_t bytes = 0;
    assert_int_equal(hv_save_context(d, NULL, 0, ret_bytes), 0);
    uint8_t *buf = malloc(*ret_bytes);
    assert_int_equal(hv_save_context(d, buf, *ret_bytes - 8, &bytes), -ENOSPC);
    assert_int_equal(hv_save_context(d, buf, *ret_bytes, &bytes), 0);
    assert_int_equal(bytes, *ret_bytes);
    return buf;
}

static void fill_registers(struct vcpu *v)
{
    uint64_t *words = (uint64_t *)&v->arch.sys;
    for (size_t i = 0; i < sizeof(v->arch.sys) / 8; i++) {
        words[i] = next_random();
    }
    for (size_t i = 0; i < 31; i++) {
        v->regs.x[i] = next_random();
    }
    for (size_t i = 0; i < 64; i++) {
        v->arch.fp.v[i] = next_random();
    }
    for (size_t i = 0; i < ARCH_PAUTH_KEY_WORDS; i++) {
        v->arch.pauth_keys[i] = next_random();
    }
    for (size_t i = 0; i < ARCH_BREAKPOINTS_MAX; i++) {
        v->arch.debug.bvr[i] = next_random();
        v->arch.debug.bcr[i] = next_random();
        v->arch.debug.wvr[i] = next_random();
        v->arch.debug.wcr[i] = next_random();
    }
    v->arch.debug.os_lock = v->id & 1;
    v->arch.debug.mdscr_el1 = next_random();
    v->arch.debug.mdccint_el1 = next_random();
    v->arch.fp.fpsr = next_random();
    v->arch.fp.fpcr = next_random();
    v->arch.hidden = (struct vcpu_hidden){next_random(), next_random()};
    v->arch.serror_pending = v->id == 2;
    v->regs.pc = next_random();
    v->regs.cpsr = 0x600003c5;
    v->vtimer.cntv_cval = next_random();
    v->vtimer.cntp_cval = next_random();
    v->vtimer.cntv_ctl = 1;
    v->vtimer.cntp_ctl = 3;
}

/* Interrupts in every state, on two CPUs: an SPI that is active and pending, routed away meanwhile.
 */
static void make_busy(struct domain *d)
{
    fake_load(d->vcpus[0]);
    guest_write(GICD(0x104), 4, 0xffffffff);
    guest_write(GICD(0xc08), 4, 0xaaaa0000);
    for (uint32_t i = 0; i < 32; i++) {
        guest_write(GICD(0x420 + i), 1, 0x40 + i * 4);
    }
    guest_write(GICR(0, 0x10100), 4, 0xffffffff);
    vgic_inject(d, NULL, 40);
    fake_enter();
    assert_int_equal(guest_acknowledge(), 40);
    vgic_inject(d, NULL, 40);
    guest_write(GICD(0x6000 + 8 * 40), 8, 1);
    vgic_inject(d, NULL, 41);
    vgic_set_line(d, NULL, 50, true);
    guest_write(GICD(0x204), 4, 1u << 20); /* 52: latched, level */
    vgic_inject(d, d->vcpus[2], 3);
    guest_write(UART_BASE + 0x2c, 4, 0x70);
    guest_write(UART_BASE + 0x30, 4, 0x381); /* loop back: bytes wait to be read */
    guest_write(UART_BASE, 1, 'h');
    guest_write(UART_BASE, 1, 'i');
    guest_write(UART_BASE + 0x38, 4, 0x50);
    guest_write(GPIO_BASE + 0x410, 1, 0x08);
    guest_write(GPIO_BASE + 0x408, 1, 0x08);
    fake_unload();
    assert_int_equal(vpl061_press_power_key(d), 0);
}

static int setup(void **state)
{
    random_state = 88172645463325252;
    fake_reset(4);
    fake.cntfrq_hz = 62500000;
    fake.counter = 5000000;
    fake.id[0] = 0x12;
    fake.id[GODWIT_ID_MIDR] = 0x410fd083;
    source = fake_domain(VCPUS);
    target = fake_domain(VCPUS);
    source->cntvoff_ticks = 1000000;
    make_busy(source);
    for (unsigned i = 0; i < VCPUS; i++) {
        fill_registers(source->vcpus[i]);
    }
    source->vcpus[0]->initialised = true;
    source->vcpus[0]->state = VCPU_RUNNABLE;
    source->vcpus[1]->initialised = true;
    source->vcpus[1]->state = VCPU_BLOCKED;
    source->vcpus[2]->state = VCPU_OFF;
    list = save(source, &list_bytes);
    return 0;
}

static int teardown(void **state)
{
    free(list);
    fake_domain_free(source);
    fake_domain_free(target);
    return 0;
}

/* How long a domain stays paused, here or where it goes, is hidden from it. */
static void test_time_stands_while_paused(void **state)
{
    size_t bytes;

    source->pause_count = 1;
    source->paused_at_ticks = 4600000;
    atomic_store(&source->ran_until_ticks, 4700000); /* its last vCPU took a while to stop */
    uint8_t *paused = save(source, &bytes);
    assert_int_equal(hv_load_context(target, paused, bytes), 0);
    assert_true(atomic_load(&target->clock_stands));
    assert_int_equal(target->paused_at_ticks - target->cntvoff_ticks, 3700000);
    free(paused);
}

/* Of the CPU interface and the redistributor what a guest seldom has. */
static void fill_interface(struct vcpu *v)
{
    v->vgic.gicr_waker = 6;
    v->vgic.vmcr = VGIC_VMCR_BITS;
    v->vgic.ap0r[0] = 0x10;
    v->vgic.ap1r[0] = 0x20;
}

static void expect_same_irq(const struct virq *a, const struct virq *b)
{
    assert_int_equal(a->enabled, b->enabled);
    assert_int_equal(a->edge, b->edge);
    assert_int_equal(a->group1, b->group1);
    assert_int_equal(a->line, b->line);
    assert_int_equal(a->pending_latch, b->pending_latch);
    assert_int_equal(a->active, b->active);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->irouter, b->irouter);
    if (a->active) {
        assert_int_equal(a->owner->id, b->owner->id);
    }
}

/* A field that no record has is missing in both lists: so what they were made of is compared, too.
 */
static void expect_same_vcpu(const struct vcpu *a, const struct vcpu *b)
{
    assert_memory_equal(&a->arch, &b->arch, sizeof(a->arch));
    assert_memory_equal(a->regs.x, b->regs.x, sizeof(a->regs.x));
    assert_int_equal(a->regs.pc, b->regs.pc);
    assert_int_equal(a->regs.cpsr, b->regs.cpsr);
    assert_int_equal(a->initialised, b->initialised);
    assert_int_equal(a->vtimer.cntv_cval, b->vtimer.cntv_cval);
    assert_int_equal(a->vtimer.cntv_ctl, b->vtimer.cntv_ctl);
    assert_int_equal(a->vtimer.cntp_cval, b->vtimer.cntp_cval);
    assert_int_equal(a->vtimer.cntp_ctl, b->vtimer.cntp_ctl);
    assert_int_equal(a->vgic.gicr_waker, b->vgic.gicr_waker);
    assert_int_equal(a->vgic.vmcr, b->vgic.vmcr);
    assert_memory_equal(a->vgic.ap0r, b->vgic.ap0r, sizeof(a->vgic.ap0r));
    assert_memory_equal(a->vgic.ap1r, b->vgic.ap1r, sizeof(a->vgic.ap1r));
    for (unsigned i = 0; i < VGIC_PRIVATE; i++) {
        expect_same_irq(&a->vgic.private_irqs[i], &b->vgic.private_irqs[i]);
    }
}

static void expect_same_devices(const struct domain *a, const struct domain *b)
{
    const struct vpl011 *u = &a->vpl011, *w = &b->vpl011;
    const uint32_t uart[][2] = {{u->cr, w->cr},     {u->lcrh, w->lcrh}, {u->ibrd, w->ibrd},
                                {u->fbrd, w->fbrd}, {u->ifls, w->ifls}, {u->imsc, w->imsc},
                                {u->ris, w->ris},   {u->ilpr, w->ilpr}, {u->dmacr, w->dmacr}};

    for (unsigned i = 0; i < sizeof(uart) / sizeof(uart[0]); i++) {
        assert_int_equal(uart[i][0], uart[i][1]);
    }
    assert_memory_equal(&a->vpl061.data, &b->vpl061.data, 9); /* data to inputs */
    for (unsigned i = 0; i < a->vgic.spi_count; i++) {
        expect_same_irq(&a->vgic.spis[i], &b->vgic.spis[i]);
    }
}

static void test_no_field_is_in_no_record(void **state)
{
    struct vpl011 *uart = &source->vpl011;
    struct vpl061 *gpio = &source->vpl061;
    size_t bytes;

    fill_interface(source->vcpus[2]);
    uart->ibrd = 0x1234, uart->fbrd = 0x2a, uart->ifls = 0x1b, uart->ris = 0x440;
    uart->dmacr = 5, uart->ilpr = 0x33;
    gpio->data = 1, gpio->dir = 2, gpio->is = 0x80, gpio->ibe = 4, gpio->iev = 0x85;
    gpio->ie = 6, gpio->ris = 0x14, gpio->afsel = 9;
    uint8_t *full = save(source, &bytes);
    assert_int_equal(hv_load_context(target, full, bytes), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        expect_same_vcpu(source->vcpus[i], target->vcpus[i]);
    }
    expect_same_devices(source, target);
    free(full);
}

static void test_round_trip(void **state)
{
    fake.counter += 777; /* downtime: not seen by the guest */
    assert_int_equal(hv_load_context(target, list, list_bytes), 0);
    assert_int_equal(fake.recomputed, VCPUS);
    assert_int_equal(fake.counter - target->cntvoff_ticks, 4000000);
    assert_int_equal(target->vcpus[0]->state, VCPU_RUNNABLE);
    assert_int_equal(target->vcpus[1]->state, VCPU_RUNNABLE);
    assert_int_equal(target->vcpus[2]->state, VCPU_OFF);
    assert_true(target->vcpus[2]->arch.serror_pending);
    target->vcpus[1]->state = VCPU_BLOCKED; /* as it was; it may wake once */

    size_t bytes;
    uint8_t *again = save(target, &bytes);
    assert_int_equal(bytes, list_bytes);
    assert_memory_equal(again, list, bytes);
    free(again);
}

/* The copy goes on where the original was: what was active ends, what was pending comes. */
static void go_on(struct domain *d)
{
    fake_load(d->vcpus[0]);
    assert_int_equal(guest_read(GICD(0x304), 4), 1u << 8);
    assert_int_equal(guest_acknowledge(), 1023); /* lower priorities than the active one */
    guest_end(40);
    assert_int_equal(guest_acknowledge(), 41);
    guest_end(41);
    assert_int_equal(guest_read(UART_BASE, 1), 'h');
    assert_int_equal(guest_acknowledge(), 44); /* the power key's edge */
    assert_int_equal(guest_read(GPIO_BASE + 0x418, 1), 0x08);
    guest_write(GPIO_BASE + 0x41c, 1, 0x08);
    guest_end(44);
    assert_int_equal(guest_acknowledge(), 50);
    vgic_set_line(d, NULL, 50, false);
    guest_end(50);
    assert_int_equal(guest_acknowledge(), 52);
    guest_end(52);
    assert_int_equal(guest_acknowledge(), 1023);
    fake_advance(UINT64_C(100000000)); /* the key comes up: both edges count */
    fake_enter();
    assert_int_equal(guest_acknowledge(), 44);
    guest_end(44);
    fake_unload();
    fake_load(d->vcpus[1]);
    assert_int_equal(guest_acknowledge(), 40); /* the second edge, routed here */
    fake_unload();
    fake_load(d->vcpus[2]);
    guest_write(GICR(2, 0x10100), 4, 0xffff);
    assert_int_equal(guest_acknowledge(), 3);
    fake_unload();
}

static void go_on_with_uart(struct domain *d)
{
    fake_load(d->vcpus[0]);
    guest_write(GICD(0x400 + 32), 1, 0); /* the UART's own interrupt first */
    fake_unload();
}

static void test_copy_behaves_alike(void **state)
{
    assert_int_equal(hv_load_context(target, list, list_bytes), 0);
    struct domain *both[] = {source, target};
    for (int i = 0; i < 2; i++) {
        go_on_with_uart(both[i]);
        fake_load(both[i]->vcpus[0]);
        assert_int_equal(guest_acknowledge(), 32); /* preempts 40 */
        assert_int_equal(guest_read(UART_BASE + 0x40, 4), 0x40);
        guest_write(UART_BASE + 0x38, 4, 0);
        guest_end(32);
        fake_unload();
        fake.armed = &both[i]->vpl061.release;
        fake.now_ns = 0;
        go_on(both[i]);
    }
}

static void expect_refusal(const uint8_t *bad, size_t bytes, int error)
{
    size_t ignored;
    uint8_t *before = save(target, &ignored);
    assert_int_equal(hv_load_context(target, bad, bytes), error);
    uint8_t *after = save(target, &ignored);
    assert_memory_equal(before, after, ignored);
    free(before);
    free(after);
}

static void *body_of(uint8_t *copy, unsigned type, unsigned instance)
{
    for (size_t at = 0; at < list_bytes;) {
        struct godwit_save_descriptor *record = (void *)(copy + at);
        if (record->type == type && record->instance == instance) {
            return record + 1;
        }
        at += sizeof(*record) + record->length;
    }
    abort();
}

#define REFUSED(type, instance, structure, field, bad_value)                                       \
    do {                                                                                           \
        uint8_t *copy = malloc(list_bytes);                                                        \
        memcpy(copy, list, list_bytes);                                                            \
        ((struct structure *)body_of(copy, type, instance))->field = (bad_value);                  \
        expect_refusal(copy, list_bytes, -EINVAL);                                                 \
        free(copy);                                                                                \
    } while (0)

static void test_bad_values(void **state)
{
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, magic, 1);
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, version, 2);
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, vcpus, 2);
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, cntfrq_hz, 1);
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, id[GODWIT_ID_ISAR0], 1);
    REFUSED(GODWIT_SAVE_HEADER, 0, godwit_save_header, id[GODWIT_ID_MIDR], 0x410fd0c1);
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, power, 3);
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, flags, 9);
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, flags, 0);
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, cpsr, 0x3c9); /* EL2h */
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, cpsr, 0x3cd); /* EL3h */
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, cpsr, 0x1d3); /* 32-bit supervisor */
    REFUSED(GODWIT_SAVE_VCPU, 2, godwit_save_vcpu, cpsr, 0x3c9);
    REFUSED(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, cpsr, UINT64_C(0x1000003c5));
    REFUSED(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_ctl, 4);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, ctlr, 4);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spi_count, 33);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].priority, 1);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].flags, 0x40);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].reserved, 1);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].irouter, UINT64_C(1) << 31);
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].active_vcpu, 1); /* not active */
    REFUSED(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[8].active_vcpu, 3);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, ctlr, 1);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, waker, 2);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, vmcr, 0x20);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, ap1r[1], 1);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, ap0r[0], UINT64_C(1) << 32);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, irqs[3].flags, 0);
    REFUSED(GODWIT_SAVE_GICR, 2, godwit_save_gicr, irqs[30].irouter, 1);
    REFUSED(GODWIT_SAVE_PL011, 0, godwit_save_pl011, cr, 0x10000);
    REFUSED(GODWIT_SAVE_PL011, 0, godwit_save_pl011, rx_count, 33);
    REFUSED(GODWIT_SAVE_PL011, 0, godwit_save_pl011, imsc, 0x800);
    REFUSED(GODWIT_SAVE_PL061, 0, godwit_save_pl061, inputs, 1);
    REFUSED(GODWIT_SAVE_PL061, 0, godwit_save_pl061, reserved[6], 1);
}

static void test_bad_lists(void **state)
{
    uint8_t *copy = malloc(list_bytes + 16);
    struct godwit_save_descriptor *first = (void *)copy;
    struct godwit_save_descriptor *second = (void *)(copy + 8 + sizeof(struct godwit_save_header));
    struct godwit_save_descriptor *end = (void *)(copy + list_bytes - 8);

    for (size_t bytes = 0; bytes < list_bytes; bytes += 8) {
        memcpy(copy, list, list_bytes);
        int error = hv_load_context(target, copy, bytes);
        assert_true(error == -ENODATA); /* truncated anywhere */
    }
    expect_refusal(copy, list_bytes - 4, -EINVAL);
    expect_refusal(copy + 4, list_bytes - 8, -EINVAL); /* misaligned */
    memset(copy + list_bytes, 0, 16);
    expect_refusal(copy, list_bytes + 8, -EINVAL); /* something behind the end */
    end->instance = 1;
    expect_refusal(copy, list_bytes, -EINVAL);
    memcpy(copy, list, list_bytes);
    end->type = GODWIT_SAVE_CLOCK;
    expect_refusal(copy, list_bytes, -EINVAL);
    memcpy(copy, list, list_bytes);
    first->length = UINT32_MAX;
    expect_refusal(copy, list_bytes, -ENODATA);
    memcpy(copy, list, list_bytes);
    second->type = 77;
    expect_refusal(copy, list_bytes, -EINVAL);
    memcpy(copy, list, list_bytes);
    second->instance = 1; /* double, and 0 is missing */
    expect_refusal(copy, list_bytes, -EINVAL);
    second->instance = 3;
    expect_refusal(copy, list_bytes, -EINVAL);
    memcpy(copy, list, list_bytes);
    expect_refusal((uint8_t *)second, list_bytes - (size_t)((uint8_t *)second - copy), -EINVAL);
    /* A record left out. */
    memmove(second, (uint8_t *)second + 8 + second->length,
            list_bytes - 8 - sizeof(struct godwit_save_header) - 8 - second->length);
    expect_refusal(copy, list_bytes - 8 - sizeof(struct godwit_save_vcpu), -EINVAL);
    free(copy);
    target->is_control = true;
    assert_int_equal(hv_load_context(target, list, list_bytes), -EINVAL);
    assert_int_equal(hv_save_context(target, NULL, 0, &list_bytes), -EINVAL);
    target->is_control = false;
}

/* Whatever bytes are flipped: refused, or loaded into a state that works and can be saved again. */
/* A list of an older version has no HIDDEN records, which are the last ones here. */
static void test_lists_without_optional_records(void **state)
{
    const size_t record = sizeof(struct godwit_save_descriptor) + sizeof(struct godwit_save_hidden);
    const struct godwit_save_descriptor end = {GODWIT_SAVE_END, 0, 0};
    size_t bytes = list_bytes - VCPUS * record;

    fill_registers(target->vcpus[1]);
    memcpy(list + bytes - sizeof(end), &end, sizeof(end));
    assert_int_equal(hv_load_context(target, list, bytes), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(target->vcpus[i]->arch.hidden.disr_el1, 0);
        assert_int_equal(target->vcpus[i]->arch.hidden.tpidr2_el0, 0);
        assert_int_equal(target->vcpus[i]->arch.sys.far_el1, source->vcpus[i]->arch.sys.far_el1);
    }
}

static void test_one_of_the_optional_records_is_missing(void **state)
{
    const size_t record = sizeof(struct godwit_save_descriptor) + sizeof(struct godwit_save_hidden);
    const struct godwit_save_descriptor end = {GODWIT_SAVE_END, 0, 0};
    size_t bytes = list_bytes - record;

    memcpy(list + bytes - sizeof(end), &end, sizeof(end));
    expect_refusal(list, bytes, -EINVAL);
}

static void test_mutations(void **state)
{
    uint8_t *copy = malloc(list_bytes);
    unsigned refused = 0, loaded = 0;

    for (unsigned round = 0; round < 20000; round++) {
        memcpy(copy, list, list_bytes);
        for (unsigned n = next_random() % 4 + 1; n; n--) {
            copy[next_random() % list_bytes] ^= (uint8_t)(1u << next_random() % 8);
        }
        size_t bytes = next_random() % 8 ? list_bytes : next_random() % list_bytes & ~UINT64_C(7);
        for (unsigned i = 0; i < VCPUS; i++) {
            target->vcpus[i]->state = VCPU_OFF;
        }
        int error = hv_load_context(target, copy, bytes);
        assert_true(error == 0 || error == -EINVAL || error == -ENODATA);
        refused += error != 0;
        loaded += error == 0;
        fake_load(target->vcpus[round % VCPUS]);
        for (uint32_t intid = guest_acknowledge(); intid < 1020; intid = guest_acknowledge()) {
            guest_write(GICD(0x180 + intid / 32 * 4), 4, 1u << intid % 32);
            guest_write(GICR(round % VCPUS, 0x10180), 4, 0xffffffff);
            guest_end(intid);
        }
        fake_unload();
    }
    assert_true(refused > 1000 && loaded > 1000);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_time_stands_while_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_field_is_in_no_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy_behaves_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists_without_optional_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_the_optional_records_is_missing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_mutations, setup, teardown),
    };
    return cmocka_run_group_tests_name("save", tests, NULL, NULL);
}
