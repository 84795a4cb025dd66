/* SPDX-License-Identifier: MIT */
/* The table of ports of a domain, the two ends of a channel, and the domain's shared pages. */
#include <hv/errno.h>
#include <hv/frame.h>

#include "evtchn.h"
#include "wallclock.h"

_Static_assert(sizeof(struct evtchn) * EVTCHN_BUCKET_PORTS <= PAGE_SIZE_BYTES,
               "a bucket is a page");
_Static_assert(sizeof(struct evtchn_domain) <= PAGE_SIZE_BYTES, "one page per domain");
_Static_assert(EVTCHN_PORTS == EVTCHN_2L_NR_CHANNELS, "2-level ABI");

struct spinlock evtchn_lock;

static void free_page(void *page)
{
    if (page != NULL) {
        frame_free_hv(page, 0);
    }
}

void evtchn_domain_free(struct domain *d)
{
    struct evtchn_domain *events = d->evtchn;
    void *shared_info;

    if (events == NULL) {
        return;
    }
    for (uint32_t port = 1; port < EVTCHN_PORTS; port++) {
        spin_lock(&evtchn_lock);
        evtchn_port_close(d, port);
        spin_unlock(&evtchn_lock);
    }
    spin_lock(&evtchn_lock);
    d->evtchn = NULL; /* nobody finds a port from here on */
    shared_info = d->shared_info;
    d->shared_info = NULL;
    spin_unlock(&evtchn_lock);
    for (unsigned i = 0; i < EVTCHN_BUCKETS; i++) {
        free_page(events->buckets[i]);
    }
    for (unsigned i = 0; i < GRANT_FRAMES_MAX; i++) {
        free_page(events->grant_frames[i]);
    }
    free_page(shared_info);
    frame_free_hv(events, 0);
}

/* Stores a fresh page at *slot unless there is one. evtchn_lock is held. */
static void *page_at(void **slot)
{
    if (*slot == NULL) {
        *slot = frame_alloc_hv(0);
    }
    return *slot;
}

/* evtchn_lock is held. */
static void *shared_info_page(struct domain *d)
{
    bool fresh = d->shared_info == NULL;
    void *page = page_at(&d->shared_info);

    if (fresh && page != NULL) {
        wallclock_fill(page);
    }
    return page;
}

void *hypercall_domain_shared_info(struct domain *d)
{
    void *page;

    spin_lock(&evtchn_lock);
    page = shared_info_page(d);
    spin_unlock(&evtchn_lock);
    return page;
}

void *hypercall_domain_grant_frame(struct domain *d, unsigned index)
{
    void *page;

    spin_lock(&evtchn_lock);
    page = d->evtchn == NULL ? NULL : page_at(&d->evtchn->grant_frames[index]);
    spin_unlock(&evtchn_lock);
    return page;
}

/* The control domain will use events: with its pages paid at boot, a guest's cost shows alone. */
static int prepay(struct domain *d)
{
    struct evtchn *channel;
    uint32_t port;
    int error;

    spin_lock(&evtchn_lock);
    error = evtchn_port_alloc(d, &port, &channel); /* finds a free port, takes nothing but pages */
    spin_unlock(&evtchn_lock);
    return error;
}

int evtchn_domain_init(struct domain *d)
{
    d->evtchn = frame_alloc_hv(0);
    d->shared_info_gfn = GFN_NONE;
    if (d->evtchn == NULL) {
        return -ENOMEM;
    }
    return d->is_control ? prepay(d) : 0;
}

bool hypercall_domain_claim_shared_info(struct domain *d, uint64_t gfn)
{
    bool free;

    spin_lock(&d->lock);
    free = d->shared_info_gfn == GFN_NONE;
    if (free) {
        d->shared_info_gfn = gfn;
    }
    spin_unlock(&d->lock);
    return free;
}

void hypercall_domain_drop_shared_info(struct domain *d, uint64_t gfn)
{
    spin_lock(&d->lock);
    if (d->shared_info_gfn == gfn) {
        d->shared_info_gfn = GFN_NONE;
    }
    spin_unlock(&d->lock);
}

struct evtchn *evtchn_port(const struct domain *d, uint32_t port)
{
    struct evtchn *bucket;

    if (port == 0 || port >= EVTCHN_PORTS || d->evtchn == NULL) {
        return NULL;
    }
    bucket = d->evtchn->buckets[port / EVTCHN_BUCKET_PORTS];
    return bucket == NULL ? NULL : &bucket[port % EVTCHN_BUCKET_PORTS];
}

int evtchn_port_alloc(struct domain *d, uint32_t *ret_port, struct evtchn **ret_channel)
{
    if (d->evtchn == NULL) {
        return -EINVAL; /* the domain is gone */
    }
    if (shared_info_page(d) == NULL) {
        return -ENOMEM; /* so whoever finds a port in use finds its bits too */
    }
    for (uint32_t port = 1; port < EVTCHN_PORTS; port++) {
        struct evtchn **bucket = &d->evtchn->buckets[port / EVTCHN_BUCKET_PORTS];
        struct evtchn *channel;

        if (*bucket == NULL) {
            *bucket = frame_alloc_hv(0);
            if (*bucket == NULL) {
                return -ENOMEM;
            }
        }
        channel = &(*bucket)[port % EVTCHN_BUCKET_PORTS];
        if (channel->state == EVTCHN_FREE) {
            *ret_port = port;
            *ret_channel = channel;
            return 0;
        }
    }
    return -ENOSPC;
}

void evtchn_port_close(struct domain *d, uint32_t port)
{
    struct evtchn *channel = evtchn_port(d, port);

    if (channel == NULL || channel->state == EVTCHN_FREE) {
        return;
    }
    if (channel->state == EVTCHN_INTERDOMAIN) {
        struct evtchn *peer = evtchn_port(channel->remote, channel->remote_port);

        /* The peer waits for somebody to bind again, as it did before. */
        peer->state = EVTCHN_UNBOUND;
        peer->remote_domid = d->id;
        peer->remote = NULL;
    }
    if (channel->state == EVTCHN_VIRQ) {
        d->evtchn->virq_port[evtchn_virq_slot(channel->virq, channel->vcpu)][channel->virq] = 0;
    }
    evtchn_clear_pending(d, port);
    *channel = (struct evtchn){.state = EVTCHN_FREE};
}
