/* SPDX-License-Identifier: MIT */
#include "precopy_mark.h"

#include "handover/handover.h"
#include "migrate/migrate_step.h"
#include "precopy_round.h"

#define SLICE_MS 100u /* handover_io_wait() with no time to stall */

/* The time is up, and it is to be cancelled: nobody needs the answer any more. */
static bool is_pointless(struct precopy *p)
{
    return precopy_is_out_of_time(p) && p->limits.on_timeout == GW_ON_TIMEOUT_CANCEL;
}

/* 1: it has answered. 0: the time is up. -1: err. */
static int await_answer(struct precopy *p, struct gw_error *err)
{
    const struct handover_io *io = p->source->writer.io;
    struct handover_io slice = *io;

    slice.stall_ms = 0;
    for (unsigned waited_ms = 0; waited_ms <= io->stall_ms; waited_ms += SLICE_MS) {
        struct gw_error why = {0};

        if (handover_io_wait(&slice, &why) == 0)
            return 1;
        if (why.code != GW_EXIT_TIMEOUT) {
            *err = why;
            return -1;
        }
        if (is_pointless(p))
            return 0;
    }
    return gw_error_set(err, GW_EXIT_TIMEOUT, "%s did not answer for %u s", io->peer,
                        (io->stall_ms + 999) / 1000);
}

static int take_answer(struct precopy *p, struct gw_error *err)
{
    struct handover_io *io = p->source->writer.io;
    struct handover_marked marked;

    if (handover_expect(io, HANDOVER_MARKED, &marked, sizeof(marked), err))
        return -1;
    if (marked.number == p->source->marks && marked.reserved == 0)
        return 0;
    return gw_error_set(err, GW_EXIT_FAILED, "%s answered mark %u, and mark %u was sent", io->peer,
                        marked.number, p->source->marks);
}

int precopy_mark(struct precopy *p, uint64_t *ret_ms, struct gw_error *err)
{
    uint64_t began = precopy_now_ms();
    int answered;

    *ret_ms = 0;
    if (!p->source->can_mark || is_pointless(p))
        return 0;
    if (migrate_step("source-mark", err) || save_source_send_mark(p->source, err))
        return -1;
    answered = await_answer(p, err);
    if (answered < 0 || (answered && take_answer(p, err)))
        return -1;
    *ret_ms = precopy_now_ms() - began;
    return 0;
}
