/* SPDX-License-Identifier: MIT */
/*
 * GODWIT_OP_DIRTY_RANGES: what CLEAN and PEEK do, as a list of ranges. What is clean costs the
 * caller nothing, not even zeros.
 */
#include <core/dirty_log.h>
#include <godwit/ext.h>
#include <hv/guest_access.h>

#include "call.h"
#include "godwit_ops.h"
#include "shadow.h"

#define WORD_RANGES 32u /* that the bits of one word can make */
#define ROOM_MIN    64u
#define BUFFER      128u
_Static_assert(BUFFER >= WORD_RANGES + 1, "a word and the range before it");

/* Ranges on their way to the caller. */
struct output {
    struct shadow_session *session;
    unsigned count;
    struct godwit_range ranges[BUFFER];
};

static long flush(struct output *output)
{
    struct shadow_session *session = output->session;
    uint64_t at = session->request.buffer + session->position * sizeof(output->ranges[0]);
    size_t bytes = output->count * sizeof(output->ranges[0]);

    if (bytes != 0 && copy_to_guest(at, output->ranges, bytes) != 0) {
        return -EFAULT;
    }
    session->position += output->count;
    output->count = 0;
    return 0;
}

/* The pending range is complete. There is room for it. */
static void close_range(struct output *output)
{
    struct shadow_range *range = &output->session->range;

    if (range->pages != 0) {
        output->ranges[output->count++] = (struct godwit_range){range->first, range->pages};
        range->pages = 0;
    }
}

/* Ranges that may be in the buffer for one more word to fit behind them; negative: none. */
static int64_t fill_limit(const struct output *output)
{
    const struct shadow_session *session = output->session;
    uint64_t room = session->request.room - session->position;

    return (int64_t)(room < BUFFER ? room : BUFFER) - (int64_t)WORD_RANGES - 1;
}

/* Goes through words while the buffer certainly has room for the next one. */
static void add_words(struct output *output)
{
    struct shadow_session *session = output->session;
    const struct dirty_log_word *word = session->words + session->next;
    const struct dirty_log_word *last = session->words + session->count;
    struct godwit_range *to = output->ranges + output->count;
    const struct godwit_range *limit = output->ranges + fill_limit(output);
    uint64_t first = session->range.first, end = first + session->range.pages;

    if (first == end) { /* none is pending: one that is empty, where the first begins */
        first = word->gfn + (unsigned)__builtin_ctzll(word->bits);
        end = first;
    }
    for (; word < last && to <= limit; word++) {
        for (uint64_t bits = word->bits; bits != 0;) {
            uint64_t begin = word->gfn + (unsigned)__builtin_ctzll(bits);
            uint64_t behind = bits + (bits & -bits); /* the lowest run carried to the next zero */

            if (begin != end) {
                *to++ = (struct godwit_range){first, end - first};
                first = begin;
            }
            end = word->gfn + (behind == 0 ? 64 : (unsigned)__builtin_ctzll(behind));
            bits &= behind;
        }
    }
    session->next = (unsigned)(word - session->words);
    session->range = (struct shadow_range){first, end - first};
    output->count = (unsigned)(to - output->ranges);
}

/* No room for the words that are left: the log keeps them, and the call ends before them. */
static void give_back(struct domain *d, struct shadow_session *session)
{
    session->taken_to = session->words[session->next].gfn;
    for (; session->next < session->count; session->next++) {
        const struct dirty_log_word *word = &session->words[session->next];

        if (session->harvesting) {
            dirty_log_harvest_untake(&d->s2, word->gfn, 64);
        }
        session->dirty_pages -= (unsigned)__builtin_popcountll(word->bits);
    }
}

/* One bounded piece; *ret_done when the caller has all ranges, or as many as it has room for. */
static long report_piece(struct domain *d, struct shadow_session *session, bool *ret_done)
{
    struct output output = {.session = session};
    bool full = false;

    shadow_report_get(d, session, session->request.end);
    while (session->next < session->count && !full) {
        full = fill_limit(&output) < 0;
        if (full) {
            give_back(d, session);
        } else {
            add_words(&output);
            if (session->next < session->count && flush(&output) != 0) {
                return -EFAULT;
            }
        }
    }
    *ret_done = full || session->taken_to >= session->request.end;
    if (*ret_done) {
        close_range(&output);
    }
    return flush(&output);
}

static long report_all(struct domain *d, struct shadow_session *session)
{
    return shadow_report_pieces(d, session, report_piece);
}

static bool is_valid(const struct godwit_dirty_ranges *op)
{
    return (op->flags & ~(uint32_t)(GODWIT_DIRTY_PEEK | GODWIT_DIRTY_FINAL)) == 0 && op->pad == 0 &&
           op->pad2 == 0 && op->first_gfn % 64 == 0 && op->first_gfn <= op->end_gfn &&
           op->count >= ROOM_MIN;
}

static long run(struct hcall *call, struct domain *d, struct godwit_dirty_ranges *op)
{
    struct shadow_request request = {
        .nr = GODWIT_HYPERCALL,
        .argument = call->arg[1],
        .mode = op->flags,
        .first = op->first_gfn,
        .end = op->end_gfn,
        .buffer = op->ranges,
        .room = op->count,
    };
    struct shadow_session *session;
    long error = shadow_session_begin(d, call->v, &request, &session);

    if (error != 0) {
        return error == -ERESTART ? HYPERCALL_RESTART : error;
    }
    error = shadow_report_start(d, session, (op->flags & GODWIT_DIRTY_PEEK) == 0,
                                (op->flags & GODWIT_DIRTY_FINAL) != 0);
    if (error == 0 && !session->logging) {
        error = -EINVAL;
    }
    if (error == 0 && op->epoch != 0 && op->epoch != shadow_epoch(d)) {
        error = -EILSEQ;
    }
    if (error == 0) {
        error = report_all(d, session);
    }
    if (error == -ERESTART) {
        return shadow_session_suspend(d, session) ? HYPERCALL_RESTART : -EBUSY;
    }
    op->first_gfn = session->taken_to;
    op->count = (uint32_t)session->position;
    op->pages = session->dirty_pages;
    session->epoch = session->harvesting ? shadow_epoch_new() : shadow_epoch(d);
    op->epoch = session->epoch;
    /* Before the harvest is committed: nothing can fail after that. */
    if (error == 0 && copy_to_guest(call->arg[1], op, sizeof(*op)) != 0) {
        error = -EFAULT;
    }
    error = shadow_session_end(d, session, error);
    return error == -ERESTART ? HYPERCALL_RESTART : error;
}

long godwit_dirty_ranges(struct hcall *call)
{
    struct godwit_dirty_ranges op;
    struct domain *d;
    long error;

    if (copy_from_guest(&op, call->arg[1], sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (!is_valid(&op)) {
        return -EINVAL;
    }
    d = domain_get(op.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = d == call->d || atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE
                ? -EINVAL
                : run(call, d, &op);
    domain_put(d);
    return error;
}
