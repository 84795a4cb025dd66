/* SPDX-License-Identifier: MIT */
/* domctl: attaches the reader of a guest's PL011. */
#include <core/s2.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/vpl011.h>

#include "domctl.h"

/* The ring must be the guest's own memory: the reference taken here becomes the device's. */
static long hold_ring(struct domain *d, uint64_t gfn, pa_t *ret_pa)
{
    struct s2_leaf leaf;

    if (gfn > UINT64_MAX >> PAGE_SHIFT) {
        return -EINVAL;
    }
    leaf = s2_lookup_hold(&d->s2, ipa_from_gfn(gfn), frame_get);
    if (leaf.type == S2_NONE || leaf.type == S2_DEVICE) {
        return -EINVAL;
    }
    if (leaf.type != S2_RAM_RW) {
        frame_put(leaf.pa);
        return -EINVAL;
    }
    *ret_pa = leaf.pa;
    return 0;
}

long domctl_vuart_op(struct domctl *domctl)
{
    struct xen_domctl_vuart_op *request = &domctl->op.u.vuart_op;
    struct domain *d = domctl->d;
    uint32_t port;
    long error;
    pa_t ring;

    if (d->creation_finished) {
        return -EPERM;
    }
    if (request->cmd != XEN_DOMCTL_VUART_OP_INIT) {
        return -EINVAL;
    }
    if (request->type != XEN_DOMCTL_VUART_TYPE_VPL011) {
        return -EOPNOTSUPP;
    }
    error = hold_ring(d, request->gfn, &ring);
    if (error != 0) {
        return error;
    }
    error = evtchn_alloc_xen_port(d, request->console_domid, vpl011_notify, &port);
    if (error == 0) {
        error = vpl011_attach_ring(d, ring, request->gfn, port);
        if (error != 0) {
            evtchn_close_xen_port(d, port);
        }
    }
    if (error != 0) {
        frame_put(ring);
        return error;
    }
    request->evtchn = port;
    domctl->copy_back = true;
    return 0;
}
