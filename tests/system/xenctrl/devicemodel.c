/* SPDX-License-Identifier: MIT */
/* dm_op through libxendevicemodel: what a device model may do to a guest's memory. */
#include "case.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>

enum { RAM_PAGES = 1024, END_GFN = RAM_BASE_GFN + RAM_PAGES, DISPLAY_PAGES = 100 };

static xendevicemodel_handle *dmod;

static uint32_t guest_with_model(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, RAM_PAGES, true);
    dmod = xendevicemodel_open(NULL, 0);
    EXPECT(dmod);
    return domid;
}

static uint32_t dirty_count(uint32_t domid)
{
    xc_shadow_op_stats_t stats = {0, 0};
    EXPECT(xc_logdirty_control(xch, domid, XEN_DOMCTL_SHADOW_OP_PEEK, NULL, END_GFN, 0, &stats) ==
           END_GFN);
    return stats.dirty_count;
}

static void modified_memory(void)
{
    uint32_t domid = guest_with_model();
    EXPECT(xendevicemodel_modified_memory(dmod, domid, RAM_BASE_GFN, 3) == 0); /* no log: no-op */
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    EXPECT(dirty_count(domid) == 0);
    EXPECT(xendevicemodel_modified_memory(dmod, domid, RAM_BASE_GFN + 7, 600) == 0);
    EXPECT(dirty_count(domid) == 600);
    EXPECT_ERRNO(xendevicemodel_modified_memory(dmod, domid, RAM_BASE_GFN, 0), EINVAL);
    EXPECT_ERRNO(xendevicemodel_modified_memory(dmod, NO_DOMID, RAM_BASE_GFN, 1), ESRCH);
    xendevicemodel_close(dmod);
}

static sigjmp_buf fault;

static void on_fault(int signal)
{
    siglongjmp(fault, signal);
}

/* 0, or the signal that a store through a mapping of ours gets. */
static int store_signal(uint32_t domid, uint64_t gfn)
{
    const struct sigaction action = {.sa_handler = on_fault};
    xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
    xen_pfn_t pfn = gfn;
    int error = 0;
    volatile uint32_t *page =
        xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 1, &pfn, &error);
    EXPECT(page && !error);
    EXPECT(page[5] == 0);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    int signal = sigsetjmp(fault, 1);
    if (signal == 0)
        page[5] = 1;
    xenforeignmemory_unmap(fmem, (void *)(uintptr_t)page, 1);
    xenforeignmemory_close(fmem);
    return signal;
}

static void memory_types(void)
{
    uint32_t domid = guest_with_model();
    EXPECT(xendevicemodel_set_mem_type(dmod, domid, HVMMEM_ram_ro, RAM_BASE_GFN + 10, 600) == 0);
    EXPECT(store_signal(domid, RAM_BASE_GFN + 10) != 0);
    EXPECT(store_signal(domid, RAM_BASE_GFN + 609) != 0);
    EXPECT(store_signal(domid, RAM_BASE_GFN + 9) == 0);
    EXPECT(store_signal(domid, RAM_BASE_GFN + 610) == 0);
    EXPECT(xendevicemodel_set_mem_type(dmod, domid, HVMMEM_ram_rw, RAM_BASE_GFN, RAM_PAGES) == 0);
    EXPECT(store_signal(domid, RAM_BASE_GFN + 10) == 0);
    EXPECT_ERRNO(xendevicemodel_set_mem_type(dmod, domid, HVMMEM_ram_ro, END_GFN + (1u << 20), 1),
                 EINVAL);
    EXPECT_ERRNO(xendevicemodel_set_mem_type(dmod, domid, HVMMEM_ram_ro, RAM_BASE_GFN - 1, 2),
                 EINVAL);
    EXPECT_ERRNO(xendevicemodel_set_mem_type(dmod, domid, HVMMEM_mmio_dm, RAM_BASE_GFN, 1),
                 EOPNOTSUPP);
    xendevicemodel_close(dmod);
}

static unsigned int display_bits(const unsigned long *bitmap)
{
    unsigned int count = 0;
    for (unsigned int i = 0; i < DISPLAY_PAGES; i++)
        count += bit_is_set((const uint8_t *)bitmap, i);
    return count;
}

static void display(void)
{
    static const uint32_t code[] = {
        0xf9000001, /* str x1, [x0] */
        0x52b08000, /* mov w0, #0x84000000 */
        0x72800040, /* movk w0, #2: CPU_OFF */
        0xd4000002, /* hvc #0 */
    };
    unsigned long bitmap[DISPLAY_PAGES / 64 + 1] = {0};
    uint64_t first = RAM_BASE_GFN + 700;
    uint32_t domid = guest_with_model();
    EXPECT(xendevicemodel_track_dirty_vram(dmod, domid, first, DISPLAY_PAGES, bitmap) == 0);
    EXPECT(display_bits(bitmap) == DISPLAY_PAGES);
    EXPECT(xendevicemodel_track_dirty_vram(dmod, domid, first, DISPLAY_PAGES, bitmap) == 0);
    EXPECT(display_bits(bitmap) == 0);
    guest_load(domid, RAM_BASE_GFN, code, sizeof(code) / 4, (first + 42) << 12, 1);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    guest_wait_off(domid);
    EXPECT(xendevicemodel_track_dirty_vram(dmod, domid, first, DISPLAY_PAGES, bitmap) == 0);
    EXPECT(display_bits(bitmap) == 1 && bit_is_set((const uint8_t *)bitmap, 42));
    EXPECT(xendevicemodel_track_dirty_vram(dmod, domid, first, DISPLAY_PAGES, bitmap) == 0);
    EXPECT(display_bits(bitmap) == 0);
    EXPECT(xendevicemodel_track_dirty_vram(dmod, domid, 0, 0, bitmap) == 0);
    xendevicemodel_close(dmod);
}

static void operations_of_other_emulation(void)
{
    uint32_t domid = guest_with_model();
    ioservid_t id;
    EXPECT_ERRNO(xendevicemodel_create_ioreq_server(dmod, domid, 0, &id), EOPNOTSUPP);
    EXPECT_ERRNO(xendevicemodel_set_isa_irq_level(dmod, domid, 1, 1), EOPNOTSUPP);
    EXPECT_ERRNO(xc_assign_device(xch, domid, 0, 0), ENOSYS);
    xendevicemodel_close(dmod);
}

const struct test_case devicemodel_cases[] = {
    {"model_modified_memory", modified_memory},
    {"model_memory_types", memory_types},
    {"model_display", display},
    {"model_other_operations", operations_of_other_emulation},
    {NULL, NULL},
};
