/* SPDX-License-Identifier: MIT */
/* The virtual CPU interface, written from the architecture's pseudocode; and what a guest does. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LR_EITHER (VGIC_LR_PENDING | VGIC_LR_ACTIVE)

static struct fake_cpu *here(void)
{
    return &fake.cpus[fake_cpu];
}

void vgic_hw_probe(struct vgic_hw_limits *ret_limits)
{
    *ret_limits = (struct vgic_hw_limits){fake.lr_count, 1, 5, true};
}

uint64_t vgic_hw_read_lr(unsigned n)
{
    assert_true(n < fake.lr_count);
    return here()->lr[n];
}

void vgic_hw_write_lr(unsigned n, uint64_t value)
{
    assert_true(n < fake.lr_count);
    /* Neither linked in both states nor linked with a maintenance interrupt. */
    assert_false((value & VGIC_LR_HW) && (value & LR_EITHER) == LR_EITHER);
    assert_false((value & VGIC_LR_HW) && (value & VGIC_LR_EOI));
    here()->lr[n] = value;
}

uint32_t vgic_hw_read_hcr(void)
{
    return here()->hcr;
}

void vgic_hw_write_hcr(uint32_t value)
{
    here()->hcr = value;
}

uint64_t vgic_hw_read_vmcr(void)
{
    return here()->vmcr;
}

void vgic_hw_write_vmcr(uint64_t value)
{
    here()->vmcr = value;
}

uint64_t vgic_hw_read_apr(unsigned group, unsigned n)
{
    return here()->apr[group][n];
}

void vgic_hw_write_apr(unsigned group, unsigned n, uint64_t value)
{
    here()->apr[group][n] = value;
}

static unsigned lr_priority(uint64_t lr)
{
    return (unsigned)(lr >> 48) & 0xff;
}

static unsigned running(void)
{
    uint32_t bits = (uint32_t)(here()->apr[0][0] | here()->apr[1][0]);
    return bits ? (unsigned)__builtin_ctz(bits) << 3 : 0x100;
}

/* The list register whose interrupt the interface signals, or -1. Binary points are at their
 * minimum. */
static int signalled(void)
{
    int best = -1;
    for (unsigned n = 0; n < fake.lr_count; n++) {
        uint64_t lr = here()->lr[n];
        uint64_t enable = lr & VGIC_LR_GROUP1 ? VGIC_VMCR_ENG1 : VGIC_VMCR_ENG0;
        if ((lr & LR_EITHER) == VGIC_LR_PENDING && (here()->vmcr & enable) &&
            (best < 0 || lr_priority(lr) < lr_priority(here()->lr[best]))) {
            best = (int)n;
        }
    }
    if (best < 0 || !(here()->hcr & VGIC_HCR_EN)) {
        return -1;
    }
    unsigned priority = lr_priority(here()->lr[best]);
    return priority < VGIC_VMCR_PMR(here()->vmcr) && priority < running() ? best : -1;
}

bool guest_irq_is_signalled(void)
{
    return signalled() >= 0;
}

uint32_t guest_acknowledge(void)
{
    int n = signalled();
    if (n < 0) {
        return 1023;
    }
    uint64_t lr = here()->lr[n];
    here()->apr[lr & VGIC_LR_GROUP1 ? 1 : 0][0] |= UINT64_C(1) << (lr_priority(lr) >> 3);
    here()->lr[n] = (lr & ~VGIC_LR_PENDING) | VGIC_LR_ACTIVE;
    uint32_t intid = (uint32_t)lr;
    fake_enter();
    return intid;
}

static int active_lr(uint32_t intid)
{
    for (unsigned n = 0; n < fake.lr_count; n++) {
        if ((here()->lr[n] & VGIC_LR_ACTIVE) && (uint32_t)here()->lr[n] == intid) {
            return (int)n;
        }
    }
    return -1;
}

static void deactivate_lr(unsigned n)
{
    uint64_t lr = here()->lr[n];
    here()->lr[n] = lr & ~VGIC_LR_ACTIVE;
    if (lr & VGIC_LR_HW) {
        uint32_t intid = (uint32_t)(lr >> 32) & 0x1fff;
        assert_true(fake.physical[intid].active);
        fake.physical[intid].active = false;
    }
}

void guest_end(uint32_t intid)
{
    uint32_t bits = (uint32_t)(here()->apr[0][0] | here()->apr[1][0]);
    int n = active_lr(intid);

    here()->apr[0][0] &= ~(uint64_t)(bits & -bits);
    here()->apr[1][0] &= ~(uint64_t)(bits & -bits);
    if (!(here()->vmcr & VGIC_VMCR_EOIM) || n < 0) {
        if (n >= 0) {
            deactivate_lr((unsigned)n);
        } else if (bits) {
            here()->hcr += 1u << 27;
        }
    }
    fake_enter();
}

