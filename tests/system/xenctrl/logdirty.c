/* SPDX-License-Identifier: MIT */
/* XEN_DOMCTL_shadow_op through xc_shadow_control and xc_logdirty_control. */
#include "case.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenforeignmemory.h>

enum { RAM_PAGES = 2048, PAGES = RAM_BASE_GFN + RAM_PAGES, CODE_PAGE = 5, PAGE_BYTES = 4096 };

/* Stores to every second page from x0 up to x1, then switches its CPU off (PSCI CPU_OFF). */
static const uint32_t writer[] = {
    0xf9000001, /* 0: str x1, [x0] */
    0x91400800, /* add x0, x0, #0x2000 */
    0xeb01001f, /* cmp x0, x1 */
    0x54ffffa3, /* b.lo 0b */
    0x52b08000, /* mov w0, #0x84000000 */
    0x72800040, /* movk w0, #2 */
    0xd4000002, /* hvc #0 */
    0x14000000, /* b . */
};

static uint8_t bitmap[PAGES / 8];

static long long log_op(uint32_t domid, unsigned int op, uint8_t *to, uint64_t pages,
                        unsigned int mode, xc_shadow_op_stats_t *stats)
{
    DECLARE_HYPERCALL_BUFFER(uint8_t, buffer);
    size_t bytes = (pages + 7) / 8;
    buffer = xc_hypercall_buffer_alloc_pages(xch, buffer, bytes / PAGE_BYTES + 1);
    EXPECT(buffer);
    memset(buffer, 0xff, (bytes / PAGE_BYTES + 1) * PAGE_BYTES);
    errno = 0;
    long long result =
        xc_logdirty_control(xch, domid, op, HYPERCALL_BUFFER(buffer), pages, mode, stats);
    int error = errno;
    bool tail_untouched = buffer[bytes] == 0xff;
    if (to && result >= 0)
        memcpy(to, buffer, bytes < sizeof(bitmap) ? bytes : sizeof(bitmap));
    xc_hypercall_buffer_free_pages(xch, buffer, bytes / PAGE_BYTES + 1);
    EXPECT(tail_untouched);
    errno = error;
    return result;
}

static unsigned int bits_set(void)
{
    unsigned int count = 0;
    for (uint64_t i = 0; i < PAGES; i++)
        count += bit_is_set(bitmap, i);
    return count;
}

static uint32_t guest_with_log(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, RAM_PAGES, true);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    return domid;
}

/* Lets the guest write every second page of [first, last) of its RAM, and waits until it has. */
static void guest_write(uint32_t domid, uint64_t first, uint64_t last)
{
    guest_load(domid, RAM_BASE_GFN + CODE_PAGE, writer, sizeof(writer) / 4,
               (RAM_BASE_GFN + first) * PAGE_BYTES, (RAM_BASE_GFN + last) * PAGE_BYTES);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    guest_wait_off(domid);
    EXPECT(xc_domain_pause(xch, domid) == 0);
}

static void expect_every_second(uint64_t first, uint64_t last)
{
    for (uint64_t i = 0; i < RAM_PAGES; i++) {
        bool written = i >= first && i < last && (i - first) % 2 == 0;
        if (i == CODE_PAGE) /* loading the code marks that page too */
            continue;
        errno = (int)i; /* shows which page it is */
        EXPECT(bit_is_set(bitmap, RAM_BASE_GFN + i) == written);
    }
}

static void enable_and_off(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, RAM_PAGES, true);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) == 0);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    EXPECT_ERRNO(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0),
                 EINVAL);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) == 0);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE, NULL,
                             XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY) == 0);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) == 0);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) == 0);
}

static void bad_operations(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, RAM_PAGES, true);
    EXPECT_ERRNO(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_TEST, NULL, 0), EINVAL);
    EXPECT_ERRNO(xc_shadow_control(xch, domid, 3, NULL, 0), EINVAL); /* was ENABLE_TRANSLATE */
    EXPECT_ERRNO(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE, NULL, 0), EINVAL);
    EXPECT_ERRNO(xc_shadow_control(xch, domid, 77, NULL, 0), EINVAL);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    EXPECT_ERRNO(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, NULL, PAGES, 2, NULL), EINVAL);
}

static void new_log_is_empty(void)
{
    xc_shadow_op_stats_t stats = {1, 1};
    uint32_t domid = guest_with_log();
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, &stats) == PAGES);
    EXPECT(bits_set() == 0 && stats.dirty_count == 0);
}

static void written_pages_and_no_others(void)
{
    xc_shadow_op_stats_t stats;
    uint32_t domid = guest_with_log();
    guest_write(domid, 100, 1300);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, &stats) == PAGES);
    expect_every_second(100, 1300);
    EXPECT(stats.dirty_count == bits_set());
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES, 0, &stats) == PAGES);
    expect_every_second(100, 1300);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, &stats) == PAGES);
    EXPECT(bits_set() == 0 && stats.dirty_count == 0);
    guest_write(domid, 1001, 1401);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES,
                  XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, &stats) == PAGES);
    expect_every_second(1001, 1401);
}

/*
 * A CLEAN of fewer pages clears only what it reported: each written page is in its bitmap (whose
 * last byte may hold bits past the end) or still in the log, never in both and never in none.
 */
