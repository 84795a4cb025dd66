/* SPDX-License-Identifier: MIT */
/* Domain control calls without payloads of their own size: one short function each. */
#include <errno.h>
#include <string.h>

#include "hv_internal.h"

/* Needs the types of the headers above. */
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>

int gw_hv_domain_create(struct gw_hv *hv, const struct gw_hv_create *create, uint32_t *ret_domid)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_createdomain, 0);
    struct xen_domctl_createdomain *c = &domctl->u.createdomain;
    int rc;

    memcpy(c->handle, create->uuid, sizeof(c->handle));
    c->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
    c->max_vcpus = create->vcpus;
    c->max_evtchn_port = 1023;
    c->max_grant_frames = -1;
    c->max_maptrack_frames = -1;
    c->grant_opts = XEN_DOMCTL_GRANT_version(1);
    c->arch.gic_version = XEN_DOMCTL_CONFIG_GIC_V3;
    c->arch.nr_spis = create->spis;
    rc = hv_domctl_run(hv);
    if (rc == 0)
        *ret_domid = domctl->domain;
    return rc;
}

int gw_hv_domain_destroy(struct gw_hv *hv, uint32_t domid)
{
    return hv_domctl_simple(hv, XEN_DOMCTL_destroydomain, domid);
}

int gw_hv_domain_pause(struct gw_hv *hv, uint32_t domid)
{
    return hv_domctl_simple(hv, XEN_DOMCTL_pausedomain, domid);
}

int gw_hv_domain_unpause(struct gw_hv *hv, uint32_t domid)
{
    return hv_domctl_simple(hv, XEN_DOMCTL_unpausedomain, domid);
}

int gw_hv_domain_resume(struct gw_hv *hv, uint32_t domid)
{
    return hv_domctl_simple(hv, XEN_DOMCTL_resumedomain, domid);
}

static void domain_info_from_abi(struct gw_domain_info *info,
                                 const struct xen_domctl_getdomaininfo *abi)
{
    memset(info, 0, sizeof(*info));
    info->domid = abi->domain;
    info->flags = abi->flags;
    info->tot_pages = abi->tot_pages;
    info->max_pages = abi->max_pages;
    info->cpu_time_ns = abi->cpu_time;
    info->vcpus_online = abi->nr_online_vcpus;
    /* ~0 (XEN_INVALID_MAX_VCPU_ID) wraps to 0: none yet. */
    info->vcpus = abi->max_vcpu_id + 1u;
    memcpy(info->uuid, abi->handle, sizeof(info->uuid));
}

int gw_hv_domain_info(struct gw_hv *hv, uint32_t domid, struct gw_domain_info *ret_info)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_getdomaininfo, domid);
    int rc = hv_domctl_run(hv);

    if (rc < 0)
        return rc;
    /* This interface version answers for the next higher domain if the one asked for is not there.
     */
    if (domctl->u.getdomaininfo.domain != domid)
        return -ESRCH;
    domain_info_from_abi(ret_info, &domctl->u.getdomaininfo);
    return 0;
}

int gw_hv_domain_list(struct gw_hv *hv, uint32_t first, struct gw_domain_info *ret_infos,
                      unsigned max, unsigned *ret_n)
{
    struct xen_sysctl *sysctl = hv->scratch;
    struct xen_domctl_getdomaininfo *abi = (void *)((char *)hv->scratch + sizeof(*sysctl));
    unsigned fits = (HV_SCRATCH_BYTES - sizeof(*sysctl)) / sizeof(*abi);
    uint32_t n;

    memset(sysctl, 0, sizeof(*sysctl));
    sysctl->cmd = XEN_SYSCTL_getdomaininfolist;
    sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    sysctl->u.getdomaininfolist.first_domain = (domid_t)first;
    sysctl->u.getdomaininfolist.max_domains = max < fits ? max : fits;
    set_xen_guest_handle(sysctl->u.getdomaininfolist.buffer, abi);
    if (xencall1(hv->call, __HYPERVISOR_sysctl, (uintptr_t)sysctl) < 0)
        return -errno;
    n = sysctl->u.getdomaininfolist.num_domains;
    if (n > max || n > fits)
        return -EIO;
    for (uint32_t i = 0; i < n; i++)
        domain_info_from_abi(&ret_infos[i], &abi[i]);
    *ret_n = n;
    return 0;
}

int gw_hv_domain_set_max_mem(struct gw_hv *hv, uint32_t domid, uint64_t kib)
{
    hv_domctl_prepare(hv, XEN_DOMCTL_max_mem, domid)->u.max_mem.max_memkb = kib;
    return hv_domctl_run(hv);
}

int gw_hv_domain_set_max_vcpus(struct gw_hv *hv, uint32_t domid, uint32_t vcpus)
{
    hv_domctl_prepare(hv, XEN_DOMCTL_max_vcpus, domid)->u.max_vcpus.max = vcpus;
    return hv_domctl_run(hv);
}

