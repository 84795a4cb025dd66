/* SPDX-License-Identifier: MIT */
/* The handle: devices, resident buffers, and the envelope of domctl and memory_op. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv_internal.h"

static int hv_open_devices(struct gw_hv *hv, struct gw_error *err)
{
    hv->call = xencall_open(NULL, XENCALL_OPENFLAG_NON_REENTRANT);
    if (!hv->call)
        goto out;
    hv->memory = xenforeignmemory_open(NULL, 0);
    if (!hv->memory)
        goto out;
    hv->domctl = xencall_alloc_buffer(hv->call, sizeof(*hv->domctl));
    hv->scratch = xencall_alloc_buffer(hv->call, HV_SCRATCH_BYTES);
    if (!hv->domctl || !hv->scratch)
        return gw_error_set(err, GW_EXIT_FAILED, "cannot talk to the hypervisor: out of memory");
    return 0;
out:
    gw_error_errno(err, errno, "cannot talk to the hypervisor (is this its control domain?)");
    if (err->code != GW_EXIT_DENIED)
        err->code = GW_EXIT_UNAVAILABLE;
    return -1;
}

int gw_hv_open(struct gw_hv **ret_hv, struct gw_error *err)
{
    struct gw_hv *hv = calloc(1, sizeof(*hv));
    struct gw_hv_version version;
    int rc;

    if (!hv)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (hv_open_devices(hv, err) < 0)
        goto out;
    rc = gw_hv_version(hv, &version);
    if (rc < 0) {
        gw_error_errno(err, rc, "the hypervisor does not tell its version");
        err->code = GW_EXIT_UNAVAILABLE;
        goto out;
    }
    *ret_hv = hv;
    return 0;
out:
    gw_hv_close(hv);
    return -1;
}

void gw_hv_close(struct gw_hv *hv)
{
    if (!hv)
        return;
    if (hv->call) {
        xencall_free_buffer(hv->call, hv->domctl);
        xencall_free_buffer(hv->call, hv->scratch);
        xencall_close(hv->call);
    }
    if (hv->memory)
        xenforeignmemory_close(hv->memory);
    free(hv);
}

void *gw_hv_buffer_alloc(struct gw_hv *hv, size_t bytes)
{
    size_t pages = (bytes + GW_PAGE_BYTES - 1) / GW_PAGE_BYTES;

    return xencall_alloc_buffer_pages(hv->call, pages ? pages : 1);
}

void gw_hv_buffer_free(struct gw_hv *hv, void *buffer, size_t bytes)
{
    size_t pages = (bytes + GW_PAGE_BYTES - 1) / GW_PAGE_BYTES;

    if (buffer)
        xencall_free_buffer_pages(hv->call, buffer, pages ? pages : 1);
}

struct xen_domctl *hv_domctl_prepare(struct gw_hv *hv, uint32_t cmd, uint32_t domid)
{
    memset(hv->domctl, 0, sizeof(*hv->domctl));
    hv->domctl->cmd = cmd;
    hv->domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    hv->domctl->domain = (domid_t)domid;
    return hv->domctl;
}

int hv_domctl_run(struct gw_hv *hv)
{
    if (xencall1(hv->call, __HYPERVISOR_domctl, (uintptr_t)hv->domctl) < 0)
        return -errno;
    return 0;
}

int hv_domctl_simple(struct gw_hv *hv, uint32_t cmd, uint32_t domid)
{
    hv_domctl_prepare(hv, cmd, domid);
    return hv_domctl_run(hv);
}

long hv_memory_op(struct gw_hv *hv, unsigned cmd, void *argument, size_t bytes)
{
    long rc;

    memcpy(hv->scratch, argument, bytes);
    rc = xencall2L(hv->call, __HYPERVISOR_memory_op, cmd, (uintptr_t)hv->scratch);
    if (rc < 0)
        return -errno;
    memcpy(argument, hv->scratch, bytes);
    return rc;
}
