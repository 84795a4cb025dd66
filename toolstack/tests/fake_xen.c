/* SPDX-License-Identifier: MIT */
/* Hypercalls of the fake hypervisor: argument checks as Xen's headers have them, state in an array.
 */
#include "fake_xen.h"

#include <errno.h>
#include <godwit/ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xencall.h>

/* Needs the types of the headers above. */
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>

struct xencall_handle {
    int unused;
};

struct fake_host fake_host;
struct fake_domain fake_domains[FAKE_DOMAINS_MAX];

void fake_reset(uint64_t free_pages)
{
    for (unsigned i = 0; i < FAKE_DOMAINS_MAX; i++) {
        if (fake_domains[i].used)
            fake_memory_free(&fake_domains[i]);
        memset(&fake_domains[i], 0, sizeof(fake_domains[i]));
    }
    fake_host = (struct fake_host){
        .free_pages = free_pages, .max_order = 18, .fail_errno = ENOMEM, .ranges_room = 100};
    fake_domains[0] = (struct fake_domain){
        .used = true, .memory_fd = -1, .max_vcpus = 2, .vcpus = 2, .tot_pages = 65536};
    fake_evtchn_reset();
}

struct fake_domain *fake_domain(uint32_t domid)
{
    for (unsigned i = 0; i < FAKE_DOMAINS_MAX; i++)
        if (fake_domains[i].used && fake_domains[i].domid == domid)
            return &fake_domains[i];
    return NULL;
}

unsigned fake_domains_n(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_DOMAINS_MAX; i++)
        n += fake_domains[i].used;
    return n;
}

void fake_guest_shutdown(struct fake_domain *d, uint32_t code)
{
    d->shut_down = true;
    d->shutdown_code = code;
    fake_evtchn_raise_virq(VIRQ_DOM_EXC);
}

static void fill_info(const struct fake_domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)d->domid;
    info->flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;
    info->flags |= d->dying ? XEN_DOMINF_dying : 0;
    info->flags |= d->pause_count ? XEN_DOMINF_paused : XEN_DOMINF_running;
    if (d->shut_down)
        info->flags |= XEN_DOMINF_shutdown | d->shutdown_code << XEN_DOMINF_shutdownshift;
    info->tot_pages = d->tot_pages;
    info->max_pages = d->max_pages;
    info->nr_online_vcpus = d->vcpus;
    info->max_vcpu_id = d->vcpus - 1;
    memcpy(info->handle, d->uuid, sizeof(d->uuid));
}

/* The domain with the lowest id >= first. */
static struct fake_domain *next_domain(uint32_t first)
{
    struct fake_domain *best = NULL;

    for (unsigned i = 0; i < FAKE_DOMAINS_MAX; i++) {
        struct fake_domain *d = &fake_domains[i];

        if (d->used && d->domid >= first && (!best || d->domid < best->domid))
            best = d;
    }
    return best;
}

static int do_create(struct xen_domctl *domctl)
{
    static uint32_t next_domid = 1;
    const struct xen_domctl_createdomain *c = &domctl->u.createdomain;

    if (!(c->flags & XEN_DOMCTL_CDF_hap) || c->max_vcpus == 0 || c->max_vcpus > FAKE_VCPUS_MAX)
        return -EINVAL;
    for (unsigned i = 1; i < FAKE_DOMAINS_MAX; i++) {
        struct fake_domain *d = &fake_domains[i];

        if (d->used)
            continue;
        memset(d, 0, sizeof(*d));
        d->used = true;
        d->memory_fd = -1;
        d->domid = next_domid++;
        d->max_vcpus = c->max_vcpus;
        d->pause_count = 1;
        memcpy(d->uuid, c->handle, sizeof(d->uuid));
        domctl->domain = (domid_t)d->domid;
        return 0;
    }
    return -ENOSPC;
}

static int do_destroy(struct fake_domain *d)
{
    if (d->domid == 0)
        return -EINVAL;
    fake_memory_free(d);
    memset(d, 0, sizeof(*d));
    fake_evtchn_raise_virq(VIRQ_DOM_EXC);
    return 0;
}

