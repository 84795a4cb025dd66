/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "hv_internal.h"

#define BUSY_TRIES   200u
#define BUSY_WAIT_MS 10u

int gw_hv_shadow_op(struct gw_hv *hv, uint32_t domid, struct gw_shadow *op)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_shadow_op, domid);
    struct xen_domctl_shadow_op *abi = &domctl->u.shadow_op;
    int rc;

    abi->op = op->op;
    abi->mode = op->mode;
    abi->dirty_bitmap.p = op->bitmap;
    abi->pages = op->pages;
    rc = hv_domctl_run(hv);
    if (rc < 0)
        return rc;
    op->pages = abi->pages;
    op->fault_count = abi->stats.fault_count;
    op->dirty_count = abi->stats.dirty_count;
    return 0;
}

static void set_bits(uint8_t *bitmap, uint64_t first, uint64_t n)
{
    for (; n && first % 8; first++, n--)
        bitmap[first / 8] |= (uint8_t)(1u << first % 8);
    memset(bitmap + first / 8, 0xff, (size_t)(n / 8));
    for (first += n & ~UINT64_C(7), n %= 8; n; first++, n--)
        bitmap[first / 8] |= (uint8_t)(1u << first % 8);
}

/* Waits a little for somebody who is in the middle of a call. False: he has had his time. */
static bool wait_for_other(unsigned *tries)
{
    const struct timespec pause = {.tv_nsec = BUSY_WAIT_MS * 1000000L};

    if ((*tries)++ >= BUSY_TRIES)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

int gw_hv_dirty_epoch(struct gw_hv *hv, uint32_t domid, uint64_t *ret_epoch)
{
    struct godwit_dirty_ranges *request = hv->scratch;
    unsigned tries = 0;

    do {
        *request = (struct godwit_dirty_ranges){.domid = (uint16_t)domid,
                                                .flags = GODWIT_DIRTY_PEEK,
                                                .ranges = (uintptr_t)(request + 1),
                                                .count = 64};
        if (xencall2(hv->call, GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)request) == 0) {
            *ret_epoch = request->epoch;
            return 0;
        }
    } while (errno == EBUSY && wait_for_other(&tries));
    *ret_epoch = 0;
    return errno == ENOSYS ? 0 : -errno;
}

#define SCRATCH_RANGES                                                                             \
    ((HV_SCRATCH_BYTES - sizeof(struct godwit_dirty_ranges)) / sizeof(struct godwit_range))

struct asked {
    const struct godwit_range *ranges; /* in the scratch memory: until the next call */
    uint32_t n;
};

/*
 * One call, for frames [*gfn, end): as many ranges as there is room for. *gfn becomes where it
 * ended. *epoch as in gw_hv_dirty_take().
 */
static int ask_ranges(struct gw_hv *hv, uint32_t domid, uint32_t flags, uint64_t *gfn, uint64_t end,
                      uint64_t *epoch, struct asked *ret_asked)
{
    struct godwit_dirty_ranges *request = hv->scratch;
    const struct godwit_range *ranges = (const struct godwit_range *)(const void *)(request + 1);

    *request = (struct godwit_dirty_ranges){
        .domid = (uint16_t)domid,
        .flags = flags,
        .first_gfn = *gfn,
        .end_gfn = end,
        .ranges = (uintptr_t)ranges,
        .count = SCRATCH_RANGES,
        .epoch = *epoch,
    };
    if (xencall2(hv->call, GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uintptr_t)request) < 0)
        return -errno;
    if (request->count > SCRATCH_RANGES || request->first_gfn <= *gfn || request->first_gfn > end)
        return -EIO;
    for (uint32_t i = 0; i < request->count; i++)
        if (ranges[i].first_gfn >= end || ranges[i].pages > end - ranges[i].first_gfn)
            return -EIO;
    *gfn = request->first_gfn;
    *epoch = request->epoch;
    *ret_asked = (struct asked){.ranges = ranges, .n = request->count};
    return 0;
}

static int take_some(struct gw_hv *hv, uint32_t domid, uint64_t pages, bool final, uint64_t *gfn,
                     uint8_t *bitmap, uint64_t *epoch)
{
    struct asked asked = {0};
    int rc = ask_ranges(hv, domid, final ? GODWIT_DIRTY_FINAL : 0, gfn, pages, epoch, &asked);

    for (uint32_t i = 0; rc == 0 && i < asked.n; i++)
        set_bits(bitmap, asked.ranges[i].first_gfn, asked.ranges[i].pages);
    return rc;
}

int gw_hv_dirty_peek(struct gw_hv *hv, uint32_t domid, uint64_t first_gfn, uint64_t end_gfn,
                     const struct godwit_range **ret_ranges, uint32_t *ret_n)
{
    uint64_t gfn = first_gfn & ~UINT64_C(63), epoch = 0;
    struct asked asked = {0};
    int rc = ask_ranges(hv, domid, GODWIT_DIRTY_PEEK, &gfn, end_gfn, &epoch, &asked);

    *ret_ranges = asked.ranges;
    *ret_n = asked.n;
    return rc;
}

/* By CLEAN, for a hypervisor that has no ranges. */
static int take_bitmap(struct gw_hv *hv, uint32_t domid, uint64_t pages, bool final,
                       uint8_t *bitmap)
{
    struct gw_shadow request = {.op = XEN_DOMCTL_SHADOW_OP_CLEAN,
                                .mode = final ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0,
                                .bitmap = bitmap,
                                .pages = pages};
    int rc = gw_hv_shadow_op(hv, domid, &request);

    return rc == 0 && request.pages != pages ? -EIO : rc;
}

int gw_hv_dirty_take(struct gw_hv *hv, uint32_t domid, uint64_t pages, bool final, uint8_t *bitmap,
                     uint64_t *epoch)
{
    unsigned tries = 0;
    uint64_t gfn = 0;
    int rc = 0;

    memset(bitmap, 0, (size_t)((pages + 7) / 8));
    while (gfn < pages && rc == 0) {
        rc = take_some(hv, domid, pages, final, &gfn, bitmap, epoch);
        if (rc == -ENOSYS && gfn == 0) {
            *epoch = 0;
            rc = take_bitmap(hv, domid, pages, final, bitmap);
            gfn = rc == 0 ? pages : 0;
        }
        /* Somebody who only looks on is in the middle of it, or a call of ours was abandoned. */
        if (rc == -EBUSY && wait_for_other(&tries))
            rc = 0;
    }
    return rc;
}
