/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <guest/hypercall.h>
#include <guest/print.h>
#include <guest/sysreg.h>
#include <guest/timer.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

#define DOMCTL_VERSION 0x15
#define SYSCTL_VERSION 0x15
#define ORDER_2M       9u

int64_t control_domctl(struct xen_domctl *op, uint32_t cmd, domid_t domid)
{
    op->cmd = cmd;
    op->interface_version = DOMCTL_VERSION;
    op->domain = domid;
    return hypercall(__HYPERVISOR_domctl, (uint64_t)op, 0, 0, 0, 0);
}

int64_t control_memory_op(uint64_t cmd, void *argument)
{
    return hypercall(__HYPERVISOR_memory_op, cmd, (uint64_t)argument, 0, 0, 0);
}

int64_t control_populate(domid_t domid, uint64_t gfn, uint32_t order)
{
    xen_pfn_t extent = gfn;
    struct xen_memory_reservation reservation = {
        .nr_extents = 1, .extent_order = order, .domid = domid};

    set_xen_guest_handle(reservation.extent_start, &extent);
    return control_memory_op(XENMEM_populate_physmap, &reservation);
}

static int populate_ram(domid_t domid, uint64_t gfn, uint64_t pages)
{
    for (uint64_t done = 0; done < pages;) {
        uint32_t order = (gfn + done) % 512 == 0 && pages - done >= 512 ? ORDER_2M : 0;

        if (control_populate(domid, gfn + done, order) != 1) {
            return -XEN_ENOMEM;
        }
        done += 1ul << order;
    }
    return 0;
}

/* Frames come in rising order, so pages asked for from the end lie the wrong way round. */
static int populate_pages(domid_t domid, uint64_t gfn, uint64_t pages)
{
    while (pages-- > 0) {
        if (control_populate(domid, gfn + pages, 0) != 1) {
            return -XEN_ENOMEM;
        }
    }
    return 0;
}

static int attach_console(struct control_guest *guest)
{
    struct xen_domctl op = {0};
    struct evtchn_bind_interdomain bind;
    int64_t rc;

    if (control_populate(guest->domid, VUART_GFN, 0) != 1) {
        return -XEN_ENOMEM;
    }
    op.u.vuart_op.cmd = XEN_DOMCTL_VUART_OP_INIT;
    op.u.vuart_op.type = XEN_DOMCTL_VUART_TYPE_VPL011;
    op.u.vuart_op.gfn = VUART_GFN;
    op.u.vuart_op.console_domid = 0;
    rc = control_domctl(&op, XEN_DOMCTL_vuart_op, guest->domid);
    if (rc < 0) {
        return (int)rc;
    }
    bind = (struct evtchn_bind_interdomain){.remote_dom = guest->domid,
                                            .remote_port = op.u.vuart_op.evtchn};
    rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, (uint64_t)&bind, 0, 0,
                   0);
    if (rc < 0) {
        return (int)rc;
    }
    guest->local_port = bind.local_port;
    guest->ring = control_map(guest->domid, VUART_GFN);
    return guest->ring != NULL ? 0 : -XEN_ENOMEM;
}

int control_guest_create(struct control_guest *guest, uint64_t ram_bytes, uint32_t vcpus)
{
    return control_guest_create_as(guest, ram_bytes, vcpus, CONTROL_LAYOUT_BLOCKS);
}

int control_guest_create_as(struct control_guest *guest, uint64_t ram_bytes, uint32_t vcpus,
                            enum control_layout layout)
{
    struct xen_domctl op = {0};
    int64_t rc;

    *guest =
        (struct control_guest){.ram_pages = ram_bytes >> 12, .vcpus = vcpus, .line_start = true};
    op.u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = vcpus,
        .max_evtchn_port = -1u,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
    };
    op.u.createdomain.arch.gic_version = XEN_DOMCTL_CONFIG_GIC_V3;
    rc = control_domctl(&op, XEN_DOMCTL_createdomain, 0);
    if (rc < 0) {
        return (int)rc;
    }
    guest->domid = op.domain;
    op = (struct xen_domctl){.u.max_vcpus.max = vcpus};
    rc = control_domctl(&op, XEN_DOMCTL_max_vcpus, guest->domid);
    if (rc == 0) {
        op = (struct xen_domctl){.u.max_mem.max_memkb = (ram_bytes >> 10) + 1024};
        rc = control_domctl(&op, XEN_DOMCTL_max_mem, guest->domid);
    }
    if (rc == 0) {
        rc = layout == CONTROL_LAYOUT_PAGES
                 ? populate_pages(guest->domid, GUEST_RAM0_BASE >> 12, guest->ram_pages)
                 : populate_ram(guest->domid, GUEST_RAM0_BASE >> 12, guest->ram_pages);
    }
    return rc < 0 ? (int)rc : attach_console(guest);
}

