/* SPDX-License-Identifier: MIT */
/* What copying pages by hypercall costs. */
#include "bench_pages.h"

#include "control.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <string.h>

#define PAGES  512u /* in a call */
#define ROUNDS 4u

static uint8_t data[PAGES][4096] __attribute__((aligned(4096)));
static uint64_t frames[PAGES];

struct guest_kind {
    enum control_layout layout;
    const char *write, *write_zeros, *read, *read_zeros;
};

/* Nanoseconds, which are instructions, of copying pages as often as it takes. */
static uint64_t timed_copy(domid_t domid, uint32_t flags, uint64_t mark)
{
    uint64_t ticks = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t done = 0; done < PAGES;) {
            struct godwit_pages request = {.domid = domid,
                                           .flags = flags,
                                           .frames = (uint64_t)frames,
                                           .data = (uint64_t)data,
                                           .count = PAGES - done,
                                           .room = PAGES};
            uint64_t start;
            int64_t rc;

            for (uint32_t i = 0; i < request.count; i++) {
                uint64_t page = round * PAGES + done + i;

                frames[i] = ((GUEST_RAM0_BASE >> 12) + page) | mark;
            }
            start = timer_count();
            rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_PAGES, (uint64_t)&request, 0, 0, 0);
            ticks += timer_count() - start;
            if (rc != 0 || request.count == 0) {
                report_abort("copying pages fails");
            }
            done += request.count;
        }
    }
    return ticks * (1000000000ul / timer_hz());
}

static void print_page(const char *name, uint64_t instructions)
{
    uint64_t tenths = instructions * 10 / (ROUNDS * PAGES);

    print("cost %s %lu.%lu instructions\n", name, tenths / 10, tenths % 10);
}

static void bench_kind(const struct guest_kind *kind)
{
    struct control_guest guest;

    if (control_guest_create_as(&guest, 16ul << 20, 1, kind->layout) != 0) {
        report_abort("no guest");
    }
    memset(data, 0x5a, sizeof(data));
    print_page(kind->write, timed_copy(guest.domid, GODWIT_PAGES_WRITE, 0));
    print_page(kind->read, timed_copy(guest.domid, GODWIT_PAGES_READ, 0));
    print_page(kind->write_zeros, timed_copy(guest.domid, GODWIT_PAGES_WRITE, GODWIT_PAGE_ZERO));
    print_page(kind->read_zeros, timed_copy(guest.domid, GODWIT_PAGES_READ, 0));
    control_guest_destroy(&guest);
}

void bench_pages(void)
{
    static const struct guest_kind kinds[] = {
        {CONTROL_LAYOUT_BLOCKS, "pages_write_in_blocks", "pages_write_zeros_in_blocks",
         "pages_read_in_blocks", "pages_read_zeros_in_blocks"},
        {CONTROL_LAYOUT_PAGES, "pages_write_in_pages", "pages_write_zeros_in_pages",
         "pages_read_in_pages", "pages_read_zeros_in_pages"},
    };

    bench_kind(&kinds[0]);
    bench_kind(&kinds[1]);
}
