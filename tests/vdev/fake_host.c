/* SPDX-License-Identifier: MIT */
/* The hypervisor's other parts, as far as the virtual devices use them; see fake_host.h. */
#include "fake_host.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <core/dirty_log.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/save.h>
#include <hv/sched.h>

struct fake_host fake;
_Thread_local unsigned fake_cpu;

/* A lock taken twice by one CPU never comes free: say so at once. */
void spin_lock(struct spinlock *lock)
{
    uint32_t mine = fake_cpu + 1;
    uint32_t expected = 0;
    if (atomic_load(&lock->held) == mine) {
        panic("lock taken twice");
    }
    while (!atomic_compare_exchange_weak(&lock->held, &expected, mine)) {
        expected = 0;
        sched_yield();
    }
}

void spin_unlock(struct spinlock *lock)
{
    if (atomic_exchange(&lock->held, 0) != fake_cpu + 1) {
        panic("lock was not held here");
    }
}

bool spin_is_locked(struct spinlock *lock)
{
    return atomic_load(&lock->held) == fake_cpu + 1;
}

void panic(const char *format, ...)
{
    (void)fprintf(stderr, "panic: %s\n", format);
    abort();
}

void printk(const char *format, ...)
{
}

/* Frames and the direct map: physical addresses are host pointers. */
void *frame_alloc_hv(unsigned order)
{
    return calloc(1, PAGE_SIZE_BYTES << order);
}

void frame_free_hv(void *va, unsigned order)
{
    free(va);
}

void *pa_to_va(pa_t pa)
{
    return (void *)(uintptr_t)pa.addr;
}

void frame_put(pa_t pa)
{
    fake.frames_put++;
}

int mmio_add(struct mmio_map *map, const struct mmio_region *region)
{
    if (map->count == MMIO_REGIONS_MAX) {
        return -1;
    }
    map->regions[map->count++] = *region;
    return 0;
}

void dirty_log_mark(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer)
{
    (void)writer;
    fake.marks++;
    if (fake.on_mark != NULL) {
        fake.on_mark();
    }
    fake.last_marked_gfn = ipa_gfn(ipa);
}

void evtchn_notify_xen_port(struct domain *d, uint32_t port)
{
    assert_false(spin_is_locked(&d->vpl011.lock));
    fake.notifications++;
}

/* The architecture's part of vCPUs. */
uint64_t arch_id_register(const struct domain *d, unsigned crm, unsigned op2)
{
    return crm == 4 && op2 == 0 ? fake.id[0] : 0;
}

void hv_id_registers(uint64_t ret_id[GODWIT_ID_COUNT])
{
    memcpy(ret_id, fake.id, sizeof(fake.id));
}

void vtimer_recompute(struct vcpu *v)
{
    fake.recomputed++;
}

/* Time. */
uint64_t time_counter(void)
{
    return fake.counter;
}

uint64_t time_frequency_hz(void)
{
    return fake.cntfrq_hz;
}

uint64_t time_now_ns(void)
{
    return fake.now_ns;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire, .cpu = -1};
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    timer->cpu = (int)fake_cpu;
    fake.armed = timer;
}

void timer_cancel(struct timer *timer)
{
    timer->cpu = -1;
    if (fake.armed == timer) {
        fake.armed = NULL;
    }
    if (fake.on_cancel != NULL) {
        void (*act)(void) = fake.on_cancel;

        fake.on_cancel = NULL;
        act();
    }
}

void fake_advance(uint64_t ns)
{
    fake.now_ns += ns;
    struct timer *timer = fake.armed;
    if (timer && timer->deadline_ns <= fake.now_ns) {
        fake.armed = NULL;
        timer->cpu = -1;
        timer->fire(timer);
    }
}

/* CPUs and the scheduler. */
struct spinlock fake_sched_lock;

struct vcpu *vcpu_current(void)
{
    return fake.cpus[fake_cpu].current;
}

void cpu_kick(unsigned id)
{
    fake.cpus[id].kicked = true;
}

bool sched_vcpu_on(struct vcpu *v)
{
    bool was_off = v->state == VCPU_OFF;
    v->state = was_off ? VCPU_RUNNABLE : v->state;
    return was_off;
}

void sched_wake(struct vcpu *v)
{
    assert_false(spin_is_locked(&v->vgic.lock));
    assert_false(spin_is_locked(&v->domain->vgic.lock));
    fake.wakes++;
    spin_lock(&fake_sched_lock);
    if (v->state == VCPU_BLOCKED) {
        v->state = VCPU_RUNNABLE;
    }
    spin_unlock(&fake_sched_lock);
}

/* Physical interrupts. */
static const struct gic_info info = {.spi_count = 288, .maintenance_intid = IRQ_PPI_MAINT};

const struct gic_info *gic_info(void)
{
    return &info;
}

void irq_enable(uint32_t intid)
{
    fake.physical[intid].enabled = true;
}

void irq_disable(uint32_t intid)
{
    fake.physical[intid].enabled = false;
}

void irq_set_edge(uint32_t intid, bool edge)
{
    fake.physical[intid].edge = edge;
}

void irq_set_target(uint32_t intid, unsigned cpu)
{
}

void irq_set_active(uint32_t intid, bool active)
{
    fake.physical[intid].active = active;
}

bool irq_is_pending(uint32_t intid)
{
    return fake.physical[intid].pending || fake.physical[intid].line;
}

void irq_deactivate(uint32_t intid)
{
    assert_true(fake.physical[intid].active);
    fake.physical[intid].active = false;
}

void irq_set_handler(uint32_t intid, irq_handler_fn handler, void *context)
{
    fake.handlers[intid] = handler;
    fake.contexts[intid] = context;
}

/* EL2 runs with interrupts masked: they are taken when it is left. */
bool fake_take_physical(void)
{
    bool any = false;
    for (uint32_t intid = 0; intid < FAKE_INTIDS; intid++) {
        struct fake_physical *irq = &fake.physical[intid];
        if (irq->line && irq->enabled && !irq->active && fake.handlers[intid]) {
            any = true;
            irq->active = true;
            if (fake.handlers[intid](intid, fake.contexts[intid]) == IRQ_DONE) {
                irq->active = false;
            }
        }
    }
    return any;
}

void fake_physical_line(uint32_t intid, bool level)
{
    fake.physical[intid].line = level;
    if (vcpu_current()) {
        fake_take_physical();
    }
}