int gw_hv_domain_set_address_size(struct gw_hv *hv, uint32_t domid, uint32_t bits)
{
    hv_domctl_prepare(hv, XEN_DOMCTL_set_address_size, domid)->u.address_size.size = bits;
    return hv_domctl_run(hv);
}

int gw_hv_domain_set_mempool(struct gw_hv *hv, uint32_t domid, uint64_t bytes)
{
    hv_domctl_prepare(hv, XEN_DOMCTL_set_paging_mempool_size, domid)->u.paging_mempool.size = bytes;
    return hv_domctl_run(hv);
}

int gw_hv_vuart_init(struct gw_hv *hv, uint32_t domid, uint64_t gfn, uint32_t *ret_port)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_vuart_op, domid);
    int rc;

    domctl->u.vuart_op.cmd = XEN_DOMCTL_VUART_OP_INIT;
    domctl->u.vuart_op.type = XEN_DOMCTL_VUART_TYPE_VPL011;
    domctl->u.vuart_op.gfn = gfn;
    domctl->u.vuart_op.console_domid = 0; /* the control domain, where the daemon runs */
    rc = hv_domctl_run(hv);
    if (rc == 0)
        *ret_port = domctl->u.vuart_op.evtchn;
    return rc;
}

int hv_godwit(struct gw_hv *hv, enum godwit_op op, size_t bytes, void *argument)
{
    memcpy(hv->scratch, argument, bytes);
    if (xencall2(hv->call, GODWIT_HYPERCALL, op, (uintptr_t)hv->scratch) < 0)
        return -errno;
    memcpy(argument, hv->scratch, bytes);
    return 0;
}

int gw_hv_power_key(struct gw_hv *hv, uint32_t domid)
{
    struct godwit_domain_op op = {.domid = (uint16_t)domid};

    return hv_godwit(hv, GODWIT_OP_POWER_KEY, sizeof(op), &op);
}

int gw_hv_set_logdirty(struct gw_hv *hv, uint32_t domid, enum godwit_tracking tracking,
                       enum godwit_split split)
{
    struct godwit_logdirty op = {
        .domid = (uint16_t)domid, .tracking = (uint8_t)tracking, .split = (uint8_t)split};

    return hv_godwit(hv, GODWIT_OP_LOGDIRTY, sizeof(op), &op);
}

int gw_hv_stats(struct gw_hv *hv, uint32_t domid, struct godwit_stats *ret_stats)
{
    struct godwit_stats stats = {.domid = (uint16_t)domid, .bytes = sizeof(stats)};
    int rc = hv_godwit(hv, GODWIT_OP_STATS, sizeof(stats), &stats);

    if (rc == 0)
        *ret_stats = stats;
    return rc;
}

int gw_hv_host_info(struct gw_hv *hv, struct godwit_host_info *ret_info)
{
    struct godwit_host_info info = {0};
    int rc = hv_godwit(hv, GODWIT_OP_HOST_INFO, sizeof(info), &info);

    if (rc == 0)
        *ret_info = info;
    return rc;
}

int gw_hv_get_readonly(struct gw_hv *hv, uint32_t domid, uint64_t *gfn,
                       struct godwit_range *ret_ranges, unsigned max, unsigned *ret_n)
{
    struct godwit_readonly *request = hv->scratch;
    struct godwit_range *ranges = (struct godwit_range *)(void *)(request + 1);

    if (max == 0 || max > GW_HV_RANGES_MAX)
        return -EINVAL;
    *request = (struct godwit_readonly){
        .domid = (uint16_t)domid, .first_gfn = *gfn, .ranges = (uintptr_t)ranges, .count = max};
    if (xencall2(hv->call, GODWIT_HYPERCALL, GODWIT_OP_READONLY, (uintptr_t)request) < 0)
        return -errno;
    if (request->count > max)
        return -EIO;
    memcpy(ret_ranges, ranges, request->count * sizeof(*ranges));
    *ret_n = request->count;
    *gfn = request->first_gfn;
    return 0;
}

int gw_hv_set_readonly(struct gw_hv *hv, uint32_t domid, uint64_t first_gfn, uint64_t pages)
{
    struct xen_dm_op_buf *buffer = hv->scratch;
    struct xen_dm_op *op = (struct xen_dm_op *)(void *)(buffer + 1);

    while (pages) {
        uint32_t n = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;

        memset(op, 0, sizeof(*op));
        op->op = XEN_DMOP_set_mem_type;
        op->u.set_mem_type.nr = n;
        op->u.set_mem_type.mem_type = HVMMEM_ram_ro;
        op->u.set_mem_type.first_pfn = first_gfn;
        set_xen_guest_handle(buffer->h, op);
        buffer->size = sizeof(*op);
        if (xencall3(hv->call, __HYPERVISOR_dm_op, domid, 1, (uintptr_t)buffer) < 0)
            return -errno;
        first_gfn += n;
        pages -= n;
    }
    return 0;
}
