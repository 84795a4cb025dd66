/* SPDX-License-Identifier: MIT */
/*
 * Random interrupts on three vCPUs that take turns on two CPUs, beside a model that knows no list
 * registers: whatever a guest acknowledges must be the best interrupt that the model has for it,
 * and when the model has one, the guest gets one.
 */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define VCPUS  3u
#define CPUS   2u
#define FIRST  40u
#define COUNT  24u /* SPIs 40 to 63: one third edge, one third level, one third linked level */
#define ROUNDS 60000u
#define DEPTH  32u

struct model_irq {
    bool linked, edge, enabled, line, latch, active;
    unsigned priority, target;
};

struct model_vcpu {
    uint32_t stack[DEPTH]; /* interrupts being handled, the innermost last */
    unsigned depth;
};

static struct domain *d;
static struct model_irq irqs[COUNT];
static struct model_vcpu vcpus[VCPUS];
static uint64_t random_state;
static unsigned taken, preempted;

static unsigned draw(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 20) % limit;
}

static unsigned bit_register(unsigned base, uint32_t intid)
{
    return base + intid / 32 * 4;
}

/* Kicked CPUs leave their guest and come back, as the kick makes them. */
static void settle(void)
{
    unsigned here = fake_cpu;
    bool again = true;
    while (again) {
        again = false;
        for (fake_cpu = 0; fake_cpu < CPUS; fake_cpu++) {
            again |= fake.cpus[fake_cpu].kicked;
            fake_enter();
        }
    }
    fake_cpu = here;
}

static bool model_pending(const struct model_irq *irq)
{
    return irq->latch || (!irq->edge && irq->line);
}

/* Priority of the best interrupt that the vCPU could take now; 0x100: none. */
static unsigned model_best(unsigned vcpu)
{
    unsigned best = 0x100;
    for (unsigned i = 0; i < COUNT; i++) {
        const struct model_irq *irq = &irqs[i];
        if (irq->enabled && !irq->active && irq->target == vcpu && model_pending(irq) &&
            irq->priority < best) {
            best = irq->priority;
        }
    }
    const struct model_vcpu *v = &vcpus[vcpu];
    unsigned running = v->depth ? irqs[v->stack[v->depth - 1] - FIRST].priority : 0x100;
    return best < running ? best : 0x100;
}

static void take_one(void)
{
    unsigned vcpu = vcpu_current()->id;
    unsigned best = model_best(vcpu);
    uint32_t intid = guest_acknowledge();

    if (best == 0x100) {
        assert_int_equal(intid, 1023);
        return;
    }
    assert_in_range(intid, FIRST, FIRST + COUNT - 1);
    struct model_irq *irq = &irqs[intid - FIRST];
    assert_true(irq->enabled && !irq->active && model_pending(irq) && irq->target == vcpu);
    assert_int_equal(irq->priority, best);
    irq->active = true;
    irq->latch = false;
    preempted += vcpus[vcpu].depth > 0;
    vcpus[vcpu].stack[vcpus[vcpu].depth++] = intid;
    taken++;
}

static void end_one(void)
{
    struct model_vcpu *v = &vcpus[vcpu_current()->id];
    if (!v->depth) {
        return;
    }
    uint32_t intid = v->stack[--v->depth];
    struct model_irq *irq = &irqs[intid - FIRST];
    /* Most handlers make their device let go. */
    if (!irq->edge && draw(4)) {
        irq->line = false;
        if (irq->linked) {
            fake.physical[intid].line = false;
        } else {
            vgic_set_line(d, NULL, intid, false);
        }
        settle();
    }
    irq->active = false;
    guest_end(intid);
}

static void change_device(uint32_t intid)
{
    struct model_irq *irq = &irqs[intid - FIRST];
    if (irq->linked) {
        irq->line = true; /* drops in its handler only: before that, being late is no error */
        fake_physical_line(intid, true);
    } else if (irq->edge) {
        irq->latch = true;
        vgic_inject(d, NULL, intid);
    } else {
        irq->line = draw(2);
        vgic_set_line(d, NULL, intid, irq->line);
    }
}

