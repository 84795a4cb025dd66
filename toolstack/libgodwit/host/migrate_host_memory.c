/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "migrate_host_xen.h"

#define TYPES_AT_ONCE 1024u
/* The most that a look at the log costs: so many calls, each over so many frames. */
#define PEEK_CALLS    8u
#define PEEK_FRAMES   4096u

static int shadow(struct migrate_xen *x, uint32_t domid, uint32_t op)
{
    struct gw_shadow request = {.op = op};

    return gw_hv_shadow_op(x->hv, domid, &request);
}

int migrate_xen_log_off(struct migrate_xen *x, uint32_t domid)
{
    int rc = shadow(x, domid, XEN_DOMCTL_SHADOW_OP_OFF);

    if (rc < 0 && rc != -ESRCH)
        return rc; /* marked as it is: the next owner tries again */
    gw_log_owner_unmark(&x->owner);
    return 0;
}

int migrate_xen_log_start(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc;

    if (x->owner.claim_fd < 0 && gw_log_owner_take(&x->owner, domid, "godwit migrate", err))
        return -1;
    /* We own it, so a log that is on was left by somebody who was killed. */
    if (gw_log_owner_mark(&x->owner, err)) {
        gw_log_owner_release(&x->owner);
        return -1;
    }
    rc = shadow(x, domid, XEN_DOMCTL_SHADOW_OP_OFF);
    if (rc == 0)
        rc = shadow(x, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY);
    if (rc == 0)
        rc = gw_hv_dirty_epoch(x->hv, domid, &x->log_epoch);
    if (rc == 0)
        return 0;
    migrate_xen_log_off(x, domid);
    gw_log_owner_release(&x->owner);
    return gw_error_errno(err, rc, "cannot switch on the dirty log of domain %u", domid);
}

int migrate_xen_log_stop(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct migrate_xen *x = ctx;

    /* After a process that was killed: its ownership is gone, and another may have come. */
    if (x->owner.claim_fd < 0 && gw_log_owner_take(&x->owner, domid, "godwit migrate", err))
        return err->code == GW_EXIT_STATE ? 0 : -1;
    int rc = migrate_xen_log_off(x, domid);
    gw_log_owner_release(&x->owner);
    if (rc == 0)
        return 0;
    return gw_error_errno(err, rc, "cannot switch off the dirty log of domain %u", domid);
}

static int reserve_bitmap(struct migrate_xen *x, uint64_t pages, struct gw_error *err)
{
    size_t bytes = (size_t)((pages + 63) / 64 * 8);

    if (x->bitmap && x->bitmap_bytes >= bytes)
        return 0;
    gw_hv_buffer_free(x->hv, x->bitmap, x->bitmap_bytes);
    x->bitmap_bytes = bytes;
    x->bitmap = gw_hv_buffer_alloc(x->hv, bytes);
    return x->bitmap ? 0 : gw_error_set(err, GW_EXIT_FAILED, "no memory for the dirty bitmap");
}

int migrate_xen_log_take(void *ctx, uint32_t domid, uint64_t pages, bool final,
                         const uint8_t **ret_bitmap, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc;

    if (reserve_bitmap(x, pages, err))
        return -1;
    rc = gw_hv_dirty_take(x->hv, domid, pages, final, x->bitmap, &x->log_epoch);
    if (rc == -EILSEQ)
        return gw_error_set(err, GW_EXIT_FAILED,
                            "another program has taken pages from the dirty log of domain %u, or "
                            "switched it: end that program and try again",
                            domid);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot take the dirty log of domain %u", domid);
    *ret_bitmap = x->bitmap;
    return 0;
}

/* Both in ascending order. Returns the first frame that it did not come to. */
static unsigned match_ranges(const uint64_t *gfns, unsigned n, uint64_t end,
                             const struct godwit_range *ranges, uint32_t ranges_n, bool *ret_dirty)
{
    unsigned i = 0;

    for (uint32_t r = 0; i < n && gfns[i] < end; i++) {
        while (r < ranges_n && ranges[r].first_gfn + ranges[r].pages <= gfns[i])
            r++;
        ret_dirty[i] = r < ranges_n && ranges[r].first_gfn <= gfns[i];
    }
    return i;
}

int migrate_xen_log_peek(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                         bool *ret_dirty, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    const struct godwit_range *ranges;
    uint32_t ranges_n;

    memset(ret_dirty, 0, n * sizeof(*ret_dirty));
    for (unsigned i = 0, calls = 0; i < n && calls < PEEK_CALLS; calls++) {
        uint64_t last = gfns[n - 1] + 1;
        uint64_t end = last - gfns[i] > PEEK_FRAMES ? gfns[i] + PEEK_FRAMES : last;
        int rc = gw_hv_dirty_peek(x->hv, domid, gfns[i], end, &ranges, &ranges_n);

        if (rc == -EBUSY || rc == -ENOSYS)
            return 0; /* it is an optimisation: nobody waits for it */
        if (rc < 0)
            return gw_error_errno(err, rc, "cannot look at the dirty log of domain %u", domid);
        i += match_ranges(gfns + i, n - i, end, ranges, ranges_n, ret_dirty + i);
    }
    return 0;
}

