/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: a domain may have a table (version 1, a few frames), but nobody can map or copy
 * through it: each such operation ends with an error in its own status field, as Xen reports it.
 */
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <stddef.h>
#include <xen/grant_table.h>

#include "call.h"
#include "hypercall_domain.h"

/* An operation whose status is refused: where it stands and how big one is. */
struct refusal {
    size_t bytes;
    size_t status_offset;
    int16_t status;
};

#define REFUSAL(type, why)                                                                         \
    {                                                                                              \
        sizeof(struct type), offsetof(struct type, status), (why)                                  \
    }

static const struct refusal refusals[] = {
    [GNTTABOP_map_grant_ref] = REFUSAL(gnttab_map_grant_ref, GNTST_bad_gntref),
    [GNTTABOP_unmap_grant_ref] = REFUSAL(gnttab_unmap_grant_ref, GNTST_bad_handle),
    [GNTTABOP_setup_table] = REFUSAL(gnttab_setup_table, GNTST_general_error),
    [GNTTABOP_transfer] = REFUSAL(gnttab_transfer, GNTST_general_error),
    [GNTTABOP_copy] = REFUSAL(gnttab_copy, GNTST_bad_gntref),
    [GNTTABOP_unmap_and_replace] = REFUSAL(gnttab_unmap_and_replace, GNTST_bad_handle),
    [GNTTABOP_get_status_frames] = REFUSAL(gnttab_get_status_frames, GNTST_general_error),
};

#define REFUSALS_COUNT (sizeof(refusals) / sizeof(refusals[0]))

static long refuse_all(struct hcall *call, const struct refusal *refusal)
{
    bool first = true;

    for (; (uint32_t)call->arg[2] != 0; call->arg[2]--, call->arg[1] += refusal->bytes) {
        if (!first && cpu_preempt_pending()) {
            return HYPERCALL_RESTART;
        }
        first = false;
        if (copy_to_guest(call->arg[1] + refusal->status_offset, &refusal->status,
                          sizeof(refusal->status)) != 0) {
            return -EFAULT;
        }
    }
    return 0;
}

static long query_size(struct hcall *call)
{
    struct gnttab_query_size query;
    struct domain *d;

    if ((uint32_t)call->arg[2] != 1) {
        return -EINVAL;
    }
    if (copy_from_guest(&query, call->arg[1], sizeof(query)) != 0) {
        return -EFAULT;
    }
    d = hcall_domain_get(call, query.dom);
    if (d == NULL) {
        query.status = GNTST_bad_domain;
    } else if (!hcall_may_manage(call, d)) {
        query.status = GNTST_permission_denied;
    } else {
        query.nr_frames = GRANT_FRAMES_MAX;
        query.max_nr_frames = GRANT_FRAMES_MAX;
        query.status = GNTST_okay;
    }
    if (d != NULL) {
        domain_put(d);
    }
    return copy_to_guest(call->arg[1], &query, sizeof(query)) != 0 ? -EFAULT : 0;
}

static long set_version(struct hcall *call)
{
    struct gnttab_set_version set;
    uint32_t wanted;

    if (copy_from_guest(&set, call->arg[1], sizeof(set)) != 0) {
        return -EFAULT;
    }
    wanted = set.version;
    set.version = 1;
    if (wanted != 1 && wanted != 2) {
        return -EINVAL;
    }
    if (copy_to_guest(call->arg[1], &set, sizeof(set)) != 0) {
        return -EFAULT;
    }
    return wanted == 1 ? 0 : -ENOSYS;
}

static long get_version(struct hcall *call)
{
    struct gnttab_get_version get;
    struct domain *d;
    long error;

    if (copy_from_guest(&get, call->arg[1], sizeof(get)) != 0) {
        return -EFAULT;
    }
    error = hcall_managed_get(call, get.dom, &d);
    if (error != 0) {
        return error;
    }
    domain_put(d);
    get.version = 1;
    return copy_to_guest(call->arg[1], &get, sizeof(get)) != 0 ? -EFAULT : 0;
}

long hcall_grant_table_op(struct hcall *call)
{
    uint32_t op = (uint32_t)call->arg[0];

    if ((int32_t)call->arg[2] < 0) {
        return -EINVAL;
    }
    switch (op) {
    case GNTTABOP_query_size:
        return query_size(call);
    case GNTTABOP_set_version:
        return set_version(call);
    case GNTTABOP_get_version:
        return get_version(call);
    default:
        if (op >= REFUSALS_COUNT || refusals[op].bytes == 0) {
            return -ENOSYS;
        }
        return refuse_all(call, &refusals[op]);
    }
}
