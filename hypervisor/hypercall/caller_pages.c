/* SPDX-License-Identifier: MIT */
#include "caller_pages.h"

#include <core/dirty_log.h>
#include <core/s2.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/guest_access.h>

void caller_pages_hold(struct caller_pages *pages, uint64_t gva, unsigned n)
{
    unsigned found = 0;
    ipa_t ipa;

    n = n < CALLER_PAGES_MAX ? n : CALLER_PAGES_MAX;
    while (found < n && arch_translate_gva(gva + found * PAGE_SIZE_BYTES, pages->write, &ipa)) {
        pages->gfns[found++] = ipa_gfn(ipa);
    }
    pages->used = 0;
    pages->count = s2_lookup_hold_ram(&vcpu_current()->domain->s2, pages->gfns, found, pages->write,
                                      frame_get_list, pages->frames);
}

void *caller_pages_next(struct caller_pages *pages)
{
    return pages->used < pages->count ? pa_to_va(pages->frames[pages->used++]) : NULL;
}

void caller_pages_return(struct caller_pages *pages)
{
    pages->used--;
}

void caller_pages_drop(struct caller_pages *pages)
{
    if (pages->write && pages->used != 0) {
        /* After the writes: a harvest in between finds them next time. */
        dirty_log_mark_list(&vcpu_current()->domain->s2, pages->gfns, pages->used,
                            DIRTY_WRITER_HYPERCALL);
    }
    frame_put_list(pages->frames, pages->count);
    pages->count = pages->used = 0;
}
