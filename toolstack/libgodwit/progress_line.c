/* SPDX-License-Identifier: MIT */
#include "progress_line.h"

#include "migrate/migrate_times.h"
#include <stdatomic.h>
#include <stdio.h>

#define REWRITE_MS 500
#define BAR_CELLS  20
#define NS_PER_MS  1000000u

static uint64_t now_ms(void)
{
    return migrate_now_ns() / NS_PER_MS;
}

enum gw_progress progress_line_kind(const struct progress_line *l)
{
    bool detached = l->detached && atomic_load_explicit(l->detached, memory_order_relaxed);

    return detached ? GW_PROGRESS_NONE : l->progress;
}

bool progress_line_is_due(const struct progress_line *l, uint64_t done)
{
    return progress_line_kind(l) == GW_PROGRESS_TERMINAL &&
           (done == 0 || now_ms() - l->shown_ms >= REWRITE_MS);
}

/* Of what was moved since the line was last rewritten; the first time, since the beginning. */
static double bytes_per_s(struct progress_line *l, uint64_t bytes)
{
    uint64_t now = now_ms(), since = l->shown_ms ? l->shown_ms : l->began_ms;
    uint64_t moved = bytes - l->shown_bytes, ms = now > since ? now - since : 1;

    l->shown_ms = now;
    l->shown_bytes = bytes;
    return (double)moved * 1000 / (double)ms;
}

void progress_line_open(struct progress_line *l, const char *who, const char *phase,
                        const char *did, uint64_t bytes)
{
    fprintf(stderr, "\r%s: %s  %s %.1f MiB  %.1f MiB/s", who, phase, did, (double)bytes / (1 << 20),
            bytes_per_s(l, bytes) / (1 << 20));
}

/* "[=====>    ] 65 %" */
void progress_line_close(uint64_t done, uint64_t total)
{
    unsigned cells;

    done = done < total ? done : total;
    cells = total ? (unsigned)(done * BAR_CELLS / total) : 0;
    fputs("  [", stderr);
    for (unsigned i = 0; i < BAR_CELLS; i++)
        fputc(i < cells ? '=' : i == cells ? '>' : ' ', stderr);
    fprintf(stderr, "] %3u %%\033[K", total ? (unsigned)(done * 100 / total) : 0);
    fflush(stderr);
}

void progress_line_wipe(const struct progress_line *l)
{
    if (progress_line_kind(l) == GW_PROGRESS_TERMINAL)
        fputs("\r\033[K", stderr);
}
