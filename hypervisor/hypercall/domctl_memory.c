/* SPDX-License-Identifier: MIT */
/* domctl: page types for a saver, cache maintenance, and the budget of table pages. */
#include <cache.h>
#include <core/s2.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>

#include "domctl.h"

#define FRAME_INFO_MAX     1024u
#define FRAME_INFO_AT_ONCE 64u
#define CACHE_FLUSH_MAX    (UINT64_C(1) << FRAME_ORDER_MAX) /* pages in one call */
#define CACHE_FLUSH_CHUNK  16u                              /* pages between looks at the clock */
#define GFN_LIMIT          (UINT64_C(1) << (64 - PAGE_SHIFT))

static unsigned hold_none(const pa_t *frames, unsigned count)
{
    return count;
}

/* Puts in the place of each frame number what a saver wants to know of it. */
static void find_types(struct domain *d, xen_pfn_t *frames, unsigned n)
{
    pa_t unused[FRAME_INFO_AT_ONCE];

    for (unsigned i = 0; i < n; i++) {
        unsigned ram = s2_lookup_hold_ram(&d->s2, frames + i, n - i, false, hold_none, unused);

        for (unsigned end = i + ram; i < end; i++) {
            frames[i] = XEN_DOMCTL_PFINFO_NOTAB;
        }
        if (i < n) {
            frames[i] = XEN_DOMCTL_PFINFO_XTAB;
        }
    }
}

/* In: a gfn. Out: 0 for RAM, XTAB for anything that a saver cannot read. */
long domctl_get_page_frame_info(struct domctl *domctl)
{
    struct xen_domctl_getpageframeinfo3 *request = &domctl->op.u.getpageframeinfo3;
    xen_pfn_t frames[FRAME_INFO_AT_ONCE];

    if (request->num > FRAME_INFO_MAX) {
        return -E2BIG;
    }
    for (uint64_t done = 0, n; done < request->num; done += n) {
        uint64_t at = request->array.q + done * sizeof(frames[0]), left = request->num - done;

        n = left < FRAME_INFO_AT_ONCE ? left : FRAME_INFO_AT_ONCE;
        if (copy_from_guest(frames, at, n * sizeof(frames[0])) != 0) {
            return -EFAULT;
        }
        find_types(domctl->d, frames, (unsigned)n);
        if (copy_to_guest(at, frames, n * sizeof(frames[0])) != 0) {
            return -EFAULT;
        }
    }
    return 0;
}

/* Flushes what is mapped in [gfn, gfn + pages), which are few. */
static void flush_pages(struct domain *d, uint64_t gfn, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        struct s2_leaf leaf = s2_lookup_hold(&d->s2, ipa_from_gfn(gfn + i), frame_get);

        if (leaf.type == S2_NONE || leaf.type == S2_DEVICE) {
            continue;
        }
        cache_clean_invalidate(pa_to_va(leaf.pa), PAGE_SIZE_BYTES);
        frame_put(leaf.pa);
    }
}

/* A long range continues with what is left of it written back to the caller's structure. */
long domctl_cache_flush(struct domctl *domctl)
{
    struct xen_domctl_cacheflush *request = &domctl->op.u.cacheflush;

    if (request->nr_pfns > CACHE_FLUSH_MAX || request->start_pfn >= GFN_LIMIT ||
        request->nr_pfns > GFN_LIMIT - request->start_pfn) {
        return -EINVAL;
    }
    while (request->nr_pfns != 0) {
        uint64_t pages =
            request->nr_pfns < CACHE_FLUSH_CHUNK ? request->nr_pfns : CACHE_FLUSH_CHUNK;

        flush_pages(domctl->d, request->start_pfn, pages);
        request->start_pfn += pages;
        request->nr_pfns -= pages;
        if (request->nr_pfns != 0 && cpu_preempt_pending()) {
            domctl->copy_back = true;
            return HYPERCALL_RESTART;
        }
    }
    return 0;
}

long domctl_get_mempool_size(struct domctl *domctl)
{
    domctl->op.u.paging_mempool.size = domctl->d->pool_pages << PAGE_SHIFT;
    domctl->copy_back = true;
    return 0;
}

/* A limit that is kept and reported; below the tables in use it is refused. */
long domctl_set_mempool_size(struct domctl *domctl)
{
    uint64_t bytes = domctl->op.u.paging_mempool.size;
    struct domain *d = domctl->d;
    struct s2_stats stats;

    if ((bytes & PAGE_MASK) != 0) {
        return -EINVAL;
    }
    s2_stats_get(&d->s2, &stats);
    if (bytes >> PAGE_SHIFT < stats.tables) {
        return -ENOMEM;
    }
    spin_lock(&d->lock);
    d->pool_pages = bytes >> PAGE_SHIFT;
    spin_unlock(&d->lock);
    return 0;
}
