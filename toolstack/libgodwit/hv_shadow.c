/* SPDX-License-Identifier: MIT */
#include "hv_internal.h"

int gw_hv_shadow_op(struct gw_hv *hv, uint32_t domid, struct gw_shadow *op)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_shadow_op, domid);
    struct xen_domctl_shadow_op *abi = &domctl->u.shadow_op;
    int rc;

    abi->op = op->op;
    abi->mode = op->mode;
    abi->dirty_bitmap.p = op->bitmap;
    abi->pages = op->pages;
    rc = hv_domctl_run(hv);
    if (rc < 0)
        return rc;
    op->pages = abi->pages;
    op->fault_count = abi->stats.fault_count;
    op->dirty_count = abi->stats.dirty_count;
    return 0;
}
