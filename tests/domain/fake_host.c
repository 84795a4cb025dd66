/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

#include <core/port.h>
#include <core/s2.h>
#include <hv/console.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/p2m.h>
#include <hv/psci_host.h>
#include <hv/vtimer.h>
#include <port/arm64.h>
#include <printf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fake_host fake;
struct cpu cpus[CPU_MAX];

void fake_reset(unsigned cpu_count)
{
    memset(&fake, 0, sizeof(fake));
    memset(cpus, 0, sizeof(cpus));
    fake.cpu_count = cpu_count;
    fake.now_ns = 1000000000;
    for (unsigned id = 0; id < CPU_MAX; id++) {
        cpus[id].id = id;
    }
}

struct cpu *this_cpu(void)
{
    return &cpus[fake.cpu];
}

unsigned cpu_count(void)
{
    return fake.cpu_count;
}

void cpu_kick(unsigned id)
{
    assert_int_equal(fake.locks_held, 0);
    fake.kicked |= UINT64_C(1) << id;
    cpus[id].need_resched = true;
}

struct vcpu *vcpu_current(void)
{
    return cpus[fake.cpu].current;
}

void spin_lock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 0); /* one thread: it would wait for ever */
    lock->held = 1;
    fake.locks_held++;
}

bool spin_trylock(struct spinlock *lock)
{
    if (lock->held) {
        return false;
    }
    spin_lock(lock);
    return true;
}

void spin_unlock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 1);
    lock->held = 0;
    fake.locks_held--;
}

void port_cpu_relax(void)
{
    fail_msg("waits for something that nobody can do");
}

uint64_t time_now_ns(void)
{
    return fake.now_ns;
}

uint64_t time_counter(void)
{
    return fake.now_ns / 16;
}

/* A guest's own timers are tested where there are vCPUs that take them: guests/control/state.c. */
void vtimer_recompute(struct vcpu *v)
{
    (void)v;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire, .cpu = -1};
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    assert_in_range(fake.locks_held, 0, 1); /* the scheduler's may be */
    timer_cancel(timer);
    timer->cpu = (int)fake.cpu;
    timer->deadline_ns = deadline_ns;
    timer->next = fake.timers;
    fake.timers = timer;
}

void timer_cancel(struct timer *timer)
{
    for (struct timer **link = &fake.timers; *link != NULL; link = &(*link)->next) {
        if (*link == timer) {
            *link = timer->next;
            timer->cpu = -1;
            return;
        }
    }
}

void fake_run_timers(void)
{
    struct timer *timer = fake.timers;

    while (timer != NULL) {
        if (timer->cpu == (int)fake.cpu && fake.now_ns >= timer->deadline_ns) {
            timer_cancel(timer);
            timer->fire(timer);
            timer = fake.timers; /* it may have changed */
        } else {
            timer = timer->next;
        }
    }
}

bool fake_has_timer(unsigned cpu)
{
    for (const struct timer *timer = fake.timers; timer != NULL; timer = timer->next) {
        if (timer->cpu == (int)cpu && timer->deadline_ns > fake.now_ns) {
            return true;
        }
    }
    return false;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
    return ticks * 16;
}

void s2_stats_cpu(const struct s2_vm *vm, unsigned cpu, uint64_t *ret_faults,
                  uint64_t *ret_first_writes)
{
    *ret_faults = fake.faults[cpu];
    *ret_first_writes = fake.first_writes[cpu];
}

bool vgic_has_pending(struct vcpu *v)
{
    return fake.pending;
}

void evtchn_update_upcall(struct vcpu *v)
{
}

void vcpu_reset(struct vcpu *v, uint64_t pc, uint64_t context_id)
{
    v->regs.pc = pc;
    v->regs.x[0] = context_id;
    v->initialised = true;
}

void vgic_vcpu_init(struct vcpu *v)
{
}

void vgic_domain_free(struct domain *d)
{
}

void vtimer_vcpu_init(struct vcpu *v)
{
}

void vtimer_vcpu_stop(struct vcpu *v)
{
}

void vpl011_free(struct domain *d)
{
}

void vpl061_free(struct domain *d)
{
}

void *frame_alloc_hv(unsigned order)
{
    if (fake.fail_alloc > 0 && --fake.fail_alloc == 0) {
        return NULL;
    }
    void *va = aligned_alloc(4096, (size_t)4096 << order);
    memset(va, 0, (size_t)4096 << order);
    fake.pages += 1u << order;
    return va;
}

void frame_free_hv(void *va, unsigned order)
{
    fake.pages -= 1u << order;
    free(va);
}

void frame_put(pa_t pa)
{
}

unsigned port_s2_ipa_bits_max(void)
{
    return 44;
}

void port_tlb_flush_vmid(uint64_t root_register)
{
    fake.flushes++;
    fake.flushed_root = root_register;
}

int s2_init(struct s2_vm *vm, const struct s2_config *config)
{
    void *root = frame_alloc_hv(0);

    if (!root) {
        return -CORE_ENOMEM;
    }
    vm->root = pa_make((uintptr_t)root);
    vm->vmid = config->vmid;
    vm->ipa_bits = config->ipa_bits;
    vm->root_register = (uint64_t)config->vmid << 48;
    return 0;
}

void s2_destroy(struct s2_vm *vm)
{
    frame_free_hv((void *)(uintptr_t)vm->root.addr, 0);
}

uint64_t s2_root_register(const struct s2_vm *vm)
{
    return vm->root_register;
}

int evtchn_domain_init(struct domain *d)
{
    d->evtchn = frame_alloc_hv(0);
    return d->evtchn ? 0 : -CORE_ENOMEM;
}

void evtchn_domain_free(struct domain *d)
{
    frame_free_hv(d->evtchn, 0);
    d->evtchn = NULL;
}

void evtchn_send_global_virq(uint32_t virq)
{
    assert_int_equal(virq, VIRQ_DOM_EXC);
    assert_int_equal(fake.locks_held, 0);
    fake.dom_exc++;
}

int hypercall_domain_kill_step(struct domain *d)
{
    return fake.kill_steps && --fake.kill_steps ? -CORE_ERESTART : 0;
}

int p2m_relinquish_step(struct domain *d, uint64_t *cursor_gfn)
{
    return fake.relinquish_steps && --fake.relinquish_steps ? -CORE_ERESTART : 0;
}

_Noreturn void host_power_off(void)
{
    exit(1);
}

_Noreturn void host_reset(void)
{
    exit(1);
}

void printk(const char *format, ...)
{
}

int vsnprintk(char *buffer, size_t bytes, const char *format, va_list args)
{
    return vsnprintf(buffer, bytes, format, args);
}

_Noreturn void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}
