/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

#include <core/dirty_log.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/time.h>

struct fake_host fake;
struct domain *control_domain;
static struct vcpu *current;

/* A lock taken twice in one thread never comes free: say so at once. */
void spin_lock(struct spinlock *lock)
{
    assert_false(lock->held);
    lock->held = 1;
}

void spin_unlock(struct spinlock *lock)
{
    assert_true(lock->held);
    lock->held = 0;
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

void *frame_alloc_hv(unsigned order)
{
    if (fake.out_of_memory) {
        return NULL;
    }
    fake.allocated++;
    return calloc(1, PAGE_SIZE_BYTES << order);
}

void frame_free_hv(void *va, unsigned order)
{
    assert_non_null(va);
    fake.allocated--;
    free(va);
}

void *pa_to_va(pa_t pa)
{
    return (void *)(uintptr_t)pa.addr;
}

struct vcpu *vcpu_current(void)
{
    return current;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = id == fake.control->id ? fake.control : NULL;

    if (id == fake.guest->id) {
        d = fake.guest;
    }
    if (d != NULL) {
        d->refcount++;
    }
    return d;
}

struct domain *domain_get_next(domid_t first)
{
    if (first <= fake.control->id) {
        return domain_get(fake.control->id);
    }
    return first <= fake.guest->id ? domain_get(fake.guest->id) : NULL;
}

void domain_put(struct domain *d)
{
    d->refcount--;
}

uint64_t time_now_ns(void)
{
    return fake.now_ns;
}

bool cpu_preempt_pending(void)
{
    fake.preempt_asked++;
    return fake.preempt_after != 0 && fake.preempt_asked >= fake.preempt_after;
}

void vgic_set_line(struct domain *d, struct vcpu *v, uint32_t intid, bool level)
{
    assert_int_equal(intid, d->evtchn_upcall_ppi);
    if (fake.before_line) {
        void (*meanwhile)(bool) = fake.before_line;

        fake.before_line = NULL;
        meanwhile(level);
    }
    if (d == fake.control) {
        fake.upcall_line[v->id] = level;
    }
}

void sched_wake(struct vcpu *v)
{
    fake.wakes++;
}

static struct domain *make_domain(domid_t id, bool is_control, unsigned vcpus)
{
    struct domain *d = calloc(1, sizeof(*d));

    d->id = id;
    d->is_control = is_control;
    d->refcount = 1;
    d->max_vcpus = vcpus;
    d->evtchn_upcall_ppi = 31;
    for (unsigned i = 0; i < vcpus; i++) {
        d->vcpus[i] = calloc(1, sizeof(struct vcpu));
        d->vcpus[i]->domain = d;
        d->vcpus[i]->id = i;
    }
    assert_int_equal(evtchn_domain_init(d), 0);
    return d;
}

static void free_domain(struct domain *d)
{
    assert_int_equal(d->refcount, 1); /* every reference taken was dropped */
    assert_false(d->lock.held);
    evtchn_domain_free(d);
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        free(d->vcpus[i]);
    }
    free(d);
}

void fake_reset(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.copies_until_fault = -1;
    fake.words_per_call = DIRTY_LOG_WORDS;
    fake.control = make_domain(0, true, FAKE_CONTROL_VCPUS);
    fake.guest = make_domain(5, false, 1);
    control_domain = fake.control;
    fake_run_as(fake.control, 0);
}

void fake_end(void)
{
    free_domain(fake.guest);
    free_domain(fake.control);
    assert_int_equal(fake.allocated, 0);
}

struct vcpu *fake_run_as(struct domain *d, unsigned vcpu)
{
    current = d->vcpus[vcpu];
    return current;
}

int64_t fake_hvc_once(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, bool *ret_again)
{
    current->regs.x[16] = nr;
    current->regs.x[0] = a0;
    current->regs.x[1] = a1;
    current->regs.x[2] = a2;
    current->regs.pc = 0x1004;
    hypercall_dispatch(current);
    *ret_again = current->regs.pc == 0x1000;
    return (int64_t)current->regs.x[0];
}

int64_t fake_continue(void)
{
    while (current->regs.pc == 0x1000) {
        fake.preempt_asked = 0;
        current->regs.pc = 0x1004;
        hypercall_dispatch(current);
    }
    return (int64_t)current->regs.x[0];
}

int64_t fake_hvc(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
    bool again;

    fake_hvc_once(nr, a0, a1, a2, &again);
    return fake_continue();
}
