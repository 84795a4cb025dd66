/* SPDX-License-Identifier: MIT */
/*
 * Between the files of domctl. A handler gets the caller's structure as read, checks its part,
 * acts, and says whether the structure goes back. The target is referenced while it runs; no lock
 * is held.
 */
#ifndef HYPERCALL_DOMCTL_H
#define HYPERCALL_DOMCTL_H

#include <stdint.h>
#include <xen/domctl.h>

#include "call.h"

/* Interface versions by release: 4.17, 4.18, 4.19 to 4.21, 4.22 and later. */
#define DOMCTL_VERSION_417 0x15u
#define DOMCTL_VERSION_418 0x16u
#define DOMCTL_VERSION_419 0x17u
#define DOMCTL_VERSION_422 0x18u

struct domctl {
    struct hcall *call;
    struct xen_domctl op;
    struct domain *d; /* the target; NULL for createdomain */
    bool copy_back;
};

typedef long (*domctl_fn)(struct domctl *domctl);

long domctl_create(struct domctl *domctl);
long domctl_destroy(struct domctl *domctl);
long domctl_pause(struct domctl *domctl);
long domctl_unpause(struct domctl *domctl);
long domctl_resume(struct domctl *domctl);
long domctl_max_mem(struct domctl *domctl);
long domctl_max_vcpus(struct domctl *domctl);
long domctl_set_handle(struct domctl *domctl);
long domctl_set_address_size(struct domctl *domctl);
long domctl_get_info(struct domctl *domctl);
long domctl_set_vcpu_context(struct domctl *domctl);
long domctl_get_vcpu_context(struct domctl *domctl);
long domctl_get_vcpu_info(struct domctl *domctl);
long domctl_get_vcpu_affinity(struct domctl *domctl);
long domctl_shadow_op(struct domctl *domctl);
long domctl_get_hvm_context(struct domctl *domctl);
long domctl_set_hvm_context(struct domctl *domctl);
long domctl_get_hvm_context_partial(struct domctl *domctl);
long domctl_get_page_frame_info(struct domctl *domctl);
long domctl_cache_flush(struct domctl *domctl);
long domctl_vuart_op(struct domctl *domctl);
long domctl_get_mempool_size(struct domctl *domctl);
long domctl_set_mempool_size(struct domctl *domctl);

/* What getdomaininfo and getdomaininfolist report. The layout is one from 4.17 to 4.23. */
void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *ret_info);

#endif
