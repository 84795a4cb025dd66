/* SPDX-License-Identifier: MIT */
/*
 * track_dirty_vram: which pages of a range were written since the last look. Apart from the dirty
 * log, whose state and bits it leaves as they are.
 *
 * One execution at a time works on a domain's range: vram_busy, held from begin to end of a
 * bounded piece of work, never waited for. A long look is the calling vCPU's, which goes on by
 * executing the HVC again; another caller begins a look of its own and loses nothing.
 */
#include <core/dirty_track.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>

#include "dm_op.h"

#define PIECE_BYTES 512u /* of the bitmap, copied at once */

_Static_assert(sizeof(struct xen_dm_op_track_dirty_vram) == 16, "ABI");

/* All of the bitmap, or nothing of it counts as reported. */
static long deliver(struct domain *d, uint64_t gva, uint64_t bytes)
{
    uint8_t piece[PIECE_BYTES];
    bool good = true;

    for (uint64_t done = 0; good && done < bytes; done += PIECE_BYTES) {
        size_t n = bytes - done < PIECE_BYTES ? (size_t)(bytes - done) : PIECE_BYTES;

        dirty_track_report(&d->s2, done * 8, PIECE_BYTES / 8, piece);
        good = copy_to_guest(gva + done, piece, n) == 0;
    }
    dirty_track_finish(&d->s2, good);
    return good ? 0 : -EFAULT;
}

static long look(struct domain *d, const struct xen_dm_op_track_dirty_vram *request, uint64_t gva)
{
    long error = 0;

    if (!dirty_track_is_on(&d->s2, request->first_pfn, request->nr)) {
        error = dirty_track_start(&d->s2, request->first_pfn, request->nr);
        d->vram_caller = NULL;
    }
    if (error != 0) {
        return error;
    }
    if (d->vram_caller != vcpu_current()) {
        d->vram_caller = vcpu_current();
        d->vram_cursor = 0;
    }
    while ((error = dirty_track_scan(&d->s2, &d->vram_cursor)) == -ERESTART) {
        if (cpu_preempt_pending()) {
            return -ERESTART;
        }
    }
    d->vram_caller = NULL;
    return error != 0 ? error : deliver(d, gva, (request->nr + 7) / 8);
}

long dm_op_track_dirty_vram(struct domain *d, struct dm_call *call)
{
    const struct xen_dm_op_track_dirty_vram *request = &call->op.u.track_dirty_vram;
    long error = 0;

    if (request->pad != 0 || request->nr > DIRTY_TRACK_PAGES_MAX ||
        call->data.size < (request->nr + 7) / 8) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE) {
        return -ESRCH;
    }
    if (d->vcpus[0] == NULL) {
        return -EINVAL;
    }
    /* Acquire: pairs with the release below; what the last one did to the range is seen. */
    if (atomic_exchange_explicit(&d->vram_busy, true, memory_order_acquire)) {
        return -EBUSY;
    }
    if (request->nr == 0) {
        dirty_track_stop(&d->s2);
    } else {
        error = look(d, request, call->data.h.q);
    }
    /* Release: pairs with the acquire above. */
    atomic_store_explicit(&d->vram_busy, false, memory_order_release);
    return error;
}
