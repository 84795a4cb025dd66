/* SPDX-License-Identifier: MIT */
/* Small guests made with libxenctrl alone. */
#include "case.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenforeignmemory.h>

enum { BLOCK_PAGES = 512, BLOCK_ORDER = 9, PAGE_BYTES = 4096 };

uint32_t guest_create(unsigned int vcpus)
{
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = vcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch = {.gic_version = XEN_DOMCTL_CONFIG_GIC_NATIVE, .nr_spis = 32},
    };
    uint32_t domid = 0;
    EXPECT(xc_domain_create(xch, &domid, &config) == 0);
    EXPECT(domid != 0);
    EXPECT(xc_domain_max_vcpus(xch, domid, vcpus) == 0);
    return domid;
}

void guest_add_ram(uint32_t domid, unsigned int pages, bool blocks)
{
    unsigned int step = blocks ? BLOCK_PAGES : 1;
    unsigned int count = pages / step;
    xen_pfn_t *extents = calloc(count, sizeof(*extents));
    EXPECT(extents);
    for (unsigned int i = 0; i < count; i++)
        extents[i] = RAM_BASE_GFN + (xen_pfn_t)i * step;
    EXPECT(xc_set_paging_mempool_size(xch, domid, 1 << 20) == 0);
    EXPECT(xc_domain_setmaxmem(xch, domid, guest_info(domid).nr_pages * 4 + (uint64_t)pages * 4) ==
           0);
    int result =
        xc_domain_populate_physmap_exact(xch, domid, count, blocks ? BLOCK_ORDER : 0, 0, extents);
    free(extents);
    EXPECT(result == 0);
}

void guest_load(uint32_t domid, uint64_t gfn, const uint32_t *code, unsigned int words, uint64_t x0,
                uint64_t x1)
{
    xen_pfn_t pfn = gfn;
    int error = 0;
    xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
    EXPECT(fmem);
    uint32_t *page = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 1, &pfn, &error);
    if (page) {
        memcpy(page, code, words * sizeof(*code));
        xenforeignmemory_unmap(fmem, page, 1);
    }
    xenforeignmemory_close(fmem);
    EXPECT(page && !error);
    EXPECT(xc_domain_cacheflush(xch, domid, gfn, 1) == 0);
    vcpu_guest_context_any_t context = {
        .c = {
            .flags = VGCF_online, .sctlr = 0x30d00800, /* MMU and caches off */
        }};
    context.c.user_regs.pc64 = gfn * PAGE_BYTES;
    context.c.user_regs.cpsr = 0x3c5; /* EL1h, DAIF masked */
    context.c.user_regs.x0 = x0;
    context.c.user_regs.x1 = x1;
    EXPECT(xc_vcpu_setcontext(xch, domid, 0, &context) == 0);
}

void guest_destroy(uint32_t domid)
{
    EXPECT(xc_domain_destroy(xch, domid) == 0);
}

xc_dominfo_t guest_info(uint32_t domid)
{
    xc_dominfo_t info;
    EXPECT(xc_domain_getinfo(xch, domid, 1, &info) == 1);
    EXPECT(info.domid == domid);
    return info;
}

void guest_wait_off(uint32_t domid)
{
    for (int tries = 0; tries < 600; tries++) {
        xc_vcpuinfo_t vcpu;
        EXPECT(xc_vcpu_getinfo(xch, domid, 0, &vcpu) == 0);
        if (guest_info(domid).shutdown || !vcpu.online)
            return;
        usleep(100000);
    }
    case_fail(__FILE__, __LINE__, "the guest ends");
}

uint64_t host_free_pages(void)
{
    xc_physinfo_t info;
    EXPECT(xc_physinfo(xch, &info) == 0);
    return info.free_pages + info.scrub_pages;
}

bool bit_is_set(const uint8_t *bitmap, uint64_t bit)
{
    return bitmap[bit / 8] >> (bit % 8) & 1;
}
