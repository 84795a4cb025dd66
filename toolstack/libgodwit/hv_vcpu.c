/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "hv_internal.h"

int gw_hv_vcpu_set_context(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                           const struct vcpu_guest_context *context)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_setvcpucontext, domid);

    memcpy(hv->scratch, context, sizeof(*context));
    domctl->u.vcpucontext.vcpu = vcpu;
    domctl->u.vcpucontext.ctxt.p = hv->scratch;
    return hv_domctl_run(hv);
}

int gw_hv_vcpu_get_context(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                           struct vcpu_guest_context *ret_context)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_getvcpucontext, domid);
    int rc;

    domctl->u.vcpucontext.vcpu = vcpu;
    domctl->u.vcpucontext.ctxt.p = hv->scratch;
    rc = hv_domctl_run(hv);
    if (rc == 0)
        memcpy(ret_context, hv->scratch, sizeof(*ret_context));
    return rc;
}

int gw_hv_vcpu_info(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                    struct xen_domctl_getvcpuinfo *ret_info)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_getvcpuinfo, domid);
    int rc;

    domctl->u.getvcpuinfo.vcpu = vcpu;
    rc = hv_domctl_run(hv);
    if (rc == 0)
        *ret_info = domctl->u.getvcpuinfo;
    return rc;
}

int gw_hv_domain_get_state(struct gw_hv *hv, uint32_t domid, void *buffer, uint32_t bytes,
                           uint32_t *ret_bytes)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_gethvmcontext, domid);
    int rc;

    domctl->u.hvmcontext.size = bytes;
    domctl->u.hvmcontext.buffer.p = buffer;
    rc = hv_domctl_run(hv);
    if (rc == 0)
        *ret_bytes = domctl->u.hvmcontext.size;
    return rc;
}

int gw_hv_domain_set_state(struct gw_hv *hv, uint32_t domid, const void *buffer, uint32_t bytes)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_sethvmcontext, domid);

    domctl->u.hvmcontext.size = bytes;
    domctl->u.hvmcontext.buffer.q = (uintptr_t)buffer; /* the call only reads it */
    return hv_domctl_run(hv);
}
