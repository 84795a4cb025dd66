/* SPDX-License-Identifier: MIT */
/*
 * Event channels, 2-level ABI: 4096 ports per domain, a pending and a mask bit for each in
 * shared_info, a selector word and an upcall flag per vCPU.
 *
 * One lock for all domains protects the tables of ports: every operation on a pair of ports is O(1)
 * under it. Bits in shared pages are changed by atomics, because guests change them too.
 * Lock order: evtchn lock, then vGIC locks, the scheduler's, and stage-2 read locks (dirty marks).
 */
#ifndef HYPERCALL_EVTCHN_H
#define HYPERCALL_EVTCHN_H

#include <hv/domain.h>
#include <hv/evtchn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/event_channel.h>

#include "hypercall_domain.h"

#define EVTCHN_PORTS        4096u
#define EVTCHN_BUCKET_PORTS 128u /* one page of records */
#define EVTCHN_BUCKETS      (EVTCHN_PORTS / EVTCHN_BUCKET_PORTS)
#define EVTCHN_VIRQS        24u

enum evtchn_state {
    EVTCHN_FREE,
    EVTCHN_UNBOUND,
    EVTCHN_INTERDOMAIN,
    EVTCHN_VIRQ,
    EVTCHN_IPI,
};

struct evtchn {
    uint8_t state;
    uint16_t remote_domid;            /* UNBOUND: who may bind; INTERDOMAIN: who has bound */
    uint32_t vcpu;                    /* that is notified */
    uint32_t remote_port;             /* INTERDOMAIN */
    uint32_t virq;                    /* VIRQ */
    struct domain *remote;            /* INTERDOMAIN: its ports outlive the binding */
    void (*notify)(struct domain *d); /* not NULL: this end belongs to the hypervisor */
};

struct evtchn_domain {
    struct evtchn *buckets[EVTCHN_BUCKETS];
    uint64_t polling_vcpus; /* blocked in SCHEDOP_poll */
    void *grant_frames[GRANT_FRAMES_MAX];
    uint16_t virq_port[DOMAIN_VCPUS_MAX][EVTCHN_VIRQS]; /* 0: not bound */
};

extern struct spinlock evtchn_lock;

/* VIRQs of the whole domain stand in vCPU 0's row, whichever vCPU is told. */
bool evtchn_virq_is_global(uint32_t virq);

static inline unsigned evtchn_virq_slot(uint32_t virq, uint32_t vcpu)
{
    return evtchn_virq_is_global(virq) ? 0 : vcpu;
}

/* EVTCHNOP_send by d. */
int evtchn_send(struct domain *d, uint32_t port);
/* A VIRQ of one vCPU (timer); dropped if it is not bound. */
void evtchn_send_vcpu_virq(struct vcpu *v, uint32_t virq);

/* All below: evtchn_lock is held. */

/* The record of a port in use or free; NULL: never allocated, or out of range. Port 0 never exists.
 */
struct evtchn *evtchn_port(const struct domain *d, uint32_t port);
/* Finds a free port and its record. -ENOSPC, -ENOMEM. */
int evtchn_port_alloc(struct domain *d, uint32_t *ret_port, struct evtchn **ret_channel);
/* Unbinds both ends and frees the port; pending bit cleared. */
void evtchn_port_close(struct domain *d, uint32_t port);

/* Sets the port pending and tells its vCPU unless it is masked or was pending. */
void evtchn_set_pending(struct domain *d, uint32_t vcpu_id, uint32_t port);
/* The guest unmasks: a pending event is delivered now. */
void evtchn_unmask_port(struct domain *d, uint32_t vcpu_id, uint32_t port);
void evtchn_clear_pending(struct domain *d, uint32_t port);
bool evtchn_is_pending(struct domain *d, uint32_t port);

/* VCPUOP_register_vcpu_info took effect: whatever was pending is looked at again. */
void evtchn_resend_all(struct vcpu *v);

#endif
