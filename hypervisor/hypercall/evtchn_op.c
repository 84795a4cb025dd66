/* SPDX-License-Identifier: MIT */
/* event_channel_op: decodes, checks who may, and binds. FIFO operations are refused (-ENOSYS). */
#include <hv/guest_access.h>

#include "call.h"
#include "evtchn.h"

union evtchn_args {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
};

static long op_alloc_unbound(struct hcall *call, union evtchn_args *args)
{
    struct evtchn_alloc_unbound *op = &args->alloc_unbound;
    struct evtchn *channel;
    struct domain *d;
    long error = hcall_managed_get(call, op->dom, &d);

    if (error != 0) {
        return error;
    }
    spin_lock(&evtchn_lock);
    error = evtchn_port_alloc(d, &op->port, &channel);
    if (error == 0) {
        channel->state = EVTCHN_UNBOUND;
        channel->remote_domid = op->remote_dom == DOMID_SELF ? call->d->id : op->remote_dom;
    }
    spin_unlock(&evtchn_lock);
    domain_put(d);
    return error;
}

static long bind_interdomain_locked(struct domain *local, struct domain *remote,
                                    struct evtchn_bind_interdomain *op)
{
    struct evtchn *channel, *peer = evtchn_port(remote, op->remote_port);
    int error;

    if (peer == NULL || peer->state != EVTCHN_UNBOUND || peer->remote_domid != local->id) {
        return -EINVAL;
    }
    error = evtchn_port_alloc(local, &op->local_port, &channel);
    if (error != 0) {
        return error;
    }
    *channel = (struct evtchn){.state = EVTCHN_INTERDOMAIN,
                               .remote_domid = remote->id,
                               .remote = remote,
                               .remote_port = op->remote_port};
    peer->state = EVTCHN_INTERDOMAIN;
    peer->remote_domid = local->id;
    peer->remote = local;
    peer->remote_port = op->local_port;
    /* What was sent before anybody listened may be lost: the new listener looks once. */
    evtchn_set_pending(local, 0, op->local_port);
    return 0;
}

static long op_bind_interdomain(struct hcall *call, union evtchn_args *args)
{
    struct evtchn_bind_interdomain *op = &args->bind_interdomain;
    struct domain *remote = hcall_domain_get(call, op->remote_dom);
    long error;

    if (remote == NULL) {
        return -ESRCH;
    }
    spin_lock(&evtchn_lock);
    error = bind_interdomain_locked(call->d, remote, op);
    spin_unlock(&evtchn_lock);
    domain_put(remote);
    return error;
}

