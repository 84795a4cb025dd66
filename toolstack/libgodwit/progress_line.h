/* SPDX-License-Identifier: MIT */
/* One line on a terminal that says how far a migration, save or restore has come. */
#ifndef PROGRESS_LINE_H
#define PROGRESS_LINE_H

#include <libgodwit/migrate.h>

struct progress_line {
    enum gw_progress progress;    /* as asked for */
    const _Atomic bool *detached; /* not NULL and true: nobody reads what is said */
    uint64_t began_ms;            /* monotonic clock */
    uint64_t shown_ms;            /* when it was last rewritten; 0: never */
    uint64_t shown_bytes;         /* that had been moved by then */
};

/* What may be said now. */
enum gw_progress progress_line_kind(const struct progress_line *line);
/* To be rewritten now? When a pass begins (done is 0), and at most twice a second. */
bool progress_line_is_due(const struct progress_line *line, uint64_t done);
/* "\rWHO: PHASE  DID 5.2 MiB  9.1 MiB/s"; the speed is that since the line was shown last. */
void progress_line_open(struct progress_line *line, const char *who, const char *phase,
                        const char *did, uint64_t bytes);
/* The bar, of this pass, so that it never goes back within one; and the end of the line. */
void progress_line_close(uint64_t done, uint64_t total);
/* Ends the line's life: what follows starts at the left. Nothing where there is no line. */
void progress_line_wipe(const struct progress_line *line);

#endif
