/* SPDX-License-Identifier: MIT */
/*
 * domctl: checks in Xen's order (structure, version, target, privilege) and dispatch. There is no
 * lock over all domctls: each handler takes what it needs of its own domain.
 */
#include "domctl.h"

#include <hv/guest_access.h>
#include <stddef.h>

#include "shadow.h"

static const domctl_fn handlers[] = {
    [XEN_DOMCTL_createdomain] = domctl_create,
    [XEN_DOMCTL_destroydomain] = domctl_destroy,
    [XEN_DOMCTL_pausedomain] = domctl_pause,
    [XEN_DOMCTL_unpausedomain] = domctl_unpause,
    [XEN_DOMCTL_getdomaininfo] = domctl_get_info,
    [XEN_DOMCTL_shadow_op] = domctl_shadow_op,
    [XEN_DOMCTL_max_mem] = domctl_max_mem,
    [XEN_DOMCTL_setvcpucontext] = domctl_set_vcpu_context,
    [XEN_DOMCTL_getvcpucontext] = domctl_get_vcpu_context,
    [XEN_DOMCTL_getvcpuinfo] = domctl_get_vcpu_info,
    [XEN_DOMCTL_max_vcpus] = domctl_max_vcpus,
    [XEN_DOMCTL_setdomainhandle] = domctl_set_handle,
    [XEN_DOMCTL_getvcpuaffinity] = domctl_get_vcpu_affinity,
    [XEN_DOMCTL_resumedomain] = domctl_resume,
    [XEN_DOMCTL_gethvmcontext] = domctl_get_hvm_context,
    [XEN_DOMCTL_sethvmcontext] = domctl_set_hvm_context,
    [XEN_DOMCTL_set_address_size] = domctl_set_address_size,
    [XEN_DOMCTL_gethvmcontext_partial] = domctl_get_hvm_context_partial,
    [XEN_DOMCTL_getpageframeinfo3] = domctl_get_page_frame_info,
    [XEN_DOMCTL_cacheflush] = domctl_cache_flush,
    [XEN_DOMCTL_vuart_op] = domctl_vuart_op,
    [XEN_DOMCTL_get_paging_mempool_size] = domctl_get_mempool_size,
    [XEN_DOMCTL_set_paging_mempool_size] = domctl_set_mempool_size,
};

#define HANDLERS_COUNT (sizeof(handlers) / sizeof(handlers[0]))

_Static_assert(sizeof(struct xen_domctl) == 144, "ABI");
_Static_assert(offsetof(struct xen_domctl, u) == 16, "ABI");

/* 4.17's libxenctrl walks all domains by asking for the next id at or above; later ones list by
 * sysctl. */
static bool asks_for_next(const struct xen_domctl *op)
{
    return op->cmd == XEN_DOMCTL_getdomaininfo && op->interface_version == DOMCTL_VERSION_417;
}

static long find_target(struct domctl *domctl)
{
    struct hcall *call = domctl->call;

    if (domctl->op.cmd != XEN_DOMCTL_createdomain) {
        domctl->d = asks_for_next(&domctl->op) ? domain_get_next(domctl->op.domain)
                                               : domain_get(domctl->op.domain);
        if (domctl->d == NULL) {
            return call->d->is_control ? -ESRCH : -EPERM;
        }
    }
    return call->d->is_control ? 0 : -EPERM;
}

long hcall_domctl(struct hcall *call)
{
    struct domctl domctl = {.call = call};
    uint32_t version;
    long result;

    if (copy_from_guest(&domctl.op, call->arg[0], sizeof(domctl.op)) != 0) {
        shadow_caller_means(call->v, NULL);
        return -EFAULT;
    }
    shadow_caller_means(call->v, &domctl.op);
    version = domctl.op.interface_version;
    if (version < DOMCTL_VERSION_417 || version > DOMCTL_VERSION_422) {
        return -EACCES;
    }
    result = find_target(&domctl);
    if (result == 0) {
        uint32_t cmd = domctl.op.cmd;

        result = cmd < HANDLERS_COUNT && handlers[cmd] != NULL ? handlers[cmd](&domctl) : -ENOSYS;
    }
    if (domctl.d != NULL) {
        domain_put(domctl.d);
    }
    if (domctl.copy_back && copy_to_guest(call->arg[0], &domctl.op, sizeof(domctl.op)) != 0) {
        return -EFAULT;
    }
    return result;
}
