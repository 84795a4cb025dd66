/* SPDX-License-Identifier: MIT */
/*
 * The pages that the hypervisor shares with a domain: shared_info and grant table frames.
 * Allocated when they are first asked for; freed with the domain.
 */
#ifndef HYPERCALL_HYPERCALL_DOMAIN_H
#define HYPERCALL_HYPERCALL_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

struct domain;

#define GRANT_FRAMES_MAX 4u
#define GFN_NONE         UINT64_MAX

/* NULL: no memory. The page stays the same until the domain is freed. */
void *hypercall_domain_shared_info(struct domain *d);
void *hypercall_domain_grant_frame(struct domain *d, unsigned index);

/* shared_info has one place at a time: false if it is mapped already. */
bool hypercall_domain_claim_shared_info(struct domain *d, uint64_t gfn);
/* It is no longer at gfn; no-op if it was elsewhere. */
void hypercall_domain_drop_shared_info(struct domain *d, uint64_t gfn);

#endif