static long op_bind_virq(struct hcall *call, union evtchn_args *args)
{
    struct evtchn_bind_virq *op = &args->bind_virq;
    struct domain *d = call->d;
    struct evtchn *channel;
    long error;

    if (op->virq >= EVTCHN_VIRQS || (evtchn_virq_is_global(op->virq) && op->vcpu != 0)) {
        return -EINVAL;
    }
    if (hcall_vcpu(d, op->vcpu) == NULL) {
        return -ENOENT;
    }
    spin_lock(&evtchn_lock);
    if (d->evtchn->virq_port[op->vcpu][op->virq] != 0) {
        error = -EEXIST;
    } else {
        error = evtchn_port_alloc(d, &op->port, &channel);
    }
    if (error == 0) {
        channel->state = EVTCHN_VIRQ;
        channel->virq = op->virq;
        channel->vcpu = op->vcpu;
        d->evtchn->virq_port[op->vcpu][op->virq] = (uint16_t)op->port;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

static long op_bind_ipi(struct hcall *call, union evtchn_args *args)
{
    struct evtchn_bind_ipi *op = &args->bind_ipi;
    struct evtchn *channel;
    long error;

    if (hcall_vcpu(call->d, op->vcpu) == NULL) {
        return -ENOENT;
    }
    spin_lock(&evtchn_lock);
    error = evtchn_port_alloc(call->d, &op->port, &channel);
    if (error == 0) {
        channel->state = EVTCHN_IPI;
        channel->vcpu = op->vcpu;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

/* A port in use that is the guest's own to operate on; NULL: it is not. evtchn_lock is held. */
static struct evtchn *guest_port(struct domain *d, uint32_t port)
{
    struct evtchn *channel = evtchn_port(d, port);

    return channel == NULL || channel->state == EVTCHN_FREE || channel->notify != NULL ? NULL
                                                                                       : channel;
}

static long op_close(struct hcall *call, union evtchn_args *args)
{
    uint32_t port = args->close.port;
    long error = -EINVAL;

    spin_lock(&evtchn_lock);
    if (guest_port(call->d, port) != NULL) {
        evtchn_port_close(call->d, port);
        error = 0;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

static long op_send(struct hcall *call, union evtchn_args *args)
{
    return evtchn_send(call->d, args->send.port);
}

static long op_status(struct hcall *call, union evtchn_args *args)
{
    static const uint32_t statuses[] = {EVTCHNSTAT_closed, EVTCHNSTAT_unbound,
                                        EVTCHNSTAT_interdomain, EVTCHNSTAT_virq, EVTCHNSTAT_ipi};
    struct evtchn_status *op = &args->status;
    struct evtchn channel = {.state = EVTCHN_FREE};
    struct evtchn *found;
    struct domain *d;
    long error = hcall_managed_get(call, op->dom, &d);

    if (error != 0) {
        return error;
    }
    spin_lock(&evtchn_lock);
    found = evtchn_port(d, op->port);
    if (found != NULL) {
        channel = *found;
    }
    spin_unlock(&evtchn_lock);
    domain_put(d);
    if (op->port == 0 || op->port >= EVTCHN_PORTS) {
        return -EINVAL;
    }
    op->status = statuses[channel.state];
    op->vcpu = channel.vcpu;
    if (channel.state == EVTCHN_UNBOUND) {
        op->u.unbound.dom = channel.remote_domid;
    } else if (channel.state == EVTCHN_INTERDOMAIN) {
        op->u.interdomain.dom = channel.remote_domid;
        op->u.interdomain.port = channel.remote_port;
    } else if (channel.state == EVTCHN_VIRQ) {
        op->u.virq = channel.virq;
    }
    return 0;
}

static long op_bind_vcpu(struct hcall *call, union evtchn_args *args)
{
    const struct evtchn_bind_vcpu *op = &args->bind_vcpu;
    struct evtchn *channel;
    long error = 0;

    if (hcall_vcpu(call->d, op->vcpu) == NULL) {
        return -ENOENT;
    }
    spin_lock(&evtchn_lock);
    channel = guest_port(call->d, op->port);
    if (channel == NULL || channel->state == EVTCHN_IPI ||
        (channel->state == EVTCHN_VIRQ && !evtchn_virq_is_global(channel->virq))) {
        error = -EINVAL;
    } else {
        channel->vcpu = op->vcpu;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

static long op_unmask(struct hcall *call, union evtchn_args *args)
{
    uint32_t port = args->unmask.port;
    struct evtchn *channel;
    long error = -EINVAL;

    spin_lock(&evtchn_lock);
    channel = evtchn_port(call->d, port);
    if (channel != NULL && channel->state != EVTCHN_FREE) {
        evtchn_unmask_port(call->d, channel->vcpu, port);
        error = 0;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

static long op_reset(struct hcall *call, union evtchn_args *args)
{
    const struct evtchn_reset *op = &args->reset;
    struct domain *d;
    long error = hcall_managed_get(call, op->dom, &d);

    if (error != 0) {
        return error;
    }
    for (uint32_t port = 1; port < EVTCHN_PORTS; port++) {
        spin_lock(&evtchn_lock);
        if (guest_port(d, port) != NULL) {
            evtchn_port_close(d, port);
        }
        spin_unlock(&evtchn_lock);
    }
    domain_put(d);
    return 0;
}

#define ENTRY(name, returns) [EVTCHNOP_##name] = {sizeof(struct evtchn_##name), returns, op_##name}

static const struct {
    size_t bytes;   /* of the argument; 0: not an operation of ours */
    bool copy_back; /* it goes back to the caller */
    long (*run)(struct hcall *call, union evtchn_args *args);
} operations[] = {
    ENTRY(alloc_unbound, true), ENTRY(bind_interdomain, true), ENTRY(bind_virq, true),
    ENTRY(bind_ipi, true),      ENTRY(close, false),           ENTRY(send, false),
    ENTRY(status, true),        ENTRY(bind_vcpu, false),       ENTRY(unmask, false),
    ENTRY(reset, false),
};

long hcall_event_channel_op(struct hcall *call)
{
    uint32_t op = (uint32_t)call->arg[0];
    union evtchn_args args;
    bool copy_back;
    size_t bytes;
    long error;

    if (op >= sizeof(operations) / sizeof(operations[0]) || operations[op].bytes == 0) {
        return -ENOSYS;
    }
    bytes = operations[op].bytes;
    copy_back = operations[op].copy_back;
    if (copy_from_guest(&args, call->arg[1], bytes) != 0) {
        return -EFAULT;
    }
    /* Binding cannot be undone once the guest knows the port, so the way back is tried first. */
    if (copy_back && probe_guest_write(call->arg[1], bytes) != 0) {
        return -EFAULT;
    }
    error = operations[op].run(call, &args);
    if (error == 0 && copy_back && copy_to_guest(call->arg[1], &args, bytes) != 0) {
        return -EFAULT;
    }
    return error;
}
