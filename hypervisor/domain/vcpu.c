/* SPDX-License-Identifier: MIT */
/* Making and freeing vCPUs. */
#include "alloc.h"
#include "sched_internal.h"

#include <hv/domain.h>
#include <hv/evtchn.h>
#include <stddef.h>

/* Aff0 counts to 15 only, as an SGI's target list does. */
#define VMPIDR_RES1       (UINT64_C(1) << 31)
#define VMPIDR_AFF0_VCPUS 16u

static uint64_t vmpidr_of(uint32_t id)
{
    return VMPIDR_RES1 | (id % VMPIDR_AFF0_VCPUS) | (id / VMPIDR_AFF0_VCPUS << 8);
}

/* What timer_cancel finds until somebody sets the timer for a purpose of his own. */
static void unused_fired(struct timer *timer)
{
}

struct vcpu *vcpu_create(struct domain *d, uint32_t id)
{
    struct vcpu *v = hv_alloc_bytes(sizeof(*v));

    if (!v) {
        return NULL;
    }
    v->domain = d;
    v->id = id;
    v->vmpidr = vmpidr_of(id);
    v->state = VCPU_OFF;
    v->state_entry_ns = time_now_ns();
    v->last_cpu = -1;
    atomic_store_explicit(&v->cpu, -1, memory_order_relaxed);
    vcpu_reset(v, 0, 0);
    v->initialised = false;
    vgic_vcpu_init(v);
    vtimer_vcpu_init(v);
    timer_init(&v->singleshot, unused_fired);
    timer_init(&v->throttle_end, sched_throttle_end);
    stall_vcpu_init(v);
    /* Release: who finds it, which takes no lock, finds it complete. Pairs with the dependency. */
    __atomic_store_n(&d->vcpus[id], v, __ATOMIC_RELEASE);
    return v;
}

void vcpu_free(struct vcpu *v)
{
    v->domain->vcpus[v->id] = NULL;
    hv_free_bytes(v, sizeof(*v));
}
