/* SPDX-License-Identifier: MIT */
/* What the dirty log tells a watched range: pages that were written, or will be found closed. */
#ifndef CORE_SRC_TRACK_H
#define CORE_SRC_TRACK_H

#include <core/dirty_log.h>

void track_free(struct s2_vm *vm);
void track_note_range(struct s2_vm *vm, uint64_t gfn, uint64_t pages);
void track_note_words(struct s2_vm *vm, const struct dirty_log_word *words, unsigned count);

static inline bool track_is_on(const struct s2_vm *vm)
{
    return vm->track.pages != 0; /* changes under the write lock; either lock */
}

/* Counts a range as written. Either lock. */
static inline void track_range(struct s2_vm *vm, uint64_t gfn, uint64_t pages)
{
    if (track_is_on(vm)) {
        track_note_range(vm, gfn, pages);
    }
}

/* The same for what a harvest has taken: its pages are closed now. Read lock. */
static inline void track_words(struct s2_vm *vm, const struct dirty_log_word *words, unsigned count)
{
    if (track_is_on(vm)) {
        track_note_words(vm, words, count);
    }
}

#endif
