/* SPDX-License-Identifier: MIT */
/* Event channels (2-level) as the rest of the hypervisor uses them. */
#ifndef HV_EVTCHN_H
#define HV_EVTCHN_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

struct domain;
struct vcpu;

int evtchn_domain_init(struct domain *d);
void evtchn_domain_free(struct domain *d);

/* VIRQs to the control domain (VIRQ_DOM_EXC, VIRQ_CONSOLE); dropped if nobody bound it. */
void evtchn_send_global_virq(uint32_t virq);
/* A port of d whose other end is the hypervisor (the vuart): allocate, signal, close. */
int evtchn_alloc_xen_port(struct domain *d, domid_t remote, void (*notify)(struct domain *d),
                          uint32_t *ret_port);
void evtchn_notify_xen_port(struct domain *d, uint32_t port);
void evtchn_close_xen_port(struct domain *d, uint32_t port);
/* Before entering v: sets the upcall PPI line to vcpu_info.evtchn_upcall_pending. */
void evtchn_update_upcall(struct vcpu *v);

#endif
