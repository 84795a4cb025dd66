/* SPDX-License-Identifier: MIT */
/*
 * Contents of a domain's pages, to or from the caller's memory: what a saver and a builder would
 * otherwise do through a foreign mapping of each page. Pages are found in batches, on both sides,
 * and each is held by a reference to its frame while its batch lasts; no lock is held while bytes
 * move. Caches are cleaned for a batch at once, before it is read or after it was written.
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
#include "caller_pages.h"
#include "godwit_ops.h"

#define FRAMES_AT_ONCE 64u
#define WORDS          (PAGE_SIZE_BYTES / sizeof(uint64_t))

struct transfer {
    struct domain *d;
    uint64_t data; /* of the next page with contents, the caller's address */
    uint32_t room; /* pages left there */
    bool write;
};

struct batch {
    struct transfer *t;
    unsigned count;                 /* frames looked for */
    unsigned held;                  /* of them, from the first on; the next one is no such RAM */
    unsigned touched;               /* of them, from the first on, may have been written */
    uint64_t words[FRAMES_AT_ONCE]; /* as in the caller's list */
    uint64_t gfns[FRAMES_AT_ONCE];
    pa_t frames[FRAMES_AT_ONCE];
    struct caller_pages caller;
};

static bool is_zero_word(uint64_t word)
{
    return (word & GODWIT_PAGE_ZERO) != 0;
}

/* Looks at each byte once: as good a snapshot of a page that is being written as a copy. */
static bool is_zero(const uint64_t *words)
{
    for (unsigned i = 0; i < WORDS; i++) {
        if (words[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The caller's page for the next contents; NULL: it has to be reached in the general way. */
static void *caller_page(struct batch *b, unsigned at)
{
    const struct transfer *t = b->t;
    void *page = caller_pages_next(&b->caller);

    if (page == NULL && (t->data & PAGE_MASK) == 0) {
        unsigned left = b->count - at;

        caller_pages_drop(&b->caller);
        caller_pages_hold(&b->caller, t->data, left < t->room ? left : t->room);
        page = caller_pages_next(&b->caller);
    }
    return page;
}

static long read_page(struct batch *b, unsigned at, const void *page)
{
    void *to = caller_page(b, at);

    if (to != NULL) {
        if (!page_copy_contents(to, page)) {
            b->words[at] |= GODWIT_PAGE_ZERO;
            caller_pages_return(&b->caller);
        }
        return 0;
    }
    if (is_zero(page)) {
        b->words[at] |= GODWIT_PAGE_ZERO;
        return 0;
    }
    return copy_to_guest(b->t->data, page, PAGE_SIZE_BYTES) != 0 ? -EFAULT : 0;
}

/* What could not be copied may have been copied in part: the page counts as written in any case. */
static long write_page(struct batch *b, unsigned at, void *page)
{
    const void *from;

    b->touched = at + 1;
    if (is_zero_word(b->words[at])) {
        page_zero(page);
        return 0;
    }
    from = caller_page(b, at);
    if (from != NULL) {
        page_copy(page, from);
        return 0;
    }
    return copy_from_guest(page, b->t->data, PAGE_SIZE_BYTES) != 0 ? -EFAULT : 0;
}

/* One page. -ENOBUFS: it needs room, and there is none. */
static long transfer_page(struct batch *b, unsigned at)
{
    struct transfer *t = b->t;
    void *page;
    long error;

    if (t->room == 0 && !(t->write && is_zero_word(b->words[at]))) {
        return -ENOBUFS;
    }
    if (at == b->held) {
        return -EINVAL;
    }
    page = pa_to_va(b->frames[at]);
    error = t->write ? write_page(b, at, page) : read_page(b, at, page);
    if (error == 0 && !is_zero_word(b->words[at])) {
        t->data += PAGE_SIZE_BYTES;
        t->room--;
    }
    return error;
}

static void batch_begin(struct batch *b, struct transfer *t, uint32_t count)
{
    b->t = t;
    b->count = count < FRAMES_AT_ONCE ? count : FRAMES_AT_ONCE;
    if (!t->write && t->room != 0 && b->count > t->room) {
        b->count = t->room; /* no further can it come */
    }
    b->held = b->touched = 0;
    b->caller.write = !t->write;
    b->caller.count = b->caller.used = 0;
}

/* Holds the domain's pages. A frame number that is none, like one with a bit too many, is no RAM.
 */
static void batch_hold(struct batch *b)
{
    const struct transfer *t = b->t;

    for (unsigned i = 0; i < b->count; i++) {
        b->gfns[i] = t->write ? b->words[i] & ~GODWIT_PAGE_ZERO : b->words[i];
    }
    b->held = s2_lookup_hold_ram(&t->d->s2, b->gfns, b->count, t->write, frame_get_list, b->frames);
    if (!t->write) {
        cache_before_reading(b->frames, b->held);
    }
}

static void batch_drop(struct batch *b)
{
    caller_pages_drop(&b->caller);
    if (b->touched != 0) {
        cache_after_writing(b->frames, b->touched); /* its guest may run with its MMU off */
        dirty_log_mark_list(&b->t->d->s2, b->gfns, b->touched, DIRTY_WRITER_HYPERCALL);
    }
    frame_put_list(b->frames, b->held);
}

/*
 * Up to FRAMES_AT_ONCE pages; *ret_done of them were copied, whatever comes of it: none where the
 * caller cannot be told which of them were zeros.
 */
static long transfer_some(struct transfer *t, uint64_t list, uint32_t count, uint32_t *ret_done)
{
    const struct transfer before = *t;
    struct batch b;
    long error = 0;
    unsigned at = 0;

    batch_begin(&b, t, count);
    *ret_done = 0;
    if (copy_from_guest(b.words, list, b.count * sizeof(b.words[0])) != 0) {
        return -EFAULT;
    }
    batch_hold(&b);
    while (error == 0 && at < b.count) {
        if (at % CALLER_PAGES_MAX == 0 && at != 0 && cpu_preempt_pending()) {
            break;
        }
        error = transfer_page(&b, at);
        at += error == 0;
    }
    batch_drop(&b);
    if (!t->write && copy_to_guest(list, b.words, at * sizeof(b.words[0])) != 0) {
        *t = before;
        return -EFAULT;
    }
    *ret_done = at;
    return error;
}

static long transfer_all(struct transfer *t, struct godwit_pages *request)
{
    uint32_t wanted = request->count, some = 1;
    long error = 0;

    request->count = 0;
    while (error == 0 && some != 0 && request->count < wanted) {
        if (request->count != 0 && (cpu_preempt_pending() || (!t->write && t->room == 0))) {
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
