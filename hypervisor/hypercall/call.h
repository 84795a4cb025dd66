/* SPDX-License-Identifier: MIT */
/* What the files of hypercall/ share: one call in progress, and the handlers. */
#ifndef HYPERCALL_CALL_H
#define HYPERCALL_CALL_H

#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/hypercall.h>
#include <stdbool.h>
#include <stdint.h>

#define HCALL_ARGS 5

struct hcall {
    struct vcpu *v;
    struct domain *d; /* v's */
    uint64_t
        arg[HCALL_ARGS]; /* a handler that returns HYPERCALL_RESTART leaves its progress here */
};

/* The result for x0, a negative errno, or HYPERCALL_RESTART. */
typedef long (*hcall_fn)(struct hcall *call);

/* Runs call number nr; -ENOSYS if there is none. */
long hcall_run(uint64_t nr, struct hcall *call);

long hcall_memory_op(struct hcall *call);
long hcall_multicall(struct hcall *call);
long hcall_xen_version(struct hcall *call);
long hcall_console_io(struct hcall *call);
long hcall_grant_table_op(struct hcall *call);
long hcall_vm_assist(struct hcall *call);
long hcall_vcpu_op(struct hcall *call);
long hcall_sched_op(struct hcall *call);
long hcall_event_channel_op(struct hcall *call);
long hcall_hvm_op(struct hcall *call);
long hcall_platform_op(struct hcall *call);
long hcall_sysctl(struct hcall *call);
long hcall_domctl(struct hcall *call);
long hcall_dm_op(struct hcall *call);
long hcall_godwit(struct hcall *call);

/*
 * The domain that id means to the caller, DOMID_SELF included, referenced; NULL: none.
 * Whether the caller may touch it is hcall_may_manage.
 */
struct domain *hcall_domain_get(const struct hcall *call, domid_t id);

/* The caller may act on d: on itself, or it is the control domain. */
bool hcall_may_manage(const struct hcall *call, const struct domain *d);

/* Both: the domain referenced, or NULL with -ESRCH or -EPERM. */
long hcall_managed_get(const struct hcall *call, domid_t id, struct domain **ret_d);

/* vCPU id of d, NULL if there is none. */
struct vcpu *hcall_vcpu(struct domain *d, uint32_t id);

#endif
