/* SPDX-License-Identifier: MIT */
/* The dirty log as what a save has to write: at once with the guest stopped, or in rounds. */
#ifndef SAVE_ROUNDS_H
#define SAVE_ROUNDS_H

#include "save_source.h"

struct save_rounds {
    struct save_source *source;
    uint8_t *wanted; /* frames to write next; NULL: all */
    uint64_t wanted_pages;
    unsigned n; /* rounds written with the guest running */
};

/* Nothing is wanted yet. Allocates; save_rounds_close frees. */
int save_rounds_open(struct save_rounds *rounds, struct save_source *source, struct gw_error *err);
void save_rounds_close(struct save_rounds *rounds);

/* Takes the log: what was written is wanted, beside what was wanted before. final: as log_take. */
int save_rounds_take(struct save_rounds *rounds, bool final, struct gw_error *err);

/*
 * Writes what is wanted (all: everything) while the guest runs, then what it has written meanwhile,
 * until little is left or it does not become less. The log is on. Afterwards what is left is
 * wanted: stop the guest, take the log with final, and write it with save_rounds_send.
 */
int save_rounds_run(struct save_rounds *rounds, bool all, struct gw_error *err);
int save_rounds_send(struct save_rounds *rounds, struct gw_error *err);

#endif
