/* SPDX-License-Identifier: MIT */
/*
 * Contents of a guest's pages by hypercall: what is read is what a mapping shows, and marks
 * nothing; what is written arrives, and is in the log once; what may not be reached is refused.
 */
#include "writer_driver.h"

#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/simd.h>
#include <string.h>
#include <xen/errno.h>

#define PAGES     WRITER_REGION_PAGES
#define NONE      WRITER_NO_PAGE
#define NO_MEMORY 0x7f00000000ul /* an address where nothing is mapped */
#define ROOM      48u

static struct writer_driver driver;
static uint8_t data[ROOM + 1][4096] __attribute__((aligned(4096)));
static uint64_t frames[PAGES];

static uint64_t copies;
static unsigned registers_wrong; /* halves of our SIMD registers that a call has changed */

static int64_t copy(struct godwit_pages *request)
{
    uint64_t value = ++copies << 32;
    int64_t rc;

    simd_fill(value);
    rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_PAGES, (uint64_t)request, 0, 0, 0);
    registers_wrong += simd_count_wrong(value);
    return rc;
}

static struct godwit_pages request_for(uint32_t flags, uint64_t page, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        frames[i] = WRITER_REGION_GFN + page + i;
    }
    return (struct godwit_pages){.domid = driver.guest.domid,
                                 .flags = flags,
                                 .frames = (uint64_t)frames,
                                 .data = (uint64_t)data,
                                 .count = count,
                                 .room = ROOM};
}

/* What the call has read of a page against what a mapping shows. */
static bool is_right(uint64_t page, uint64_t frame, const void *content)
{
    static const uint8_t zeros[4096];
    void *mapped = control_map(driver.guest.domid, WRITER_REGION_GFN + page);
    bool zero = (frame & GODWIT_PAGE_ZERO) != 0;
    bool right = mapped != NULL && memcmp(mapped, zero ? zeros : content, 4096) == 0 &&
                 (zero || memcmp(mapped, zeros, 4096) != 0);

    return mapped != NULL && control_unmap(mapped) == 0 && right;
}

/* All of the region, in as many calls as it takes. */
static void test_reading(void)
{
    unsigned calls = 0, wrong = 0, contents = 0;
    int64_t rc = 0;

    writer_clean(&driver);
    for (uint64_t page = 0; rc == 0 && page < PAGES; calls++) {
        struct godwit_pages request =
            request_for(GODWIT_PAGES_READ, page, (uint32_t)(PAGES - page));
        unsigned used = 0;

        rc = copy(&request);
        for (uint32_t i = 0; i < request.count; i++) {
            wrong += !is_right(page + i, frames[i], data[used]);
            used += (frames[i] & GODWIT_PAGE_ZERO) == 0;
        }
        wrong += used != request.room || request.count == 0;
        contents += used;
        page += request.count;
    }
    report(rc == 0 && wrong == 0, "%u pages in %u calls, %u of them with contents: %u wrong, %ld",
           PAGES, calls, contents, wrong, rc);
    writer_expect(&driver, "reading everything marks nothing", NONE, NONE);
}

static void test_writing(void)
{
    struct godwit_pages request;
    int64_t rc;

    memset(data[0], 0x5a, sizeof(data[0]));
    request = request_for(GODWIT_PAGES_WRITE, 40, 2);
    frames[1] |= GODWIT_PAGE_ZERO;
    rc = copy(&request);
    report(rc == 0 && request.count == 2 && request.room == 1, "two pages, one of zeros: %ld", rc);
    report(is_right(40, frames[0], data[0]) && is_right(41, frames[1], NULL), "and they are there");
    writer_expect(&driver, "both are in the log", 40, 41);
    writer_expect(&driver, "once", NONE, NONE);

    for (uint32_t page = 100; page < 100 + 4 * ROOM; page += ROOM) {
        for (unsigned i = 0; i < ROOM; i++) {
            memset(data[i], (int)(page + i) | 1, sizeof(data[i]));
        }
        request = request_for(GODWIT_PAGES_WRITE, page, ROOM);
        rc = copy(&request);
        report(rc == 0 && request.count == ROOM, "%u pages at once: %ld", request.count, rc);
    }
    writer_clean(&driver);

    /* Contents that lie across two pages of ours. */
    memcpy(data[0] + 24, data[1], 4096);
    memset(data[0] + 24, 0x77, 4096);
    request = request_for(GODWIT_PAGES_WRITE, 43, 1);
    request.data += 24;
    rc = copy(&request);
    report(rc == 0 && is_right(43, frames[0], data[0] + 24), "contents at an odd address: %ld", rc);
    writer_expect(&driver, "that page too", 43, NONE);
    report(writer_ask(&driver, WRITER_PEEK, 43, 0, 0) == 0x7777777777777777, "the guest reads it");
}