static int do_shadow(struct fake_domain *d, struct xen_domctl_shadow_op *op)
{
    uint64_t dirty = 0;

    if (op->op == XEN_DOMCTL_SHADOW_OP_OFF) {
        d->log_epoch++;
        d->logdirty = false;
        return 0;
    }
    if (op->op == XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY) {
        if (d->logdirty)
            return -EINVAL;
        memset(d->dirty, 0, d->dirty_n);
        d->logdirty = true;
        d->log_epoch++;
        return 0;
    }
    if (op->op != XEN_DOMCTL_SHADOW_OP_CLEAN && op->op != XEN_DOMCTL_SHADOW_OP_PEEK)
        return -EINVAL;
    d->log_epoch += op->op == XEN_DOMCTL_SHADOW_OP_CLEAN;
    if (op->dirty_bitmap.p)
        memset(op->dirty_bitmap.p, 0, (op->pages + 7) / 8);
    for (uint64_t gfn = 0; d->logdirty && gfn < d->dirty_n; gfn++) {
        if (!d->dirty[gfn])
            continue;
        dirty++;
        if (gfn < op->pages && op->dirty_bitmap.p)
            op->dirty_bitmap.p[gfn / 8] |= (uint8_t)(1u << gfn % 8);
        if (gfn < op->pages && op->op == XEN_DOMCTL_SHADOW_OP_CLEAN)
            d->dirty[gfn] = 0;
    }
    op->stats.dirty_count = (uint32_t)dirty;
    return 0;
}

static int do_vcpu_context(struct fake_domain *d, const struct xen_domctl *domctl)
{
    uint32_t vcpu = domctl->u.vcpucontext.vcpu;
    struct vcpu_guest_context *user = domctl->u.vcpucontext.ctxt.p;

    if (vcpu >= d->vcpus)
        return -EINVAL;
    if (domctl->cmd == XEN_DOMCTL_setvcpucontext) {
        d->contexts[vcpu] = *user;
        d->context_set[vcpu] = true;
        return 0;
    }
    if (!d->context_set[vcpu])
        return -ENODATA;
    *user = d->contexts[vcpu];
    return 0;
}

static int do_hvm_context(struct fake_domain *d, struct xen_domctl *domctl)
{
    struct xen_domctl_hvmcontext *c = &domctl->u.hvmcontext;

    if (domctl->cmd == XEN_DOMCTL_sethvmcontext) {
        if (c->size > sizeof(d->state))
            return -EINVAL;
        memcpy(d->state, c->buffer.p, c->size);
        d->state_bytes = c->size;
        return 0;
    }
    if (c->buffer.p && c->size < d->state_bytes)
        return -ENOSPC;
    if (c->buffer.p)
        memcpy(c->buffer.p, d->state, d->state_bytes);
    c->size = d->state_bytes;
    return 0;
}

static int do_vuart(struct fake_domain *d, struct xen_domctl *domctl)
{
    if (!fake_memory_has(d, domctl->u.vuart_op.gfn))
        return -EINVAL;
    d->vuart_gfn = domctl->u.vuart_op.gfn;
    d->vuart_port = 7;
    domctl->u.vuart_op.evtchn = d->vuart_port;
    return 0;
}

static int do_page_types(struct fake_domain *d, struct xen_domctl_getpageframeinfo3 *info)
{
    if (info->num > 1024)
        return -E2BIG;
    for (uint64_t i = 0; i < info->num; i++)
        info->array.p[i] = fake_memory_has(d, info->array.p[i]) ? 0 : XEN_DOMCTL_PFINFO_XTAB;
    return 0;
}

static int do_vcpu_info(struct fake_domain *d, struct xen_domctl_getvcpuinfo *info)
{
    if (info->vcpu >= d->vcpus)
        return -ENOENT;
    info->online = info->vcpu == 0;
    info->blocked = info->running = 0;
    info->cpu_time = 0;
    info->cpu = 0;
    return 0;
}

