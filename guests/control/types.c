/* SPDX-License-Identifier: MIT */
/*
 * Pages that the guest may only read: no store gets through, whoever asks, whether the log is on,
 * is being turned on or was turned off; and what is read-only for the log's sake stays apart.
 */
#include "writer_driver.h"

#include <guest/exception.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>

#define NONE   WRITER_NO_PAGE
#define ABORTS 6 /* stores that WRITER_STORE_ABORTS tries */

#define OP_OFF    XEN_DOMCTL_SHADOW_OP_OFF
#define OP_ENABLE XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY

static struct writer_driver driver;

static int64_t ask(enum writer_command command, uint64_t a)
{
    return writer_ask(&driver, command, a, 0, 0);
}

static int64_t set_type(uint16_t mem_type, uint64_t page, uint32_t pages)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_mem_type,
                           .u.set_mem_type = {.nr = pages,
                                              .mem_type = mem_type,
                                              .first_pfn = WRITER_REGION_GFN + page}};
    struct xen_dm_op_buf buffer = {.size = sizeof(op)};

    set_xen_guest_handle(buffer.h, &op);
    return hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 1, (uint64_t)&buffer, 0, 0);
}

static int64_t get_type(uint64_t gfn)
{
    struct xen_hvm_get_mem_type get = {.domid = driver.guest.domid, .mem_type = 99, .pfn = gfn};
    int64_t rc = hypercall(__HYPERVISOR_hvm_op, HVMOP_get_mem_type, (uint64_t)&get, 0, 0, 0);

    return rc != 0 ? rc : get.mem_type;
}

static int64_t shadow(uint32_t op)
{
    return control_shadow(driver.guest.domid, op, 0, NULL, 0).rc;
}

/* No kind of store reaches the page, and its content stays. */
static void check_readonly(const char *when, uint64_t page)
{
    int64_t before = ask(WRITER_PEEK, page), aborts = ask(WRITER_STORE_ABORTS, page);
    int64_t rc;

    report(aborts == ABORTS, "%s: %ld of %d stores abort", when, aborts, ABORTS);
    rc = ask(WRITER_HYPERCALL_OUT, page);
    report(rc == -XEN_EFAULT, "%s: output of a hypercall is refused: %ld", when, rc);
    report(ask(WRITER_PEEK, page) == before, "%s: the page is as it was", when);
}

static void check_writable(const char *when, uint64_t page)
{
    int64_t aborts = ask(WRITER_STORE_ABORTS, page);

    report(aborts == 0, "%s: %ld of %d stores abort", when, aborts, ABORTS);
}

static void test_without_log(void)
{
    struct godwit_stats before = writer_stats(&driver), after;

    ask(WRITER_STORE, 10);
    report(set_type(HVMMEM_ram_ro, 10, 1) == 0, "a page becomes read-only");
    check_readonly("without a log", 10);
    check_writable("its neighbour", 11);
    report(get_type(WRITER_REGION_GFN + 10) == HVMMEM_ram_ro &&
               get_type(WRITER_REGION_GFN + 11) == HVMMEM_ram_rw && get_type(1) == HVMMEM_mmio_dm &&
               get_type(UINT64_MAX) == HVMMEM_mmio_dm,
           "get_mem_type knows");
    report(set_type(HVMMEM_ram_ro, 1024, 512) == 0, "a block becomes read-only");
    after = writer_stats(&driver);
    report(after.leaves[2] == before.leaves[2] - 1, "and stays a block: %lu were %lu",
           after.leaves[2], before.leaves[2]);
    check_readonly("a block", 1024 + 511);
}

static void test_with_log(void)
{
    report(shadow(OP_ENABLE) == 0, "ENABLE");
    check_readonly("while logging", 10);
    check_readonly("while logging, a block", 1024);
    writer_expect(&driver, "refused stores", NONE, NONE);
    ask(WRITER_STORE, 20);
    report(set_type(HVMMEM_ram_ro, 20, 1) == 0, "a dirty page becomes read-only");
    check_readonly("a dirty page", 20);
    writer_expect(&driver, "what was written before", 20, NONE);
    writer_expect(&driver, "and nothing after", NONE, NONE);
    report(set_type(HVMMEM_ram_ro, 30, 1) == 0, "a clean page becomes read-only");
    check_readonly("a clean page", 30);
    report(set_type(HVMMEM_ram_rw, 30, 1) == 0, "and writable again");
    writer_expect(&driver, "a change of type alone", NONE, NONE);
    check_writable("writable again", 30);
    writer_expect(&driver, "writable again", 30, NONE);
    report(set_type(HVMMEM_ram_rw, 1024, 512) == 0, "the block becomes writable");
    check_writable("a page of that block", 1030);
    writer_expect(&driver, "a page of that block", 1030, NONE);
    report(set_type(HVMMEM_ram_ro, 1024, 512) == 0, "and read-only");
    check_readonly("the block again", 1030);
}