/* Pages with one byte, near each place where a copy changes its step, and one with none. */
static void test_one_byte(void)
{
    static const unsigned offsets[] = {0,    7,    15,   16,   31,   32,   255,  256,
                                       257,  511,  512,  2047, 2048, 3839, 3840, 3841,
                                       4063, 4064, 4079, 4080, 4088, 4095, 4096};
    const unsigned n = sizeof(offsets) / sizeof(offsets[0]);
    struct godwit_pages request = request_for(GODWIT_PAGES_WRITE, 200, n);
    unsigned wrong = 0;
    int64_t rc;

    memset(data, 0, sizeof(data));
    for (unsigned i = 0; i < n - 1; i++) {
        data[i][offsets[i]] = (uint8_t)(i + 1);
    }
    rc = copy(&request);
    report(rc == 0 && request.count == n, "%u pages with a byte or none: %ld", n, rc);
    memset(data, 0xee, sizeof(data));
    request = request_for(GODWIT_PAGES_READ, 200, n);
    rc = copy(&request);
    for (unsigned i = 0; i < n - 1; i++) {
        for (unsigned at = 0; at < 4096; at++) {
            wrong += data[i][at] != (at == offsets[i] ? i + 1 : 0);
        }
        wrong += (frames[i] & GODWIT_PAGE_ZERO) != 0;
    }
    wrong += (frames[n - 1] & GODWIT_PAGE_ZERO) == 0;
    wrong += data[n - 1][0] != 0xee || data[n - 1][4095] != 0xee; /* zeros are not copied */
    report(rc == 0 && request.room == n - 1 && wrong == 0, "and back: %u differ, %ld", wrong, rc);
    writer_clean(&driver);
}

/* From behind the end of the region to its begin, by steps: never two in one run. */
static void test_any_order(void)
{
    struct godwit_pages request = request_for(GODWIT_PAGES_READ, 0, 40);
    unsigned wrong = 0, used = 0;
    int64_t rc;

    for (unsigned i = 0; i < 40; i++) {
        frames[i] = WRITER_REGION_GFN + (i * 397 + 11) % PAGES;
    }
    rc = copy(&request);
    for (unsigned i = 0; i < 40; i++) {
        wrong += !is_right((i * 397 + 11) % PAGES, frames[i], data[used]);
        used += (frames[i] & GODWIT_PAGE_ZERO) == 0;
    }
    report(rc == 0 && request.count == 40 && used == request.room && wrong == 0,
           "40 pages in no order: %u wrong, %ld", wrong, rc);
}