/* Calls that act on memory, state or devices. */
static int domctl_state(struct fake_domain *d, struct xen_domctl *domctl)
{
    switch (domctl->cmd) {
    case XEN_DOMCTL_shadow_op:
        return do_shadow(d, &domctl->u.shadow_op);
    case XEN_DOMCTL_setvcpucontext:
    case XEN_DOMCTL_getvcpucontext:
        return do_vcpu_context(d, domctl);
    case XEN_DOMCTL_getvcpuinfo:
        return do_vcpu_info(d, &domctl->u.getvcpuinfo);
    case XEN_DOMCTL_sethvmcontext:
    case XEN_DOMCTL_gethvmcontext:
        return do_hvm_context(d, domctl);
    case XEN_DOMCTL_vuart_op:
        return do_vuart(d, domctl);
    case XEN_DOMCTL_getpageframeinfo3:
        return do_page_types(d, &domctl->u.getpageframeinfo3);
    case XEN_DOMCTL_cacheflush:
        d->flushed_pages += domctl->u.cacheflush.nr_pfns;
        return 0;
    default:
        return -ENOSYS;
    }
}

static int domctl_life(struct fake_domain *d, struct xen_domctl *domctl)
{
    switch (domctl->cmd) {
    case XEN_DOMCTL_destroydomain:
        return do_destroy(d);
    case XEN_DOMCTL_pausedomain:
        d->pause_count++;
        return 0;
    case XEN_DOMCTL_unpausedomain:
        if (d->pause_count == 0)
            return -EINVAL;
        d->pause_count--;
        return 0;
    case XEN_DOMCTL_resumedomain:
        d->shut_down = false;
        return 0;
    case XEN_DOMCTL_max_vcpus:
        if (domctl->u.max_vcpus.max != d->max_vcpus)
            return -EINVAL;
        d->vcpus = d->max_vcpus;
        return 0;
    case XEN_DOMCTL_max_mem:
        d->max_pages = domctl->u.max_mem.max_memkb / 4;
        return 0;
    case XEN_DOMCTL_set_address_size:
        return d->tot_pages ? -EBUSY : domctl->u.address_size.size == 64 ? 0 : -EINVAL;
    case XEN_DOMCTL_set_paging_mempool_size:
        d->mempool_bytes = domctl->u.paging_mempool.size;
        return d->mempool_bytes % 4096 ? -EINVAL : 0;
    default:
        return domctl_state(d, domctl);
    }
}

