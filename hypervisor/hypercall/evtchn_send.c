/* SPDX-License-Identifier: MIT */
/* Who sends events: guests to each other, the hypervisor (VIRQs), and its own ends (vuart). */
#include <hv/errno.h>

#include "evtchn.h"

bool evtchn_virq_is_global(uint32_t virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

/* A port that its domain may send on: bound to another, waiting for one (then nothing happens), an
 * IPI. */
static bool may_send(const struct evtchn *channel)
{
    return channel != NULL && channel->notify == NULL &&
           (channel->state == EVTCHN_INTERDOMAIN || channel->state == EVTCHN_UNBOUND ||
            channel->state == EVTCHN_IPI);
}

int evtchn_send(struct domain *d, uint32_t port)
{
    void (*notify)(struct domain *) = NULL;
    domid_t remote_id = DOMID_INVALID;
    struct evtchn *channel, *peer;
    int error = 0;

    spin_lock(&evtchn_lock);
    channel = evtchn_port(d, port);
    if (!may_send(channel)) {
        error = -EINVAL;
    } else if (channel->state == EVTCHN_INTERDOMAIN) {
        peer = evtchn_port(channel->remote, channel->remote_port);
        notify = peer->notify;
        remote_id = channel->remote->id;
        if (notify == NULL) {
            evtchn_set_pending(channel->remote, peer->vcpu, channel->remote_port);
        }
    } else if (channel->state == EVTCHN_IPI) {
        evtchn_set_pending(d, channel->vcpu, port);
    }
    spin_unlock(&evtchn_lock);
    if (notify != NULL) { /* without the lock: it takes a device's lock and may notify back */
        struct domain *remote = domain_get(remote_id);

        if (remote != NULL) {
            notify(remote);
            domain_put(remote);
        }
    }
    return error;
}

void evtchn_send_vcpu_virq(struct vcpu *v, uint32_t virq)
{
    struct domain *d = v->domain;
    uint16_t port = 0;

    spin_lock(&evtchn_lock);
    if (d->evtchn != NULL) {
        port = d->evtchn->virq_port[evtchn_virq_slot(virq, v->id)][virq];
    }
    if (port != 0) {
        evtchn_set_pending(d, evtchn_port(d, port)->vcpu, port);
    }
    spin_unlock(&evtchn_lock);
}

void evtchn_send_global_virq(uint32_t virq)
{
    struct domain *d = control_domain;

    if (d == NULL || d->evtchn == NULL || virq >= EVTCHN_VIRQS || d->vcpus[0] == NULL) {
        return;
    }
    evtchn_send_vcpu_virq(d->vcpus[0], virq);
}

int evtchn_alloc_xen_port(struct domain *d, domid_t remote, void (*notify)(struct domain *d),
                          uint32_t *ret_port)
{
    struct evtchn *channel;
    int error;

    spin_lock(&evtchn_lock);
    error = evtchn_port_alloc(d, ret_port, &channel);
    if (error == 0) {
        channel->state = EVTCHN_UNBOUND;
        channel->remote_domid = remote;
        channel->notify = notify;
    }
    spin_unlock(&evtchn_lock);
    return error;
}

void evtchn_notify_xen_port(struct domain *d, uint32_t port)
{
    struct evtchn *channel, *peer;

    spin_lock(&evtchn_lock);
    channel = evtchn_port(d, port);
    if (channel != NULL && channel->state == EVTCHN_INTERDOMAIN) {
        peer = evtchn_port(channel->remote, channel->remote_port);
        evtchn_set_pending(channel->remote, peer->vcpu, channel->remote_port);
    }
    spin_unlock(&evtchn_lock);
}

void evtchn_close_xen_port(struct domain *d, uint32_t port)
{
    spin_lock(&evtchn_lock);
    evtchn_port_close(d, port);
    spin_unlock(&evtchn_lock);
}