static void change_register(uint32_t intid)
{
    struct model_irq *irq = &irqs[intid - FIRST];
    uint32_t bit = 1u << intid % 32;

    switch (draw(5)) {
    case 0:
        irq->enabled = draw(3);
        guest_write(GICD(bit_register(irq->enabled ? 0x100 : 0x180, intid)), 4, bit);
        break;
    case 1:
        irq->target = draw(VCPUS);
        guest_write(GICD(0x6000 + 8 * intid), 8, irq->target);
        break;
    case 2:
        if (!irq->linked) {
            irq->latch = draw(2);
            guest_write(GICD(bit_register(irq->latch ? 0x200 : 0x280, intid)), 4, bit);
        }
        break;
    case 3:
        if (!irq->active) { /* a change under a handler would change its running priority's meaning
                             */
            irq->priority = draw(31) * 8;
            guest_write(GICD(0x400 + intid), 1, irq->priority);
        }
        break;
    default: /* the first read makes a CPU that holds it exit, the second sees the truth */
        (void)guest_read(GICD(bit_register(0x300, intid)), 4);
        settle();
        assert_int_equal(guest_read(GICD(bit_register(0x300, intid)), 4) >> intid % 32 & 1,
                         irq->active);
        break;
    }
}

static void switch_vcpu(void)
{
    struct vcpu *old = vcpu_current();
    struct vcpu *next = d->vcpus[draw(VCPUS)];

    if (next->cpu >= 0) {
        return;
    }
    fake_unload();
    assert_int_equal(vgic_has_pending(old), model_best(old->id) != 0x100);
    fake_load(next);
}

static void set_up(uint64_t seed, unsigned lr_count)
{
    random_state = seed;
    fake_reset(lr_count);
    d = fake_domain(VCPUS);
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].depth = 0;
    }
    for (fake_cpu = 0; fake_cpu < CPUS; fake_cpu++) {
        fake_load(d->vcpus[fake_cpu]);
    }
    fake_cpu = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t intid = FIRST + i;
        uint64_t config = GICD(0xc00 + intid / 16 * 4);
        irqs[i] = (struct model_irq){.linked = i % 3 == 2,
                                     .edge = i % 3 == 0,
                                     .enabled = true,
                                     .priority = draw(31) * 8,
                                     .target = draw(VCPUS)};
        if (irqs[i].linked) {
            vgic_assign_hw(d, intid);
        }
        if (irqs[i].edge) {
            guest_write(config, 4, guest_read(config, 4) | 2u << intid % 16 * 2);
        }
        guest_write(GICD(0x400 + intid), 1, irqs[i].priority);
        guest_write(GICD(0x6000 + 8 * intid), 8, irqs[i].target);
        guest_write(GICD(bit_register(0x100, intid)), 4, 1u << intid % 32);
    }
}

static void step(void)
{
    fake_cpu = draw(CPUS);
    switch (draw(8)) {
    case 0:
    case 1:
        change_device(FIRST + draw(COUNT));
        break;
    case 2:
        change_register(FIRST + draw(COUNT));
        break;
    case 3:
    case 4:
        take_one();
        break;
    case 5:
    case 6:
        end_one();
        break;
    default:
        switch_vcpu();
        break;
    }
    settle();
}

static void run(uint64_t seed, unsigned lr_count)
{
    taken = preempted = 0;
    set_up(seed, lr_count);
    for (unsigned i = 0; i < ROUNDS; i++) {
        step();
    }
    assert_true(taken > ROUNDS / 20);
    assert_true(preempted > ROUNDS / 300);
    for (fake_cpu = 0; fake_cpu < CPUS; fake_cpu++) {
        fake_unload();
    }
    fake_domain_free(d);
}

static void test_four_list_registers(void **state)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run(seed * 0x9e3779b97f4a7c15, 4);
    }
}

static void test_one_list_register(void **state)
{
    run(0x1234567, 1);
}

static void test_sixteen_list_registers(void **state)
{
    run(0x7654321, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_list_registers),
        cmocka_unit_test(test_one_list_register),
        cmocka_unit_test(test_sixteen_list_registers),
    };
    return cmocka_run_group_tests_name("vgic model", tests, NULL, NULL);
}