static int do_domctl(struct xen_domctl *domctl)
{
    struct fake_domain *d;

    if (domctl->interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -EACCES;
    if (domctl->cmd == XEN_DOMCTL_createdomain)
        return do_create(domctl);
    if (domctl->cmd == XEN_DOMCTL_getdomaininfo) {
        d = next_domain(domctl->domain);
        if (!d)
            return -ESRCH;
        domctl->domain = (domid_t)d->domid;
        fill_info(d, &domctl->u.getdomaininfo);
        return 0;
    }
    d = fake_domain(domctl->domain);
    return d ? domctl_life(d, domctl) : -ESRCH;
}

static int do_sysctl(struct xen_sysctl *sysctl)
{
    struct xen_sysctl_getdomaininfolist *list = &sysctl->u.getdomaininfolist;
    uint32_t n = 0;

    if (sysctl->interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -EACCES;
    if (sysctl->cmd == XEN_SYSCTL_physinfo) {
        sysctl->u.physinfo.nr_cpus = 2;
        sysctl->u.physinfo.total_pages = sysctl->u.physinfo.free_pages = fake_host.free_pages;
        return 0;
    }
    if (sysctl->cmd != XEN_SYSCTL_getdomaininfolist)
        return -ENOSYS;
    for (struct fake_domain *d = next_domain(list->first_domain); d && n < list->max_domains;
         d = next_domain(d->domid + 1))
        fill_info(d, &list->buffer.p[n++]);
    list->num_domains = n;
    return 0;
}

static int do_version(uint64_t cmd, char *argument)
{
    if (cmd == XENVER_version)
        return 4 << 16 | 17;
    if (!argument)
        return -EFAULT;
    if (cmd == XENVER_extraversion)
        memcpy(argument, ".fake", 6);
    else if (cmd == XENVER_capabilities)
        memcpy(argument, "xen-3.0-aarch64 ", 17);
    else
        return -ENOSYS;
    return 0;
}

/* As if the guest wrote two pages, and a device one, between any two calls. */
static void get_stats(struct fake_domain *d, struct godwit_stats *stats)
{
    if (stats->bytes != sizeof(*stats))
        abort();
    d->stats_calls++;
    stats->logdirty = d->logdirty;
    stats->host_tracking =
        fake_host.hardware_dirty ? GODWIT_TRACKING_HARDWARE : GODWIT_TRACKING_FAULT;
    stats->tracking = d->tracking ? d->tracking : stats->host_tracking;
    stats->split = d->split ? d->split : GODWIT_SPLIT_LAZY;
    stats->faults_first_write = 2 * d->stats_calls;
    stats->faults_split = d->stats_calls;
    stats->bits_set[GODWIT_WRITER_VCPU] = 2 * d->stats_calls;
    stats->bits_set[GODWIT_WRITER_DEVICE] = d->stats_calls;
}

static int set_logdirty(struct fake_domain *d, const struct godwit_logdirty *op)
{
    if (op->pad || op->tracking > GODWIT_TRACKING_HARDWARE || op->split > GODWIT_SPLIT_EAGER)
        return -EINVAL;
    if (op->tracking == GODWIT_TRACKING_HARDWARE && !fake_host.hardware_dirty)
        return -EOPNOTSUPP;
    if (d->logdirty)
        return -EBUSY;
    d->tracking = op->tracking;
    d->split = op->split;
    return 0;
}

static int get_readonly(const struct fake_domain *d, struct godwit_readonly *request)
{
    struct godwit_range *ranges = (struct godwit_range *)(uintptr_t)request->ranges;

    if (request->count == 0)
        return -EINVAL;
    request->count = 0;
    if (d->readonly_pages && request->first_gfn <= d->readonly_gfn)
        ranges[request->count++] = (struct godwit_range){d->readonly_gfn, d->readonly_pages};
    request->first_gfn = UINT64_MAX;
    return 0;
}

static int take_ranges(struct fake_domain *d, struct godwit_dirty_ranges *request)
{
    struct godwit_range *ranges = (struct godwit_range *)(uintptr_t)request->ranges;
    uint32_t n = 0;
    uint64_t gfn = request->first_gfn;

    if (fake_host.no_ranges)
        return -ENOSYS;
    if (!d->logdirty || request->count < 64)
        return -EINVAL;
    if (request->epoch && request->epoch != d->log_epoch)
        return -EILSEQ;
    d->log_epoch += !(request->flags & GODWIT_DIRTY_PEEK);
    request->epoch = d->log_epoch;
    for (; gfn < request->end_gfn && gfn < d->dirty_n; gfn++) {
        if (gfn % 64 == 0 && n + 33 > fake_host.ranges_room)
            break;
        if (!d->dirty[gfn])
            continue;
        d->dirty[gfn] = 0;
        if (n && ranges[n - 1].first_gfn + ranges[n - 1].pages == gfn)
            ranges[n - 1].pages++;
        else
            ranges[n++] = (struct godwit_range){gfn, 1};
    }
    request->first_gfn = gfn < d->dirty_n && gfn < request->end_gfn ? gfn : request->end_gfn;
    request->count = n;
    return 0;
}

static int do_dm_op(uint64_t domid, uint64_t count, const struct xen_dm_op_buf *buffers)
{
    struct fake_domain *d = fake_domain((uint32_t)domid);
    const struct xen_dm_op *op;

    if (!d)
        return -ESRCH;
    if (!buffers)
        return -EFAULT;
    op = buffers->h.p;
    if (count != 1 || buffers->size != sizeof(*op) || op->op != XEN_DMOP_set_mem_type ||
        op->u.set_mem_type.mem_type != HVMMEM_ram_ro)
        return -EINVAL;
    d->readonly_gfn = op->u.set_mem_type.first_pfn;
    d->readonly_pages = op->u.set_mem_type.nr;
    return 0;
}

static int get_vcpu_stats(const struct fake_domain *d, struct godwit_vcpu_stats *stats)
{
    if (stats->vcpu >= 2)
        return -ENOENT;
    stats->faults = 30 + stats->vcpu;
    stats->dirty_pages = 20 + stats->vcpu;
    stats->fault_ns = 5000;
    stats->throttle_ns = 6000;
    stats->harvest_ns = 7000;
    stats->pause_ns = 8000;
    stats->throttle_percent = 50 * stats->vcpu;
    stats->pages_per_count = d->logdirty ? 64 : 0;
    return 0;
}

static int do_godwit(uint64_t op, void *argument)
{
    struct fake_domain *d;

    if (op == GODWIT_OP_VERSION)
        return GODWIT_ABI_VERSION;
    if (!argument)
        return -EFAULT;
    if (op == GODWIT_OP_HOST_INFO) {
        memset(argument, 0, sizeof(struct godwit_host_info));
        ((struct godwit_host_info *)argument)->cntfrq_hz = 62500000;
        return 0;
    }
    d = fake_domain(*(uint16_t *)argument);
    if (!d)
        return -ESRCH;
    if (op == GODWIT_OP_POWER_KEY)
        d->power_key_presses++;
    else if (op == GODWIT_OP_STATS)
        get_stats(d, argument);
    else if (op == GODWIT_OP_LOGDIRTY)
        return set_logdirty(d, argument);
    else if (op == GODWIT_OP_READONLY)
        return get_readonly(d, argument);
    else if (op == GODWIT_OP_VCPU_STATS)
        return get_vcpu_stats(d, argument);
    else if (op == GODWIT_OP_PAGES)
        return fake_pages(d, argument);
    else if (op == GODWIT_OP_DIRTY_RANGES)
        return take_ranges(d, argument);
    else
        return -ENOSYS;
    return 0;
}

static long hypercall(unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
    void *pointer = (void *)(uintptr_t)arg2;
    long rc;

    if (fake_host.on_call)
        fake_host.on_call();
    fake_host.calls++;
    if (fake_host.calls == fake_host.fail_at)
        rc = -fake_host.fail_errno;
    else if (op == __HYPERVISOR_domctl)
        rc = do_domctl((struct xen_domctl *)(uintptr_t)arg1);
    else if (op == __HYPERVISOR_sysctl)
        rc = do_sysctl((struct xen_sysctl *)(uintptr_t)arg1);
    else if (op == __HYPERVISOR_memory_op)
        rc = fake_memory_op((unsigned)arg1, pointer);
    else if (op == __HYPERVISOR_xen_version)
        rc = do_version(arg1, pointer);
    else if (op == __HYPERVISOR_dm_op)
        rc = do_dm_op(arg1, arg2, (const struct xen_dm_op_buf *)(uintptr_t)arg3);
    else if (op == GODWIT_HYPERCALL)
        rc = do_godwit(arg1, pointer);
    else
        rc = -ENOSYS;
    if (rc >= 0)
        return rc;
    errno = (int)-rc;
    return -1;
}

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    (void)logger;
    (void)open_flags;
    if (fake_host.absent) {
        errno = ENOENT;
        return NULL;
    }
    return calloc(1, sizeof(xencall_handle));
}

int xencall_close(xencall_handle *xcall)
{
    free(xcall);
    return 0;
}

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1)
{
    (void)xcall;
    return (int)hypercall(op, arg1, 0, 0);
}

int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    (void)xcall;
    return (int)hypercall(op, arg1, arg2, 0);
}

int xencall3(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
    (void)xcall;
    return (int)hypercall(op, arg1, arg2, arg3);
}

long xencall2L(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    (void)xcall;
    return hypercall(op, arg1, arg2, 0);
}

void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t nr_pages)
{
    (void)xcall;
    return calloc(nr_pages, 4096);
}

void xencall_free_buffer_pages(xencall_handle *xcall, void *p, size_t nr_pages)
{
    (void)xcall;
    (void)nr_pages;
    free(p);
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
    (void)xcall;
    return calloc(1, size);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
    (void)xcall;
    free(p);
}