/* The control domain's mappings follow what the page is. */
static void test_foreign(void)
{
    volatile uint64_t *page = control_map(driver.guest.domid, WRITER_REGION_GFN + 10);
    struct fault fault;

    if (page == NULL) {
        report(false, "a read-only page can be mapped");
        return;
    }
    (void)*page;
    fault_expect();
    *page = 1;
    fault = fault_taken();
    report(fault.taken, "but not be written through the mapping");
    control_unmap((void *)page);
    page = control_map(driver.guest.domid, WRITER_REGION_GFN + 21);
    if (page == NULL) {
        report(false, "a writable page can be mapped");
        return;
    }
    *page = 1;
    report(ask(WRITER_PEEK, 21) == 1, "a page closed for the log can be written");
    control_unmap((void *)page);
    writer_clean(&driver);
}

static void test_after_log(void)
{
    struct godwit_stats stats;

    report(shadow(OP_OFF) == 0, "OFF");
    check_readonly("after OFF", 10);
    check_readonly("after OFF, a block", 1024);
    check_writable("after OFF, its neighbour", 11);
    report(set_type(HVMMEM_ram_rw, 0, WRITER_REGION_PAGES) == 0, "everything becomes writable");
    check_writable("everything", 10);
    check_writable("everything", 1024);
    /* The next time that logging goes off all of it is merged. */
    report(shadow(OP_ENABLE) == 0 && shadow(OP_OFF) == 0, "ENABLE and OFF");
    stats = writer_stats(&driver);
    report(stats.leaves[2] == 16 && stats.leaves[3] == 1, "16 blocks again: %lu and %lu pages",
           stats.leaves[2], stats.leaves[3]);
}

/* All read-only ranges of the guest, with room for so many at a time; how many pages that are. */
static uint64_t readonly_pages(uint32_t room, struct godwit_range *ret_first, unsigned *ret_calls)
{
    static struct godwit_range ranges[8];
    struct godwit_readonly request = {.domid = driver.guest.domid, .ranges = (uint64_t)ranges};
    uint64_t pages = 0;

    for (*ret_calls = 0; request.first_gfn != UINT64_MAX && *ret_calls < 10000; ++*ret_calls) {
        request.count = room;
        if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_READONLY, (uint64_t)&request, 0, 0, 0) != 0) {
            return UINT64_MAX;
        }
        for (uint32_t i = 0; i < request.count; i++) {
            *ret_first = pages == 0 ? ranges[i] : *ret_first;
            pages += ranges[i].pages;
        }
    }
    return pages;
}

static void test_list(void)
{
    struct godwit_range first = {0};
    unsigned calls;
    uint64_t pages = readonly_pages(8, &first, &calls);

    report(pages == 513 && first.first_gfn == WRITER_REGION_GFN + 10 && first.pages == 1,
           "the list of read-only memory: %lu pages", pages);
    set_type(HVMMEM_ram_ro, 3000, 1);
    set_type(HVMMEM_ram_ro, 3002, 1);
    report(readonly_pages(8, &first, &calls) == 515, "two more");
    report(readonly_pages(1, &first, &calls) == 515 && calls >= 4, "one at a time, in %u calls",
           calls);
    set_type(HVMMEM_ram_rw, 3000, 3);
}

static void test_errors(void)
{
    report(set_type(HVMMEM_ram_ro, 40, 0) == -XEN_EINVAL, "no pages");
    report(set_type(HVMMEM_unused, 40, 1) == -XEN_EINVAL, "no such type");
    report(set_type(HVMMEM_mmio_dm, 40, 1) == -XEN_EOPNOTSUPP, "a type without its emulation");
    report(set_type(HVMMEM_ram_ro, 1ul << 40, 1) == -XEN_EINVAL, "behind the last page");
    report(ask(WRITER_GIVE_UP, 50) == 1 && set_type(HVMMEM_ram_ro, 50, 1) == -XEN_EINVAL, "a hole");
    report(set_type(HVMMEM_ram_ro, 48, 4) == -XEN_EINVAL &&
               get_type(WRITER_REGION_GFN + 48) == HVMMEM_ram_rw,
           "a range with a hole changes nothing");
    report(ask(WRITER_TAKE, 50) == 1, "the hole is filled");
}

void guest_main(const void *dtb)
{
    uint64_t free_before = control_free_pages_settled();

    if (!writer_start(&driver, dtb)) {
        return;
    }
    test_without_log();
    test_list();
    test_with_log();
    test_foreign();
    test_after_log();
    test_errors();
    writer_stop(&driver);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
