/* SPDX-License-Identifier: MIT */
/*
 * Contents of guests' pages by hypercall. The hypervisor reaches our memory only where Linux has
 * it mapped right now, which it does not promise of ordinary memory: where the call fails for that,
 * the memory is touched and the call repeated. Shares nothing but the handle: any thread may call.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "hv_internal.h"

#define BATCH     512u
#define TRIES_MAX 16u /* in a row, without a page copied: then the address is wrong */

struct batch {
    struct godwit_pages request;
    uint64_t frames[BATCH];
};

/* Brings the pages at data back, and the list as it was before a call that did not say what it did.
 */
static void prepare_again(struct batch *batch, const struct godwit_pages *wanted)
{
    volatile uint8_t *data = (volatile uint8_t *)(uintptr_t)wanted->data;
    bool read = wanted->flags == GODWIT_PAGES_READ;

    for (unsigned i = 0; read && i < wanted->count; i++)
        batch->frames[i] &= ~GODWIT_PAGE_ZERO;
    for (uint64_t i = 0; data && i < 2 * (uint64_t)wanted->room; i++) {
        uint64_t at =
            i / 2 * GW_PAGE_BYTES + i % 2 * (GW_PAGE_BYTES - 1); /* it may lie across two */

        if (read)
            data[at] = 0;
        else
            (void)data[at];
    }
}

/* One call, repeated until it has done something: batch->request says what. */
static int copy_some(struct gw_hv *hv, struct batch *batch, const struct godwit_pages *wanted)
{
    int rc = -EFAULT;

    for (unsigned tries = 0; tries < TRIES_MAX && rc == -EFAULT; tries++) {
        batch->request = *wanted;
        if (xencall2(hv->call, GODWIT_HYPERCALL, GODWIT_OP_PAGES, (uintptr_t)&batch->request) == 0)
            return batch->request.count ? 0 : -EIO;
        rc = -errno;
        if (rc != -EFAULT)
            break;
        /* A request that could not be read or written back has done nothing that counts. */
        if (batch->request.count != 0 && batch->request.count < wanted->count)
            return 0;
        prepare_again(batch, wanted);
    }
    return rc;
}

int gw_hv_pages_read(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                     unsigned room, bool *ret_zero, unsigned *ret_done)
{
    struct batch batch;
    unsigned done = 0, used = 0;

    *ret_done = 0;
    while (done < n && used < room) {
        struct godwit_pages wanted = {
            .domid = (uint16_t)domid,
            .flags = GODWIT_PAGES_READ,
            .frames = (uintptr_t)batch.frames,
            .data = (uintptr_t)data + (uintptr_t)used * GW_PAGE_BYTES,
            .count = n - done < BATCH ? n - done : BATCH,
            .room = room - used,
        };

        memcpy(batch.frames, gfns + done, wanted.count * sizeof(batch.frames[0]));
        int rc = copy_some(hv, &batch, &wanted);
        if (rc < 0)
            return rc;
        for (unsigned i = 0; i < batch.request.count; i++)
            ret_zero[done + i] = (batch.frames[i] & GODWIT_PAGE_ZERO) != 0;
        done += batch.request.count;
        used += batch.request.room;
    }
    *ret_done = done;
    return 0;
}

int gw_hv_pages_write(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n,
                      const void *data)
{
    struct batch batch;

    for (unsigned done = 0; done < n;) {
        struct godwit_pages wanted = {
            .domid = (uint16_t)domid,
            .flags = GODWIT_PAGES_WRITE,
            .frames = (uintptr_t)batch.frames,
            .data = data ? (uintptr_t)data + (uintptr_t)done * GW_PAGE_BYTES : 0,
            .count = n - done < BATCH ? n - done : BATCH,
            .room = data ? n - done : 0,
        };

        for (unsigned i = 0; i < wanted.count; i++)
            batch.frames[i] = gfns[done + i] | (data ? 0 : GODWIT_PAGE_ZERO);
        int rc = copy_some(hv, &batch, &wanted);
        if (rc < 0)
            return rc;
        done += batch.request.count;
    }
    return 0;
}
