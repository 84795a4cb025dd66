/* SPDX-License-Identifier: MIT */
/* sched_op: a vCPU gives up its CPU, waits for events, or shuts a domain down. */
#include <hv/guest_access.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <stddef.h>
#include <xen/sched.h>

#include "call.h"
#include "evtchn.h"

/* Keeps the list on the stack; Xen allows more only to guests with many vCPUs. */
#define POLL_PORTS_MAX 128u

static void poll_timeout(struct timer *timer)
{
    struct vcpu *v = (struct vcpu *)(void *)((char *)timer - offsetof(struct vcpu, singleshot));

    sched_wake(v);
}

/* 1: a port is pending, 0: none, or -errno. evtchn_lock is held. */
static int any_pending(struct domain *d, const evtchn_port_t *ports, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct evtchn *channel = evtchn_port(d, ports[i]);

        if (channel == NULL || channel->state == EVTCHN_FREE) {
            return -EINVAL;
        }
        if (evtchn_is_pending(d, ports[i])) {
            return 1;
        }
    }
    return 0;
}

static long op_poll(struct hcall *call)
{
    evtchn_port_t ports[POLL_PORTS_MAX];
    struct vcpu *v = call->v;
    struct sched_poll poll;
    int pending;

    if (copy_from_guest(&poll, call->arg[1], sizeof(poll)) != 0) {
        return -EFAULT;
    }
    if (poll.nr_ports > POLL_PORTS_MAX) {
        return -EINVAL;
    }
    if (copy_from_guest(ports, poll.ports.q, poll.nr_ports * sizeof(ports[0])) != 0) {
        return -EFAULT;
    }
    timer_cancel(&v->singleshot);
    spin_lock(&evtchn_lock);
    pending = any_pending(call->d, ports, poll.nr_ports);
    if (pending == 0) {
        if (poll.timeout != 0) {
            timer_init(&v->singleshot, poll_timeout);
            timer_set(&v->singleshot, poll.timeout);
        }
        /* Blocked before the lock is dropped: a sender that comes next finds a vCPU to wake. */
        call->d->evtchn->polling_vcpus |= UINT64_C(1) << v->id;
        sched_block_current();
    }
    spin_unlock(&evtchn_lock);
    return pending < 0 ? pending : 0;
}

static long op_shutdown(struct hcall *call)
{
    struct sched_shutdown request;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    domain_shutdown(call->d, (uint8_t)request.reason);
    return 0;
}

static long op_remote_shutdown(struct hcall *call)
{
    struct sched_remote_shutdown request;
    struct domain *d;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    d = domain_get(request.domain_id);
    if (d == NULL) {
        return -ESRCH;
    }
    if (!call->d->is_control) {
        domain_put(d);
        return -EPERM;
    }
    domain_shutdown(d, (uint8_t)request.reason);
    domain_put(d);
    return 0;
}

long hcall_sched_op(struct hcall *call)
{
    switch ((uint32_t)call->arg[0]) {
    case SCHEDOP_yield:
        sched_yield_current();
        return 0;
    case SCHEDOP_block:
        sched_block_current();
        return 0;
    case SCHEDOP_shutdown:
        return op_shutdown(call);
    case SCHEDOP_poll:
        return op_poll(call);
    case SCHEDOP_remote_shutdown:
        return op_remote_shutdown(call);
    default:
        return -ENOSYS;
    }
}
