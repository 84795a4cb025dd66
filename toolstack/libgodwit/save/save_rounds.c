/* SPDX-License-Identifier: MIT */
#include "save_rounds.h"

#include "migrate/migrate_step.h"
#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 6  /* each page written again makes the file longer */
#define FEW_PAGES  64 /* another round is not worth it */

static size_t bitmap_bytes(const struct save_rounds *r)
{
    return (size_t)(r->source->gfn_limit + 7) / 8;
}

int save_rounds_open(struct save_rounds *r, struct save_source *source, struct gw_error *err)
{
    *r = (struct save_rounds){.source = source};
    r->wanted = calloc(1, bitmap_bytes(r) + sizeof(uint64_t));
    return r->wanted ? 0 : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
}

void save_rounds_close(struct save_rounds *r)
{
    free(r->wanted);
    r->wanted = NULL;
}

/* A byte of the log. A frame that was not there when we began cannot be restored either. */
static int add_byte(struct save_rounds *r, uint64_t byte, unsigned bits, struct gw_error *err)
{
    unsigned fresh = bits & ~(unsigned)r->wanted[byte];
    uint64_t index;

    for (unsigned rest = bits; rest; rest &= rest - 1) {
        uint64_t gfn = byte * 8 + (unsigned)__builtin_ctz(rest);

        if (gfn < r->source->gfn_limit && !stream_memory_index(&r->source->memory, gfn, &index))
            return gw_error_set(err, GW_EXIT_FAILED,
                                "the guest wrote to frame 0x%llx, which it did not have before",
                                (unsigned long long)gfn);
    }
    r->wanted[byte] |= (uint8_t)bits;
    r->wanted_pages += (unsigned)__builtin_popcount(fresh);
    return 0;
}

int save_rounds_take(struct save_rounds *r, bool final, struct gw_error *err)
{
    struct save_source *s = r->source;
    const uint8_t *bits;

    if (s->host->ops->log_take(s->host->ctx, s->guest.domid, s->gfn_limit, final, &bits, err))
        return -1;
    for (uint64_t byte = 0; byte < bitmap_bytes(r); byte++)
        if (bits[byte] && add_byte(r, byte, bits[byte], err))
            return -1;
    return migrate_step("save-taken", err);
}

int save_rounds_send(struct save_rounds *r, struct gw_error *err)
{
    return save_source_send_pages(r->source, r->wanted, r->wanted_pages, err);
}

int save_rounds_run(struct save_rounds *r, bool all, struct gw_error *err)
{
    uint64_t sent = all ? r->source->memory_pages : r->wanted_pages;
    int rc = all ? save_source_send_pages(r->source, NULL, sent, err) : save_rounds_send(r, err);

    while (rc == 0) {
        r->n++;
        memset(r->wanted, 0, bitmap_bytes(r));
        r->wanted_pages = 0;
        if (migrate_step("save-round", err) || save_rounds_take(r, false, err))
            return -1;
        if (r->wanted_pages <= FEW_PAGES || r->n >= ROUNDS_MAX || r->wanted_pages * 10 >= sent * 9)
            return 0;
        sent = r->wanted_pages;
        rc = save_rounds_send(r, err);
    }
    return -1;
}
