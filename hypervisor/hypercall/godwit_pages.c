/* SPDX-License-Identifier: MIT */
/*
 * Contents of a domain's pages, to or from the caller's memory: what a saver and a builder would
 * otherwise do through a foreign mapping of each page. A page in use is held by a reference to its
 * frame; no lock is held while bytes move.
 */
#include <cache.h>
#include <core/dirty_log.h>
#include <godwit/ext.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <stddef.h>

#include "call.h"
#include "godwit_ops.h"

#define GFN_LIMIT      (UINT64_C(1) << (64 - PAGE_SHIFT))
#define FRAMES_AT_ONCE 64u
#define WORDS          (PAGE_SIZE_BYTES / sizeof(uint64_t))

struct transfer {
    struct domain *d;
    uint64_t data; /* of the next page with contents, the caller's address */
    uint32_t room; /* pages left there */
    bool write;
};

/* False: the frame is not RAM of the domain that may be accessed so. Else it has a reference. */
static bool hold_page(const struct transfer *t, uint64_t gfn, pa_t *ret_frame)
{
    struct s2_leaf leaf;

    if (gfn >= GFN_LIMIT) {
        return false;
    }
    leaf = s2_lookup_hold(&t->d->s2, ipa_from_gfn(gfn), frame_get);
    if (leaf.type == S2_RAM_RW || (leaf.type == S2_RAM_RO && !t->write)) {
        *ret_frame = leaf.pa;
        return true;
    }
    if (leaf.type != S2_NONE && leaf.type != S2_DEVICE && leaf.type != S2_SHARED) {
        frame_put(leaf.pa);
    }
    return false;
}

/* Looks at each byte once: as good a snapshot of a page that is being written as a copy. */
static bool is_zero(const uint64_t *words)
{
    for (unsigned i = 0; i < WORDS; i += 8) {
        if ((words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
             words[i + 6] | words[i + 7]) != 0) {
            return false;
        }
    }
    return true;
}

static long read_page(struct transfer *t, uint64_t *frame, const void *page)
{
    cache_catch_up(page, PAGE_SIZE_BYTES);
    if (is_zero(page)) {
        *frame |= GODWIT_PAGE_ZERO;
        return 0;
    }
    if (copy_to_guest(t->data, page, PAGE_SIZE_BYTES) != 0) {
        return -EFAULT;
    }
    return 0;
}

/* What could not be copied may have been copied in part: the page counts as written in any case. */
static long write_page(struct transfer *t, uint64_t frame, void *page)
{
    long error = 0;

    if ((frame & GODWIT_PAGE_ZERO) != 0) {
        page_zero(page);
    } else if (copy_from_guest(page, t->data, PAGE_SIZE_BYTES) != 0) {
        error = -EFAULT;
    }
    cache_clean(page, PAGE_SIZE_BYTES); /* its guest may run with its MMU off */
    dirty_log_mark(&t->d->s2, ipa_from_gfn(frame & ~GODWIT_PAGE_ZERO), DIRTY_WRITER_HYPERCALL);
    return error;
}

/* One page. -ENOBUFS: it needs room, and there is none. */
static long transfer_page(struct transfer *t, uint64_t *frame)
{
    bool zero = t->write && (*frame & GODWIT_PAGE_ZERO) != 0;
    pa_t held;
    long error;

    if (t->room == 0 && !zero) {
        return -ENOBUFS;
    }
    if (!hold_page(t, zero ? *frame & ~GODWIT_PAGE_ZERO : *frame, &held)) {
        return -EINVAL;
    }
    error = t->write ? write_page(t, *frame, pa_to_va(held)) : read_page(t, frame, pa_to_va(held));
    frame_put(held);
    if (error == 0 && (*frame & GODWIT_PAGE_ZERO) == 0) {
        t->data += PAGE_SIZE_BYTES;
        t->room--;
    }
    return error;
}

/* Up to FRAMES_AT_ONCE pages; *ret_done of them were copied, whatever comes of it. */
static long transfer_some(struct transfer *t, uint64_t list, uint32_t count, uint32_t *ret_done)
{
    uint64_t frames[FRAMES_AT_ONCE];
    uint32_t n = count < FRAMES_AT_ONCE ? count : FRAMES_AT_ONCE;
    long error = 0;

    *ret_done = 0;
    if (copy_from_guest(frames, list, n * sizeof(frames[0])) != 0) {
        return -EFAULT;
    }
    while (error == 0 && *ret_done < n) {
        if (*ret_done != 0 && cpu_preempt_pending()) {
            break;
        }
        error = transfer_page(t, &frames[*ret_done]);
        *ret_done += error == 0;
    }
    if (!t->write && copy_to_guest(list, frames, *ret_done * sizeof(frames[0])) != 0) {
        return -EFAULT;
    }
    return error;
}

static long transfer_all(struct transfer *t, struct godwit_pages *request)
{
    uint32_t wanted = request->count, some = 1;
    long error = 0;

    request->count = 0;
    while (error == 0 && some != 0 && request->count < wanted) {
        if (request->count != 0 && cpu_preempt_pending()) {
            break;
        }
        error = transfer_some(t, request->frames + request->count * sizeof(uint64_t),
                              wanted - request->count, &some);
        request->count += some;
    }
    return error == -ENOBUFS && request->count != 0 ? 0 : error;
}

long godwit_pages(struct hcall *call)
{
    struct godwit_pages request;
    struct transfer t;
    long error;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    if (request.pad != 0 || request.flags > GODWIT_PAGES_WRITE) {
        return -EINVAL;
    }
    t = (struct transfer){.d = domain_get(request.domid),
                          .data = request.data,
                          .room = request.room,
                          .write = request.flags == GODWIT_PAGES_WRITE};
    if (t.d == NULL) {
        return -ESRCH;
    }
    error = t.d == call->d ? -EINVAL : transfer_all(&t, &request);
    domain_put(t.d);
    request.room -= t.room;
    if (copy_to_guest(call->arg[1], &request, sizeof(request)) != 0) {
        return -EFAULT;
    }
    return error;
}