static bool has_page(uint32_t type)
{
    uint32_t kind = type & XEN_DOMCTL_PFINFO_LTAB_MASK;

    return kind != XEN_DOMCTL_PFINFO_XTAB && kind != XEN_DOMCTL_PFINFO_XALLOC &&
           kind != XEN_DOMCTL_PFINFO_BROKEN;
}

/* Appends a frame to the list of ranges. */
static int add_frame(struct stream_memory *memory, uint64_t gfn)
{
    struct stream_range *last = &memory->ranges[memory->count ? memory->count - 1 : 0];

    if (memory->count && last->first_gfn + last->pages == gfn) {
        last->pages++;
        return 0;
    }
    if (memory->count == STREAM_RANGES_MAX)
        return -E2BIG;
    memory->ranges[memory->count++] = (struct stream_range){.first_gfn = gfn, .pages = 1};
    return 0;
}

/* Frames of Xen's guest map below the first place for memory, and between the two banks of RAM. */
static uint64_t skip_hole(uint64_t gfn)
{
    const uint64_t first = GUEST_GNTTAB_BASE >> GW_PAGE_SHIFT;
    const uint64_t bank0_end = (GUEST_RAM0_BASE + GUEST_RAM0_SIZE) >> GW_PAGE_SHIFT;
    const uint64_t bank1 = GUEST_RAM1_BASE >> GW_PAGE_SHIFT;

    if (gfn < first)
        return first;
    return gfn >= bank0_end && gfn < bank1 ? bank1 : gfn;
}

/* Adds the frames of [gfn, gfn + n) that have a page. Returns how many, or -errno. */
static int add_frames(struct migrate_xen *x, uint32_t domid, uint64_t gfn, unsigned n,
                      struct stream_memory *memory)
{
    uint64_t gfns[TYPES_AT_ONCE] = {0};
    uint32_t types[TYPES_AT_ONCE];
    int found = 0;

    for (unsigned i = 0; i < n; i++)
        gfns[i] = gfn + i;
    int rc = gw_hv_page_types(x->hv, domid, gfns, types, n);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        if (has_page(types[i])) {
            rc = add_frame(memory, gfns[i]);
            found++;
        }
    }
    return rc < 0 ? rc : found;
}

/* Asks what is at each frame, and insists on finding every page that the guest has. */
int migrate_xen_ranges(void *ctx, uint32_t domid, struct stream_memory *ret_memory,
                       struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    struct gw_domain_info info;
    uint64_t maximum = 0, found = 0;
    int rc = gw_hv_domain_info(x->hv, domid, &info);

    if (rc == 0)
        rc = gw_hv_maximum_gfn(x->hv, domid, &maximum);
    memset(ret_memory, 0, sizeof(*ret_memory));
    for (uint64_t gfn = skip_hole(0); rc >= 0 && gfn <= maximum && found < info.tot_pages;) {
        unsigned n = maximum - gfn < TYPES_AT_ONCE ? (unsigned)(maximum - gfn) + 1 : TYPES_AT_ONCE;

        rc = add_frames(x, domid, gfn, n, ret_memory);
        found += rc > 0 ? (unsigned)rc : 0;
        gfn = skip_hole(gfn + n);
    }
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot find the memory of domain %u", domid);
    if (found != info.tot_pages)
        return gw_error_set(err, GW_EXIT_FAILED, "domain %u has %llu pages, %llu were found", domid,
                            (unsigned long long)info.tot_pages, (unsigned long long)found);
    return 0;
}

static int pages_failed(const char *what, const uint64_t *gfns, unsigned n, int rc,
                        struct gw_error *err)
{
    return gw_error_errno(err, rc, "cannot %s %u pages at frame 0x%llx", what, n,
                          (unsigned long long)gfns[0]);
}

int migrate_xen_read_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                           unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc = gw_hv_pages_read(x->hv, domid, gfns, n, data, room, ret_zero, ret_done);

    return rc < 0 ? pages_failed("read", gfns, n, rc, err) : 0;
}

int migrate_xen_write_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                            const void *data, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc = gw_hv_pages_write(x->hv, domid, gfns, n, data);

    return rc < 0 ? pages_failed("write", gfns, n, rc, err) : 0;
}

int migrate_xen_get_readonly(void *ctx, uint32_t domid, uint64_t *gfn,
                             struct stream_range *ret_ranges, unsigned max, unsigned *ret_n,
                             struct gw_error *err)
{
    struct godwit_range ranges[GW_HV_RANGES_MAX];
    struct migrate_xen *x = ctx;
    int rc = gw_hv_get_readonly(x->hv, domid, gfn, ranges,
                                max < GW_HV_RANGES_MAX ? max : GW_HV_RANGES_MAX, ret_n);

    if (rc < 0)
        return gw_error_errno(err, rc, "cannot find the read-only memory of domain %u", domid);
    for (unsigned i = 0; i < *ret_n; i++)
        ret_ranges[i] = (struct stream_range){ranges[i].first_gfn, ranges[i].pages};
    return 0;
}

int migrate_xen_set_readonly(void *ctx, uint32_t domid, const struct stream_range *range,
                             struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc = gw_hv_set_readonly(x->hv, domid, range->first_gfn, range->pages);

    if (rc < 0)
        return gw_error_errno(err, rc, "cannot make %llu pages at frame 0x%llx read-only",
                              (unsigned long long)range->pages,
                              (unsigned long long)range->first_gfn);
    return 0;
}
