/* SPDX-License-Identifier: MIT */
/*
 * Whole pages of the caller's memory, a few at a time: translated and held once, for who copies
 * many in a row. What the caller has in another way than as RAM of its own is left to
 * hv/guest_access.h.
 */
#ifndef HYPERCALL_CALLER_PAGES_H
#define HYPERCALL_CALLER_PAGES_H

#include <core/addr.h>
#include <stdbool.h>
#include <stdint.h>

#define CALLER_PAGES_MAX 16u

struct caller_pages {
    bool write; /* they are going to be written */
    unsigned count, used;
    uint64_t gfns[CALLER_PAGES_MAX];
    pa_t frames[CALLER_PAGES_MAX];
};

/*
 * Holds up to n pages from gva on, which is aligned to one; pages is empty. Fewer, perhaps none:
 * the next one may not be accessed, or not so. Takes no lock but inside.
 */
void caller_pages_hold(struct caller_pages *pages, uint64_t gva, unsigned n);

/* The next page, which counts as used; NULL: no more are held. */
void *caller_pages_next(struct caller_pages *pages);

/* The page that came last was not used after all, and is the next one again. */
void caller_pages_return(struct caller_pages *pages);

/* Lets go of all; those that were used count as written, if they are for that. After the writes. */
void caller_pages_drop(struct caller_pages *pages);

#endif
