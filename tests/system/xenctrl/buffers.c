/* SPDX-License-Identifier: MIT */
/* Hypercalls whose arguments point where they should not: always an error, never harm. */
#include "case.h"

#include <sys/mman.h>

#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/sysctl.h>
#include <xencall.h>

enum { PAGE_BYTES = 4096 };

static xencall_handle *call;

static void call_open(void)
{
    if (!call)
        call = xencall_open(NULL, 0);
    EXPECT(call);
}

static uint8_t *pages_map(unsigned int pages)
{
    uint8_t *at = mmap(NULL, (size_t)pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    EXPECT(at != MAP_FAILED);
    return at;
}

/* Addresses that nothing of a process's memory has; hypercalls take them as they are. */
static const uint64_t bad_addresses[] = {
    0,
    8,
    0x40000000,         /* guest physical RAM, no address of the process */
    0x0000800000000000, /* between the halves */
    0xffff000000000000, /* kernel half, unmapped */
    0xfffffffffffffff8, /* wraps */
    0x00000a0000000000, /* hypervisors like such places */
};

static void unmapped_arguments(void)
{
    call_open();
    for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
        uint64_t at = bad_addresses[i];
        EXPECT_ERRNO(xencall1(call, __HYPERVISOR_domctl, at), EFAULT);
        EXPECT_ERRNO(xencall1(call, __HYPERVISOR_sysctl, at), EFAULT);
        EXPECT_ERRNO(xencall2(call, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, at), EFAULT);
        EXPECT_ERRNO(xencall2(call, __HYPERVISOR_hvm_op, 1, at), EFAULT);
        EXPECT_ERRNO(xencall2(call, __HYPERVISOR_event_channel_op, 6, at), EFAULT);
    }
}

/* The structure begins on a mapped page and ends on an unmapped one. */
static void argument_crossing_into_nothing(void)
{
    call_open();
    uint8_t *at = pages_map(2);
    EXPECT(munmap(at + PAGE_BYTES, PAGE_BYTES) == 0);
    for (size_t inside = 8; inside < 128; inside += 8) {
        memset(at + PAGE_BYTES - inside, 0, inside);
        EXPECT_ERRNO(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)at + PAGE_BYTES - inside),
                     EFAULT);
    }
    munmap(at, PAGE_BYTES);
}

static void read_only_result(void)
{
    call_open();
    struct xen_domctl *op = (struct xen_domctl *)pages_map(1);
    op->cmd = XEN_DOMCTL_getdomaininfo;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = 0;
    EXPECT(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op) == 0);
    EXPECT(mprotect(op, PAGE_BYTES, PROT_READ) == 0);
    EXPECT_ERRNO(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op), EFAULT);
    munmap(op, PAGE_BYTES);
}

/* Structures at any byte offset, also across two pages, work as aligned ones do. */
static void misaligned_arguments(void)
{
    call_open();
    uint8_t *pages = pages_map(2);
    for (size_t offset = PAGE_BYTES - 150; offset < PAGE_BYTES + 8; offset++) {
        struct xen_domctl op = {.cmd = XEN_DOMCTL_getdomaininfo,
                                .interface_version = XEN_DOMCTL_INTERFACE_VERSION};
        memcpy(pages + offset, &op, sizeof(op));
        EXPECT(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)pages + offset) == 0);
        memcpy(&op, pages + offset, sizeof(op));
        EXPECT(op.u.getdomaininfo.domain == 0 && op.u.getdomaininfo.tot_pages > 0);
    }
    munmap(pages, (size_t)2 * PAGE_BYTES);
}

static void wrong_versions(void)
{
    call_open();
    struct xen_domctl *op = (struct xen_domctl *)pages_map(1);
    const uint32_t wrong[] = {0, 1, 0x14, 0xff, 0xffffffff};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        op->cmd = XEN_DOMCTL_getdomaininfo;
        op->interface_version = wrong[i];
        op->domain = 0;
        EXPECT_ERRNO(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op), EACCES);
    }
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->cmd = 9999;
    EXPECT_ERRNO(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op), ENOSYS);
    munmap(op, PAGE_BYTES);
}

static void unknown_hypercalls(void)
{
    call_open();
    const unsigned int unknown[] = {0, 3, 50, 63, 64, 1000, 0x7fffffff};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        EXPECT_ERRNO(xencall1(call, unknown[i], 0), ENOSYS);
    EXPECT_ERRNO(xencall2(call, __HYPERVISOR_memory_op, 60, 0), ENOSYS);
}

/* Lists that claim to be far longer than any memory. */
static void huge_counts(void)
{
    uint32_t domid = guest_create(1);
    call_open();
    uint64_t *extents = (uint64_t *)pages_map(1);
    struct xen_memory_reservation *r = (struct xen_memory_reservation *)pages_map(1);
    EXPECT(xc_domain_setmaxmem(xch, domid, 1 << 20) == 0);
    EXPECT(xc_set_paging_mempool_size(xch, domid, 1 << 20) == 0);
    set_xen_guest_handle_raw(r->extent_start, (xen_pfn_t *)extents);
    r->nr_extents = ~0ul >> 6;
    r->domid = (domid_t)domid;
    for (unsigned int i = 0; i < PAGE_BYTES / 8; i++)
        extents[i] = ~0ull >> 12; /* beyond any guest's address space */
    (void)xencall2(call, __HYPERVISOR_memory_op, XENMEM_populate_physmap, (uintptr_t)r);
    EXPECT(guest_info(domid).nr_pages == 0);
    r->nr_extents = 1;
    r->extent_order = 63;
    EXPECT(xencall2(call, __HYPERVISOR_memory_op, XENMEM_populate_physmap, (uintptr_t)r) <= 0);
    EXPECT(guest_info(domid).nr_pages == 0);
    munmap(extents, PAGE_BYTES);
    munmap(r, PAGE_BYTES);
}

const struct test_case buffer_cases[] = {
    {"unmapped_arguments", unmapped_arguments},
    {"argument_crossing_into_nothing", argument_crossing_into_nothing},
    {"read_only_result", read_only_result},
    {"misaligned_arguments", misaligned_arguments},
    {"wrong_versions", wrong_versions},
    {"unknown_hypercalls", unknown_hypercalls},
    {"huge_counts", huge_counts},
    {NULL, NULL},
};
