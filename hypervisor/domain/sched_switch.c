/* SPDX-License-Identifier: MIT */
/*
 * How a CPU changes vCPU. A CPU saves what it has loaded before it waits for the next one's old CPU
 * to do the same, so two CPUs that exchange their vCPUs do not wait for each other.
 */
#include "sched_internal.h"

#include <barrier.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/hypercall.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <port/inline.h>
#include <stddef.h>

struct vcpu *vcpu_current(void)
{
    return this_cpu()->current;
}

static void unload(struct cpu *cpu, struct vcpu *v)
{
    vgic_save(v);
    vtimer_save(v);
    arch_vcpu_save(v);
    stall_vcpu_unload(v);
    cpu->current = NULL;
    /* Release pairs with the acquires in load, sched_vcpu_is_stopped and lock_if_off. */
    atomic_store_explicit(&v->cpu, -1, memory_order_release);
}

static void load(struct cpu *cpu, struct vcpu *v)
{
    /* Acquire pairs with the release in unload on the CPU that ran it before. */
    while (atomic_load_explicit(&v->cpu, memory_order_acquire) >= 0) {
        port_cpu_relax();
    }
    atomic_store_explicit(&v->cpu, (int)cpu->id, memory_order_relaxed);
    cpu->current = v;
    stall_vcpu_load(v);
    arch_vcpu_load(v);
    vtimer_load(v);
    vgic_load(v);
    hypercall_vcpu_switched_in(v);
}

static struct vcpu *reschedule(struct cpu *cpu, struct vcpu *prev)
{
    /* Acquire pairs with the release in cpu_kick: what it was kicked for is seen below. */
    (void)atomic_exchange_explicit(&cpu->need_resched, false, memory_order_acquire);
    struct vcpu *next = sched_pick(cpu, prev);
    if (next != prev) {
        if (prev) {
            unload(cpu, prev);
        }
        if (next) {
            load(cpu, next);
        }
    }
    return next;
}

static bool need_resched(struct cpu *cpu)
{
    return atomic_load_explicit(&cpu->need_resched, memory_order_relaxed);
}

static void idle(struct cpu *cpu)
{
    uint64_t start_ns = time_now_ns();

    /* A kick from another CPU is an interrupt, which ends the WFI although it is masked. */
    if (!need_resched(cpu)) {
        dsb(sy); /* as the architecture asks before WFI */
        wfi();
    }
    irq_dispatch();
    cpu->idle_ns += time_now_ns() - start_ns;
}

struct vcpu *sched_exit_to_guest(struct vcpu *v)
{
    struct cpu *cpu = this_cpu();

    for (;;) {
        if (!v || need_resched(cpu)) {
            v = reschedule(cpu, v);
            if (!v) {
                idle(cpu);
                continue;
            }
        }
        if (atomic_load_explicit(&v->evtchn_upcall_check, memory_order_relaxed)) {
            evtchn_update_upcall(v);
        }
        if (atomic_load_explicit(&v->vgic.dirty, memory_order_relaxed)) {
            vgic_flush(v);
        }
        /* A kick that comes after this look is an interrupt, taken as soon as the guest runs. */
        if (!need_resched(cpu)) {
            return v;
        }
    }
}

_Noreturn void sched_run(void)
{
    arch_enter_guest(sched_exit_to_guest(NULL));
}
