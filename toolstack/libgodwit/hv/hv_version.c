/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "hv_internal.h"

static int version_text(struct gw_hv *hv, unsigned cmd, char *ret_text, size_t bytes)
{
    memset(hv->scratch, 0, bytes);
    if (xencall2(hv->call, __HYPERVISOR_xen_version, cmd, (uintptr_t)hv->scratch) < 0)
        return -errno;
    memcpy(ret_text, hv->scratch, bytes);
    ret_text[bytes - 1] = '\0';
    return 0;
}

int gw_hv_version(struct gw_hv *hv, struct gw_hv_version *ret_version)
{
    struct gw_hv_version v = {0};
    int rc = xencall2(hv->call, __HYPERVISOR_xen_version, XENVER_version, 0);

    if (rc < 0)
        return -errno;
    v.xen_major = (uint32_t)rc >> 16;
    v.xen_minor = (uint32_t)rc & 0xffff;
    rc = version_text(hv, XENVER_extraversion, v.extra, sizeof(v.extra));
    if (rc < 0)
        return rc;
    rc = version_text(hv, XENVER_capabilities, v.capabilities, sizeof(v.capabilities));
    if (rc < 0)
        return rc;
    rc = xencall2(hv->call, GODWIT_HYPERCALL, GODWIT_OP_VERSION, 0);
    v.godwit_abi = rc < 0 ? 0 : (uint32_t)rc;
    *ret_version = v;
    return 0;
}

int gw_hv_physinfo(struct gw_hv *hv, struct gw_hv_physinfo *ret_info)
{
    struct xen_sysctl *sysctl = hv->scratch;

    memset(sysctl, 0, sizeof(*sysctl));
    sysctl->cmd = XEN_SYSCTL_physinfo;
    sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    if (xencall1(hv->call, __HYPERVISOR_sysctl, (uintptr_t)sysctl) < 0)
        return -errno;
    ret_info->cpus = sysctl->u.physinfo.nr_cpus;
    ret_info->cpu_khz = sysctl->u.physinfo.cpu_khz;
    ret_info->total_pages = sysctl->u.physinfo.total_pages;
    ret_info->free_pages = sysctl->u.physinfo.free_pages;
    return 0;
}