int control_guest_copy(struct control_guest *guest, uint64_t ipa, const void *data, size_t bytes)
{
    struct xen_domctl op = {0};

    for (size_t done = 0; done < bytes; done += 4096) {
        size_t piece = bytes - done < 4096 ? bytes - done : 4096;
        void *page = control_map(guest->domid, (ipa + done) >> 12);

        if (page == NULL) {
            return -XEN_ENOMEM;
        }
        memcpy(page, (const uint8_t *)data + done, piece);
        control_unmap(page);
    }
    op.u.cacheflush.start_pfn = ipa >> 12;
    op.u.cacheflush.nr_pfns = (bytes + 4095) >> 12;
    return (int)control_domctl(&op, XEN_DOMCTL_cacheflush, guest->domid);
}

int control_guest_point(struct control_guest *guest, uint64_t pc, uint64_t x0)
{
    static struct vcpu_guest_context context;
    struct xen_domctl op = {.u.vcpucontext.vcpu = 0};

    memset(&context, 0, sizeof(context));
    context.flags = VGCF_online;
    context.user_regs.pc64 = pc;
    context.user_regs.x0 = x0;
    context.user_regs.cpsr = PSR_GUEST64_INIT;
    context.sctlr = SCTLR_GUEST_INIT;
    set_xen_guest_handle(op.u.vcpucontext.ctxt, &context);
    return (int)control_domctl(&op, XEN_DOMCTL_setvcpucontext, guest->domid);
}

int control_guest_load(struct control_guest *guest, const void *program, size_t bytes)
{
    int rc = control_guest_copy(guest, GUEST_LOAD_IPA, program, bytes);

    return rc != 0 ? rc : control_guest_point(guest, GUEST_LOAD_IPA, 0);
}

int control_guest_unpause(struct control_guest *guest)
{
    struct xen_domctl op = {0};

    return (int)control_domctl(&op, XEN_DOMCTL_unpausedomain, guest->domid);
}

int control_guest_pause(struct control_guest *guest)
{
    struct xen_domctl op = {0};

    return (int)control_domctl(&op, XEN_DOMCTL_pausedomain, guest->domid);
}

int control_guest_destroy(struct control_guest *guest)
{
    struct xen_domctl op = {0};
    struct evtchn_close close = {.port = guest->local_port};

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)&close, 0, 0, 0);
    if (guest->ring != NULL) {
        control_unmap((void *)guest->ring);
        guest->ring = NULL;
    }
    return (int)control_domctl(&op, XEN_DOMCTL_destroydomain, guest->domid);
}

static void copy_char(struct control_guest *guest, char c)
{
    if (guest->tail_bytes == sizeof(guest->tail)) {
        memmove(guest->tail, guest->tail + 1, sizeof(guest->tail) - 1);
        guest->tail_bytes--;
    }
    guest->tail[guest->tail_bytes++] = c;
    guest->output_bytes++;
    if (guest->quiet) {
        return;
    }
    if (guest->line_start) {
        console_put("| ", 2);
    }
    console_put(&c, 1);
    guest->line_start = c == '\n';
}

static void drain_console(struct control_guest *guest)
{
    uint32_t prod = guest->ring->out_prod;

    dsb(); /* the bytes after the index that says they are there */
    while (guest->ring->out_cons != prod) {
        copy_char(guest, guest->ring->out[guest->ring->out_cons & (sizeof(guest->ring->out) - 1)]);
        guest->ring->out_cons++;
    }
}

bool control_guest_poll(struct control_guest *guest, uint32_t *ret_code)
{
    struct xen_domctl op = {0};

    drain_console(guest);
    if (control_domctl(&op, XEN_DOMCTL_getdomaininfo, guest->domid) < 0 ||
        !(op.u.getdomaininfo.flags & XEN_DOMINF_shutdown)) {
        return false;
    }
    drain_console(guest);
    *ret_code = op.u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
    return true;
}

int control_guest_wait(struct control_guest *guest, uint64_t ms)
{
    uint64_t end = timer_count() + ms * (timer_hz() / 1000);
    uint32_t code;

    while (!control_guest_poll(guest, &code)) {
        if (timer_count() > end) {
            return -XEN_ETIME;
        }
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    return (int)code;
}

uint64_t control_free_pages(void)
{
    struct xen_sysctl op = {.cmd = XEN_SYSCTL_physinfo, .interface_version = SYSCTL_VERSION};

    if (hypercall(__HYPERVISOR_sysctl, (uint64_t)&op, 0, 0, 0, 0) != 0) {
        return 0;
    }
    return op.u.physinfo.free_pages;
}

uint64_t control_free_pages_settled(void)
{
    static struct control_guest guest;

    if (control_guest_create(&guest, 2ul << 20, 1) == 0) {
        control_guest_destroy(&guest);
        control_window_close();
    }
    return control_free_pages();
}

struct shadow_result control_shadow(domid_t domid, uint32_t cmd, uint32_t mode, void *bitmap,
                                    uint64_t pages)
{
    struct xen_domctl op = {0};
    struct shadow_result result;

    op.u.shadow_op.op = cmd;
    op.u.shadow_op.mode = mode;
    set_xen_guest_handle(op.u.shadow_op.dirty_bitmap, bitmap);
    op.u.shadow_op.pages = pages;
    result.rc = control_domctl(&op, XEN_DOMCTL_shadow_op, domid);
    result.pages = op.u.shadow_op.pages;
    result.fault_count = op.u.shadow_op.stats.fault_count;
    result.dirty_count = op.u.shadow_op.stats.dirty_count;
    return result;
}