static void partial_clean(void)
{
    static uint8_t first[sizeof(bitmap)];
    xc_shadow_op_stats_t stats;
    uint32_t domid = guest_with_log();
    guest_write(domid, 100, 1300);
    memset(bitmap, 0, sizeof(bitmap));
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, RAM_BASE_GFN + 700, 0, &stats) ==
           RAM_BASE_GFN + 700);
    memcpy(first, bitmap, sizeof(first));
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, &stats) == PAGES);
    EXPECT(stats.dirty_count == bits_set() && !bit_is_set(bitmap, RAM_BASE_GFN + 698));
    for (size_t i = 0; i < sizeof(bitmap); i++) {
        EXPECT((first[i] & bitmap[i]) == 0);
        bitmap[i] |= first[i];
    }
    expect_every_second(100, 1300);
}

static void null_bitmap_gives_counts(void)
{
    xc_shadow_op_stats_t stats;
    uint32_t domid = guest_with_log();
    guest_write(domid, 100, 300);
    EXPECT(xc_logdirty_control(xch, domid, XEN_DOMCTL_SHADOW_OP_PEEK, NULL, PAGES, 0, &stats) ==
           PAGES);
    EXPECT(stats.dirty_count >= 100);
    EXPECT(xc_logdirty_control(xch, domid, XEN_DOMCTL_SHADOW_OP_CLEAN, NULL, PAGES, 0, &stats) ==
           PAGES);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, &stats) == PAGES);
    EXPECT(bits_set() == 0);
}

static void oversized_request(void)
{
    xc_shadow_op_stats_t stats;
    uint32_t domid = guest_with_log();
    guest_write(domid, 100, 300);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES + (8u << 20), 0, &stats) >=
           PAGES);
    expect_every_second(100, 300);
}

static xenforeignmemory_handle *fmem;

static uint64_t *map_all(uint32_t domid)
{
    static xen_pfn_t pfns[RAM_PAGES / 4];
    static int errors[RAM_PAGES / 4];
    for (unsigned int i = 0; i < RAM_PAGES / 4; i++)
        pfns[i] = RAM_BASE_GFN + 512 + i;
    fmem = xenforeignmemory_open(NULL, 0);
    EXPECT(fmem);
    uint64_t *at =
        xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, RAM_PAGES / 4, pfns, errors);
    EXPECT(at);
    return at;
}

/* The control domain's mappings: reading marks nothing, writing marks that page. */
static void foreign_read_marks_nothing_write_marks(void)
{
    uint32_t domid = guest_with_log();
    uint64_t *at = map_all(domid), sum = 0;
    for (unsigned int i = 0; i < RAM_PAGES / 4; i++)
        sum += at[i * PAGE_BYTES / 8];
    EXPECT(sum == 0);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES, 0, NULL) == PAGES);
    EXPECT(bits_set() == 0);
    at[3 * PAGE_BYTES / 8] = 1;
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES, 0, NULL) == PAGES);
    EXPECT(bits_set() == 1 && bit_is_set(bitmap, RAM_BASE_GFN + 512 + 3));
    xenforeignmemory_unmap(fmem, at, RAM_PAGES / 4);
    xenforeignmemory_close(fmem);
}

/* A mapping made before the log was switched on can write without a fault: its pages count. */
static void foreign_mapping_older_than_the_log(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, RAM_PAGES, true);
    uint64_t *at = map_all(domid);
    at[0] = 1; /* writable for certain */
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    at[0] = 2;
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES,
                  XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, NULL) == PAGES);
    EXPECT(bit_is_set(bitmap, RAM_BASE_GFN + 512));
    xenforeignmemory_unmap(fmem, at, RAM_PAGES / 4);
    xenforeignmemory_close(fmem);
}

/* A copy that fails half-way loses no bit: the next CLEAN reports all. */
static void failing_copy_loses_nothing(void)
{
    uint32_t domid = guest_with_log();
    size_t bytes = PAGES / 8, room = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    guest_write(domid, 100, 1300);
    uint8_t *at =
        mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    EXPECT(at != MAP_FAILED);
    /* The page with the dirty bits is the last one: it goes, the others have been copied by then.
     */
    EXPECT(munmap(at + room - PAGE_BYTES, PAGE_BYTES) == 0);
    xc_hypercall_buffer_t raw = {.hbuf = at};
    EXPECT_ERRNO(xc_logdirty_control(xch, domid, XEN_DOMCTL_SHADOW_OP_CLEAN, &raw, PAGES, 0, NULL),
                 EFAULT);
    munmap(at, room - PAGE_BYTES);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, PAGES, 0, NULL) == PAGES);
    expect_every_second(100, 1300);
}

/* After OFF the guest writes without being logged, and the next log starts empty. */
static void log_starts_empty_again(void)
{
    uint32_t domid = guest_with_log();
    guest_write(domid, 100, 300);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) == 0);
    guest_write(domid, 300, 500);
    EXPECT(xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) == 0);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, NULL) == PAGES);
    EXPECT(bits_set() == 0);
    guest_write(domid, 600, 800);
    EXPECT(log_op(domid, XEN_DOMCTL_SHADOW_OP_PEEK, bitmap, PAGES, 0, NULL) == PAGES);
    expect_every_second(600, 800);
}

const struct test_case logdirty_cases[] = {
    {"enable_and_off", enable_and_off},
    {"bad_operations", bad_operations},
    {"new_log_is_empty", new_log_is_empty},
    {"written_pages_and_no_others", written_pages_and_no_others},
    {"partial_clean", partial_clean},
    {"null_bitmap_gives_counts", null_bitmap_gives_counts},
    {"oversized_request", oversized_request},
    {"foreign_read_marks_nothing_write_marks", foreign_read_marks_nothing_write_marks},
    {"foreign_mapping_older_than_the_log", foreign_mapping_older_than_the_log},
    {"failing_copy_loses_nothing", failing_copy_loses_nothing},
    {"log_starts_empty_again", log_starts_empty_again},
    {NULL, NULL},
};