void guest_deactivate(uint32_t intid)
{
    int n = active_lr(intid);
    if (here()->hcr & VGIC_HCR_TDIR) {
        uint64_t value = intid;
        const uint32_t icc_dir = 3u << 20 | 1u << 17 | 12u << 10 | 11u << 1;
        assert_true(vgic_trap_sysreg(here()->current, icc_dir, &value, true));
    } else if (n >= 0) {
        deactivate_lr((unsigned)n);
    }
    fake_enter();
}

bool fake_maintenance(void)
{
    uint32_t hcr = here()->hcr;
    bool pending = false;
    bool ended = false;
    for (unsigned n = 0; n < fake.lr_count; n++) {
        uint64_t lr = here()->lr[n];
        pending |= (lr & LR_EITHER) == VGIC_LR_PENDING;
        ended |= !(lr & LR_EITHER) && !(lr & VGIC_LR_HW) && (lr & VGIC_LR_EOI);
    }
    return (hcr & VGIC_HCR_EN) && (ended || ((hcr & VGIC_HCR_NPIE) && !pending) ||
                                   ((hcr & VGIC_HCR_LRENPIE) && VGIC_HCR_EOICOUNT(hcr)));
}

void fake_enter(void)
{
    struct vcpu *v = here()->current;

    here()->kicked = false; /* before the look at what the kick is for: a later one kicks again */
    while (v && (fake_take_physical() || fake_maintenance() || v->vgic.dirty)) {
        if (fake_maintenance()) {
            fake.handlers[IRQ_PPI_MAINT](IRQ_PPI_MAINT, fake.contexts[IRQ_PPI_MAINT]);
            assert_false(fake_maintenance());
        }
        if (v->vgic.dirty) {
            vgic_flush(v);
        }
    }
}

void fake_load(struct vcpu *v)
{
    assert_null(here()->current);
    here()->current = v;
    v->state = VCPU_RUNNING;
    v->cpu = (int)fake_cpu;
    vgic_load(v);
    fake_enter();
}

void fake_unload(void)
{
    struct vcpu *v = here()->current;
    vgic_save(v);
    v->cpu = -1;
    v->last_cpu = (int)fake_cpu;
    v->state = VCPU_RUNNABLE;
    here()->current = NULL;
    for (unsigned n = 0; n < fake.lr_count; n++) {
        assert_int_equal(here()->lr[n], 0);
    }
}

bool guest_try(uint64_t ipa, struct mmio_access *access)
{
    struct vcpu *v = here()->current;
    for (unsigned i = 0; i < v->domain->mmio.count; i++) {
        const struct mmio_region *region = &v->domain->mmio.regions[i];
        if (ipa >= region->start.addr && ipa - region->start.addr < region->bytes) {
            access->offset = ipa - region->start.addr;
            bool ok = region->handle(v, region->context, access);
            fake_enter();
            return ok;
        }
    }
    return false;
}

uint64_t guest_read(uint64_t ipa, unsigned bytes)
{
    struct mmio_access access = {.bytes = (uint8_t)bytes, .value = 0x5a5a5a5a5a5a5a5a};
    assert_true(guest_try(ipa, &access));
    return access.value;
}

void guest_write(uint64_t ipa, unsigned bytes, uint64_t value)
{
    struct mmio_access access = {.bytes = (uint8_t)bytes, .value = value, .write = true};
    assert_true(guest_try(ipa, &access));
}

void fake_reset(unsigned lr_count)
{
    memset(&fake, 0, sizeof(fake));
    fake.lr_count = lr_count;
    vgic_init_host();
    for (fake_cpu = 0; fake_cpu < FAKE_CPUS; fake_cpu++) {
        vgic_init_host_cpu();
    }
    fake_cpu = 0;
}

struct domain *fake_domain(unsigned vcpus)
{
    struct domain *d = aligned_alloc(64, (sizeof(*d) + 63) & ~(size_t)63);
    memset(d, 0, sizeof(*d));
    d->max_vcpus = vcpus;
    assert_int_equal(vgic_domain_init(d, 32, ipa_make(GICD_BASE), ipa_make(GICR_BASE)), 0);
    assert_int_equal(vpl011_init(d, ipa_make(UART_BASE), 32), 0);
    assert_int_equal(vpl061_init(d, ipa_make(GPIO_BASE), 44), 0);
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *v = aligned_alloc(64, (sizeof(*v) + 63) & ~(size_t)63);
        memset(v, 0, sizeof(*v));
        v->domain = d;
        v->id = i;
        v->vmpidr = UINT64_C(0x80000000) | (i / 16) << 8 | i % 16;
        v->cpu = -1;
        v->last_cpu = -1;
        d->vcpus[i] = v;
        vgic_vcpu_init(v);
        v->vgic.vmcr |= VGIC_VMCR_ENG0 | VGIC_VMCR_ENG1 | UINT64_C(0xff) << 24;
    }
    d->vgic.ctlr = 3;
    return d;
}

void fake_domain_free(struct domain *d)
{
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        free(d->vcpus[i]);
    }
    vpl011_free(d);
    vpl061_free(d);
    vgic_domain_free(d);
    free(d);
}
