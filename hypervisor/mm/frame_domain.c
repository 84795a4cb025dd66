/* SPDX-License-Identifier: MIT */
/*
 * Frames of domains: counts, owners, page accounting. The domain itself is kept alive by one
 * reference while it owns at least one frame.
 */
#include "frame_internal.h"

#include <hv/console.h>
#include <hv/domain.h>
#include <hv/frame.h>

/* Raises the page count unless that would pass max_pages. */
static bool charge_domain(struct domain *d, uint64_t pages)
{
    uint64_t old = atomic_load_explicit(&d->tot_pages, memory_order_relaxed);

    do {
        if (old + pages > d->max_pages) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&d->tot_pages, &old, old + pages,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (old == 0) {
        /* The caller holds a reference, so the count cannot be on its way to 0. */
        atomic_fetch_add_explicit(&d->refcount, 1, memory_order_relaxed);
    }
    return true;
}

static void uncharge_domain(struct domain *d, uint64_t pages)
{
    uint64_t old = atomic_fetch_sub_explicit(&d->tot_pages, pages, memory_order_relaxed);

    ASSERT(old >= pages);
    if (old == pages) {
        domain_put(d);
    }
}

static void give_to_domain(struct domain *d, pa_t start, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        struct frame *frame = frame_of(pa_add(start, i << PAGE_SHIFT));

        frame->owner = d->id;
        atomic_store_explicit(&frame->gfn, ~UINT64_C(0), memory_order_relaxed);
        atomic_store_explicit(&frame->state, FRAME_DOMAIN, memory_order_relaxed);
        /* Release pairs with the acquire in frame_get: who gets a reference sees the owner. */
        atomic_store_explicit(&frame->count, 1, memory_order_release);
    }
}

bool frame_alloc_domain(struct domain *d, unsigned order, pa_t *ret_pa)
{
    uint64_t pages = UINT64_C(1) << order;
    pa_t pa;

    if (order > FRAME_ORDER_MAX || !charge_domain(d, pages)) {
        return false;
    }
    if (!frame_block_take(order, &pa)) {
        uncharge_domain(d, pages);
        return false;
    }
    frame_scrub(pa, order);
    give_to_domain(d, pa, pages);
    *ret_pa = pa;
    return true;
}

bool frame_claim_domain(struct domain *d, pa_t start, uint64_t bytes)
{
    uint64_t pages = bytes >> PAGE_SHIFT;

    if (!charge_domain(d, pages)) {
        return false;
    }
    if (!frame_range_take(start, pages)) {
        uncharge_domain(d, pages);
        return false;
    }
    give_to_domain(d, start, pages);
    return true;
}

/* One more reference; false if nobody has one. */
static bool get(struct frame *frame)
{
    uint32_t count = atomic_load_explicit(&frame->count, memory_order_relaxed);

    do {
        if (count == 0 || count == UINT32_MAX) {
            return false;
        }
        /* Acquire pairs with the release in give_to_domain. */
    } while (!atomic_compare_exchange_weak_explicit(&frame->count, &count, count + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

bool frame_get(pa_t pa)
{
    struct frame *frame = frame_of(pa);

    return frame != NULL && get(frame);
}

/* The record of a frame that is likely in the same bank as the one before. */
static struct frame *frame_near(const struct frame_bank **bank, pa_t pa)
{
    uint64_t mfn = pa_mfn(pa);

    if (*bank == NULL || mfn < (*bank)->first_mfn || mfn >= (*bank)->end_mfn) {
        *bank = frame_bank_of(mfn);
    }
    return *bank == NULL ? NULL : &(*bank)->records[mfn - (*bank)->first_mfn];
}

unsigned frame_get_list(const pa_t *frames, unsigned n)
{
    const struct frame_bank *bank = NULL;
    unsigned done = 0;

    while (done < n) {
        struct frame *frame = frame_near(&bank, frames[done]);

        if (frame == NULL || !get(frame)) {
            break;
        }
        done++;
    }
    return done;
}

/* Drops a reference. True: it was the last one, and the frame is nobody's any more. */
static bool drop(struct frame *frame)
{
    /* Release: our uses of the page come before it is free; acquire: after everybody else's. */
    if (atomic_fetch_sub_explicit(&frame->count, 1, memory_order_acq_rel) != 1) {
        return false;
    }
    atomic_store_explicit(&frame->state, FRAME_RESERVED, memory_order_relaxed);
    return true;
}

/* So many frames of the owner are free. */
static void disown(uint16_t owner, uint64_t pages)
{
    struct domain *d = domain_get(owner);

    if (d == NULL) {
        panic("%lu frames were owned by domain %u, which does not exist", pages, owner);
    }
    uncharge_domain(d, pages);
    domain_put(d);
}

static void put(struct frame *frame, pa_t pa)
{
    uint16_t owner = frame->owner;

    if (drop(frame)) {
        frame_block_give(pa_make(pa.addr & ~PAGE_MASK), 0);
        disown(owner, 1);
    }
}

void frame_put_run(pa_t start, uint64_t pages)
{
    const struct frame_bank *bank = NULL;
    uint64_t freed = 0, run = 0; /* of it, frames before the one that is looked at */
    uint16_t owner = DOMID_INVALID;

    for (uint64_t i = 0; i < pages; i++) {
        pa_t pa = pa_add(start, i << PAGE_SHIFT);
        struct frame *frame = frame_near(&bank, pa);

        ASSERT(frame != NULL);
        owner = frame->owner;
        if (drop(frame)) {
            run++;
            freed++;
        } else {
            frame_run_give(pa_add(start, (i - run) << PAGE_SHIFT), run);
            run = 0;
        }
    }
    frame_run_give(pa_add(start, (pages - run) << PAGE_SHIFT), run);
    if (freed != 0) {
        disown(owner, freed);
    }
}

void frame_put(pa_t pa)
{
    struct frame *frame = frame_of(pa);

    ASSERT(frame != NULL);
    put(frame, pa);
}

void frame_put_list(const pa_t *frames, unsigned n)
{
    const struct frame_bank *bank = NULL;

    for (unsigned i = 0; i < n; i++) {
        struct frame *frame = frame_near(&bank, frames[i]);

        ASSERT(frame != NULL);
        put(frame, frames[i]);
    }
}

uint16_t frame_owner(pa_t pa)
{
    const struct frame *frame = frame_of(pa);

    if (frame == NULL || atomic_load_explicit(&frame->count, memory_order_acquire) == 0) {
        return DOMID_INVALID;
    }
    return frame->owner;
}

uint64_t frame_gfn(pa_t pa)
{
    const struct frame *frame = frame_of(pa);

    return frame == NULL ? ~UINT64_C(0) : atomic_load_explicit(&frame->gfn, memory_order_relaxed);
}

void frame_set_gfn(pa_t pa, uint64_t gfn)
{
    struct frame *frame = frame_of(pa);

    ASSERT(frame != NULL);
    atomic_store_explicit(&frame->gfn, gfn, memory_order_relaxed);
}
