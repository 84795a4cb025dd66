/* SPDX-License-Identifier: MIT */
/* Harvest sessions: what was taken becomes final, or goes back into the log. */
#include <core/dirty_log.h>

#include "lock.h"
#include "log.h"

/* What one call of abort does. A chunk is not interrupted: 512 words more. */
#define STEP_LOOKS 1024u /* chunks, or holes the size of a group */
#define STEP_WORDS 512u  /* put back */

int dirty_log_sample(struct s2_vm *vm, bool on)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    int result = log_is_marking(vm) ? 0 : -CORE_EINVAL;

    if (result == 0 && vm->log.options.hardware) {
        atomic_store_explicit(&vm->log.sampling, on, memory_order_relaxed); /* a wish */
    }
    s2_read_unlock(line);
    return result;
}

unsigned dirty_log_pages_per_fault(const struct s2_vm *vm)
{
    /* Relaxed, and of a session that may just begin: it is for rates only. */
    uint32_t sample = __atomic_load_n(&vm->log.sample, __ATOMIC_RELAXED);

    if (!vm->log.options.hardware) {
        return 1;
    }
    return sample == LOG_SAMPLE_NEVER || sample == LOG_SAMPLE_NONE ? 0 : DIRTY_LOG_SAMPLE_PAGES;
}

/* Another page of each word; the session is ours. */
static void turn_sample(struct dirty_log *log)
{
    uint32_t sample = log->sample;

    if (atomic_load_explicit(&log->sampling, memory_order_relaxed)) {
        sample = sample % DIRTY_LOG_SAMPLE_PAGES + 1;
    } else if (sample != LOG_SAMPLE_NEVER) {
        sample = LOG_SAMPLE_NONE;
    }
    __atomic_store_n(&log->sample, sample, __ATOMIC_RELAXED); /* as in dirty_log_pages_per_fault */
}

int dirty_log_harvest_begin(struct s2_vm *vm)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    int result = 0;

    switch (log_state(vm)) {
    case DIRTY_LOG_ON:
        /* Acquire: pairs with the release in close_session; taken and epoch are ours now. */
        if (atomic_exchange_explicit(&vm->log.session, 1, memory_order_acquire)) {
            result = -CORE_EBUSY;
        } else {
            vm->log.returned_to = 0;
            turn_sample(&vm->log);
        }
        break;
    case DIRTY_LOG_PREPARE:
    case DIRTY_LOG_PROTECT:
        result = -CORE_EBUSY;
        break;
    default:
        result = -CORE_EINVAL;
    }
    s2_read_unlock(line);
    return result;
}

/* Read lock. Everything taken so far is void from here on. */
static void close_session(struct s2_vm *vm)
{
    vm->log.epoch++;
    /* Release: pairs with the acquire in dirty_log_harvest_begin. */
    atomic_store_explicit(&vm->log.session, 0, memory_order_release);
}

/* The caller's session is still there: turning logging off ends it. Read lock. */
static bool session_is_there(const struct s2_vm *vm)
{
    return log_state(vm) == DIRTY_LOG_ON &&
           atomic_load_explicit(&vm->log.session, memory_order_relaxed); /* caller's own */
}

/* The same, and nobody has begun to abort it. */
static bool session_is_open(const struct s2_vm *vm)
{
    return session_is_there(vm) && vm->log.returned_to == 0;
}

/* Puts taken bits of gfn's word back into the log; returns how many that has set. */
static uint64_t put_back(struct s2_vm *vm, struct dirty_log_chunk *chunk, uint64_t gfn,
                         uint64_t mask)
{
    unsigned word = log_word_of(gfn);
    uint64_t taken;

    if ((chunk->taken_summary[word / 64] >> (word % 64) & 1) == 0) {
        return 0;
    }
    /* Relaxed: taken belongs to the session, whose calls come one after the other. */
    taken = atomic_load_explicit(&chunk->taken[word], memory_order_relaxed);
    atomic_store_explicit(&chunk->taken[word], taken & ~mask, memory_order_relaxed);
    taken &= mask;
    return taken == 0 ? 0 : (unsigned)__builtin_popcountll(log_set(vm, chunk, gfn, taken));
}

void dirty_log_harvest_untake(struct s2_vm *vm, uint64_t first, uint64_t pages)
{
    struct s2_cpu_line *line = s2_read_lock(vm);

    for (uint64_t gfn = first; session_is_open(vm) && gfn < first + pages; gfn++) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, gfn);

        if (chunk != NULL && chunk->taken_epoch == vm->log.epoch) {
            s2_count_by(&line->returned, put_back(vm, chunk, gfn, log_bits(log_bit_of(gfn), 1)));
        }
    }
    s2_read_unlock(line);
}

/* Puts what was taken of one chunk back; returns how many words that are. */
static unsigned put_chunk_back(struct s2_vm *vm, struct s2_cpu_line *line,
                               struct dirty_log_chunk *chunk, uint64_t chunk_gfn)
{
    uint64_t pages = 0;
    unsigned words = 0;

    for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
        for (uint64_t summary = chunk->taken_summary[i]; summary != 0; summary &= summary - 1) {
            unsigned word = i * 64 + (unsigned)__builtin_ctzll(summary);

            pages += put_back(vm, chunk, chunk_gfn + (uint64_t)word * 64, ~UINT64_C(0));
            words++;
        }
    }
    s2_count_by(&line->returned, pages);
    return words;
}

/* One step of an abort. True: all is put back. Read lock. */
static bool put_some_back(struct s2_vm *vm, struct s2_cpu_line *line)
{
    const uint64_t end = vm->log.group_count * LOG_GROUP_PAGES;
    uint64_t gfn = vm->log.returned_to;
    unsigned words = 0;

    for (unsigned looks = 0; gfn < end && looks < STEP_LOOKS && words < STEP_WORDS; looks++) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, gfn);

        if (chunk != NULL && chunk->taken_epoch == vm->log.epoch) {
            words += put_chunk_back(vm, line, chunk, gfn);
        }
        gfn = vm->log.groups[log_group_of(gfn)] == NULL ? log_group_end(gfn) : log_chunk_end(gfn);
    }
    vm->log.returned_to = gfn;
    return gfn >= end;
}

int dirty_log_harvest_abort(struct s2_vm *vm)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    int result = 0;

    if (session_is_there(vm)) {
        if (put_some_back(vm, line)) {
            close_session(vm);
        } else {
            result = -CORE_ERESTART;
        }
    }
    s2_read_unlock(line);
    return result;
}

void dirty_log_harvest_commit(struct s2_vm *vm)
{
    struct s2_cpu_line *line = s2_read_lock(vm);

    if (session_is_open(vm)) {
        close_session(vm);
    }
    s2_read_unlock(line);
}