/* What a saver asks first: where there is RAM. */
static void test_types(void)
{
    static uint64_t list[1024];
    struct xen_domctl op = {.u.getpageframeinfo3 = {.num = 1024, .array.p = list}};
    const uint64_t none[] = {1, WRITER_REGION_GFN - (GUEST_RAM0_BASE >> 12), UINT64_C(1) << 28,
                             UINT64_C(1) << 52, UINT64_MAX};
    unsigned wrong = 0;
    int64_t rc;

    for (unsigned i = 0; i < 1024; i++) {
        list[i] = i % 67 < 5 ? none[i % 67] : WRITER_REGION_GFN + (i * 331) % PAGES;
    }
    rc = control_domctl(&op, XEN_DOMCTL_getpageframeinfo3, driver.guest.domid);
    for (unsigned i = 0; i < 1024; i++) {
        wrong += list[i] != (i % 67 < 5 ? XEN_DOMCTL_PFINFO_XTAB : XEN_DOMCTL_PFINFO_NOTAB);
    }
    report(rc == 0 && wrong == 0, "types of 1024 frames: %u wrong, %ld", wrong, rc);
    op.u.getpageframeinfo3.num = 1025;
    rc = control_domctl(&op, XEN_DOMCTL_getpageframeinfo3, driver.guest.domid);
    report(rc == -XEN_E2BIG, "of one too many: %ld", rc);
    op.u.getpageframeinfo3.num = 65;
    op.u.getpageframeinfo3.array.p = (void *)NO_MEMORY;
    rc = control_domctl(&op, XEN_DOMCTL_getpageframeinfo3, driver.guest.domid);
    report(rc == -XEN_EFAULT, "of a list that is not there: %ld", rc);
}

static void refused(const char *what, struct godwit_pages request, int64_t expected)
{
    int64_t rc = copy(&request);

    report(rc == expected, "%s: %ld", what, rc);
}

static void test_refusals(void)
{
    struct godwit_pages request = request_for(GODWIT_PAGES_READ, 0, 1);

    request.domid = 0;
    refused("ourselves", request, -XEN_EINVAL);
    request.domid = 0x7000;
    refused("nobody", request, -XEN_ESRCH);
    request = request_for(2, 0, 1);
    refused("no such direction", request, -XEN_EINVAL);
    request = request_for(GODWIT_PAGES_READ, 0, 1);
    request.frames = NO_MEMORY;
    refused("a list that is not there", request, -XEN_EFAULT);
    request = request_for(GODWIT_PAGES_WRITE, 0, 1);
    request.data = NO_MEMORY;
    refused("contents that are not there", request, -XEN_EFAULT);
    request = request_for(GODWIT_PAGES_READ, 0, 1);
    request.room = 0;
    refused("no room", request, -XEN_ENOBUFS);
    for (unsigned i = 0; i < 3; i++) {
        static const uint64_t bad[] = {1, UINT64_C(1) << 52, UINT64_MAX};

        request = request_for(GODWIT_PAGES_WRITE, 0, 1);
        frames[0] = bad[i];
        refused("a frame that is not RAM", request, -XEN_EINVAL);
    }
    writer_clean(&driver);
}

/* Frames of a guest that is gone, in the middle of those that are free again. */
static void test_destroyed_while_mapped(void)
{
    static const uint64_t pages[] = {40, 200, 201, 1023};
    uint64_t *mapped[4], words[4];
    unsigned wrong = 0;

    for (unsigned i = 0; i < 4; i++) {
        mapped[i] = control_map(driver.guest.domid, WRITER_REGION_GFN + pages[i]);
        if (mapped[i] == NULL) {
            report_abort("cannot map a page");
        }
        words[i] = mapped[i][0];
    }
    writer_stop(&driver);
    for (unsigned i = 0; i < 4; i++) {
        wrong += mapped[i][0] != words[i] || control_unmap(mapped[i]) != 0;
    }
    report(wrong == 0, "%u pages changed while a guest was destroyed that we map", wrong);
}

void guest_main(const void *dtb)
{
    uint64_t free_before = control_free_pages_settled();

    if (!writer_start(&driver, dtb)) {
        return;
    }
    report(
        control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc ==
            0,
        "ENABLE");
    test_reading();
    test_writing();
    test_one_byte();
    test_any_order();
    test_types();
    test_reading();
    test_refusals();
    report(registers_wrong == 0, "%u halves of our registers differ behind %lu calls",
           registers_wrong, copies);
    test_destroyed_while_mapped();
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
