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

int gw_hv_vcpu_stats(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                     struct godwit_vcpu_stats *ret_stats)
{
    struct godwit_vcpu_stats stats = {
        .domid = (uint16_t)domid, .bytes = sizeof(stats), .vcpu = vcpu};
    int rc = hv_godwit(hv, GODWIT_OP_VCPU_STATS, sizeof(stats), &stats);

    if (rc == 0)
        *ret_stats = stats;
    return rc;
}

int gw_hv_vcpu_throttle(struct gw_hv *hv, uint32_t domid, uint32_t vcpu, unsigned percent)
{
    struct godwit_vcpu_throttle op = {.domid = (uint16_t)domid, .vcpu = vcpu, .percent = percent};

    return hv_godwit(hv, GODWIT_OP_VCPU_THROTTLE, sizeof(op), &op);
}

int gw_hv_writer_sample(struct gw_hv *hv, uint32_t domid, bool on)
{
    struct godwit_writer_sample op = {.domid = (uint16_t)domid, .enable = on};

    return hv_godwit(hv, GODWIT_OP_WRITER_SAMPLE, sizeof(op), &op);
}
