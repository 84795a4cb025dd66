/* SPDX-License-Identifier: MIT */
/* Where a domain has memory that it may only read: for a saver, who has to make it so again. */
#include <core/s2.h>
#include <godwit/ext.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>

#include "call.h"
#include "godwit_ops.h"

#define LEAVES_PER_CALL 1024u

struct search {
    struct godwit_readonly *request;
    uint32_t room, stored;
    struct godwit_range run; /* not stored yet; pages 0: none */
};

static long store_run(struct search *search)
{
    uint64_t at = search->request->ranges + search->stored * sizeof(search->run);

    if (search->run.pages == 0) {
        return 0;
    }
    if (copy_to_guest(at, &search->run, sizeof(search->run)) != 0) {
        return -EFAULT;
    }
    search->stored++;
    search->run.pages = 0;
    return 0;
}

/* Takes one leaf into account. */
static long note(struct search *search, uint64_t gfn, const struct s2_leaf *leaf)
{
    uint64_t pages = leaf->bytes >> PAGE_SHIFT;
    long error;

    if (leaf->type != S2_RAM_RO) {
        return store_run(search);
    }
    if (search->run.pages != 0 && search->run.first_gfn + search->run.pages == gfn) {
        search->run.pages += pages;
        return 0;
    }
    error = store_run(search);
    search->run = (struct godwit_range){gfn, pages};
    return error;
}

/* Up to a bound of leaves. first_gfn of the request follows. */
static long search_some(struct domain *d, struct search *search)
{
    const ipa_t end = ipa_from_gfn(atomic_load_explicit(&d->max_gfn, memory_order_relaxed) + 1);
    uint64_t *gfn = &search->request->first_gfn;
    long error = 0;

    for (unsigned i = 0; i < LEAVES_PER_CALL && search->stored < search->room; i++) {
        struct s2_leaf leaf = {.type = S2_NONE};
        ipa_t at;

        if (*gfn < ipa_gfn(end)) {
            leaf = s2_next(&d->s2, ipa_from_gfn(*gfn), end, &at);
        }
        if (leaf.type == S2_NONE) {
            *gfn = UINT64_MAX;
            break;
        }
        at = ipa_make(at.addr & ~(leaf.bytes - 1));
        error = note(search, ipa_gfn(at), &leaf);
        if (error != 0) {
            return error;
        }
        *gfn = ipa_gfn(ipa_add(at, leaf.bytes));
    }
    if (search->stored == search->room && search->run.pages != 0) {
        *gfn = search->run.first_gfn; /* no room for it any more: the next call finds it again */
        return 0;
    }
    return store_run(search);
}

long godwit_readonly(uint64_t gva)
{
    struct godwit_readonly request;
    struct search search = {.request = &request};
    struct domain *d;
    long error = 0;

    if (copy_from_guest(&request, gva, sizeof(request)) != 0) {
        return -EFAULT;
    }
    if (request.pad[0] != 0 || request.pad[1] != 0 || request.pad[2] != 0 || request.pad2 != 0 ||
        request.count == 0) {
        return -EINVAL;
    }
    d = domain_get(request.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    search.room = request.count;
    if (atomic_load_explicit(&d->has_readonly, memory_order_relaxed)) {
        error = search_some(d, &search);
    } else {
        request.first_gfn = UINT64_MAX; /* as nearly every domain */
    }
    domain_put(d);
    request.count = search.stored;
    if (error == 0 && copy_to_guest(gva, &request, sizeof(request)) != 0) {
        error = -EFAULT;
    }
    return error;
}
