/* SPDX-License-Identifier: MIT */
/*
 * The dirty log of one VM: which pages were written since the last harvest.
 *
 * Invariant: a page of type S2_RAM_RW is marked, or it is not writable, or a
 * fault handler that holds the read lock is between opening and marking it.
 *
 * A harvest is a session: begin, take one chunk after the other, commit. Taken
 * bits stay in a second bitmap until commit; abort puts all of them back, also
 * those of chunks whose bits the caller has copied out already.
 */
#ifndef CORE_DIRTY_LOG_H
#define CORE_DIRTY_LOG_H

#include <core/addr.h>
#include <core/error.h>
#include <core/s2_vm.h>
#include <stddef.h>

/*
 * Starts logging with an empty bitmap, sized by the highest mapped RAM page.
 * Allocates bitmaps and prepays the tables for every split first: -CORE_ENOMEM
 * leaves everything as it was. -CORE_EBUSY when on already, -CORE_EINVAL when
 * options ask for hardware and port_has_hardware_dirty() says no. Write-protects
 * in bounded steps: -CORE_ERESTART means call again; logging counts as on (and
 * dirty_log_off undoes it) from the first call, whose options hold.
 */
int dirty_log_enable(struct s2_vm *vm, const struct dirty_log_options *options);

/* Stops logging, opens pages, merges blocks, frees bitmaps; bounded steps as above. Idempotent. */
int dirty_log_off(struct s2_vm *vm);

bool dirty_log_is_on(const struct s2_vm *vm);

/*
 * Marks the page at ipa: for every writer that is not a vCPU's own store
 * (hypercall output, vcpu_info, devices, foreign mappings). Call it AFTER the
 * write. writer: whom to count it for, if the page was not marked already. No-op
 * when logging is off or ipa is not RAM of this VM. Read lock inside.
 */
void dirty_log_mark(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer);

/*
 * The same for n pages that a hypercall wrote for somebody, under one hold of the read lock: keep n
 * small. Frame numbers may be any.
 */
void dirty_log_mark_list(struct s2_vm *vm, const uint64_t *gfns, unsigned n,
                         enum dirty_log_writer writer);

/*
 * A page that somebody may write without faulting (a writable foreign mapping)
 * is pinned: it counts as dirty in every harvest until the last unpin, and once
 * more after it. Pins nest and are kept while logging is off; 8 to 16 bytes of
 * memory per pinned page, none without pins. -CORE_ENOMEM: not pinned, so the
 * page must not be opened. Takes the read lock and the pins' own lock.
 */
__attribute__((warn_unused_result)) int dirty_log_pin(struct s2_vm *vm, ipa_t ipa);
void dirty_log_unpin(struct s2_vm *vm, ipa_t ipa);

/* Number of marked pages (pinned ones included), and of those from a gfn on. */
uint64_t dirty_log_count(struct s2_vm *vm);
uint64_t dirty_log_count_from(struct s2_vm *vm, uint64_t gfn);

/* First gfn above everything the log covers. */
uint64_t dirty_log_limit_gfn(struct s2_vm *vm);

/*
 * Where the hardware notes writes, nobody knows who wrote. on: from the next session on one page in
 * DIRTY_LOG_SAMPLE_PAGES is left to a fault, each session another one; harvests look at every
 * descriptor then. No effect where all first writes are faults. What is reported does not change.
 * Ends with the logging: -CORE_EINVAL when that is off. Read lock inside.
 */
#define DIRTY_LOG_SAMPLE_PAGES 64u
int dirty_log_sample(struct s2_vm *vm, bool on);

/*
 * How many pages each first write stands for that a fault has noticed: 1, or with a sample
 * DIRTY_LOG_SAMPLE_PAGES; 0: faults say nothing about that, there is no sample yet. No lock.
 */
unsigned dirty_log_pages_per_fault(const struct s2_vm *vm);

/* Opens the one harvest session of this VM. -CORE_EBUSY, or -CORE_EINVAL when logging is off. */
int dirty_log_harvest_begin(struct s2_vm *vm);

/* 64 pages with marks: bit i is gfn + i; gfn is a multiple of 64. */
struct dirty_log_word {
    uint64_t gfn;
    uint64_t bits;
};

/* Words that one call has room for. It stops when there is no room for 64 more. */
#define DIRTY_LOG_WORDS 128u

/*
 * Takes and clears the marks of gfns [*gfn, end), write-protects those pages again, invalidates
 * once, and stores the words that are not zero in ascending order. What has no marks costs next to
 * nothing. Returns the number of words, in *ret_pages their
 * bits; *gfn becomes where to go on, end when all is done. *gfn
 * is a multiple of 64; end need not be, marks from there on stay. Read lock inside. Never fails:
 * retries descriptors in transit. Takes nothing when the caller's session is gone.
 */
unsigned dirty_log_harvest_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                                 struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages);

/* As above but changes nothing; needs no session; *gfn may be any. */
unsigned dirty_log_peek_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                              struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages);

/*
 * The same as a bitmap: bit i of byte i/8 for gfn first + i; first and pages multiples of 64, at
 * most DIRTY_LOG_CHUNK_PAGES. One invalidation. Returns how many bits are set.
 */
#define DIRTY_LOG_CHUNK_PAGES 32768u
uint64_t dirty_log_harvest_take(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits);
uint64_t dirty_log_peek(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits);

/* Clears one taken bit again: for a page the caller did not report after all (partial last byte).
 */
void dirty_log_harvest_untake(struct s2_vm *vm, uint64_t first, uint64_t pages);

/*
 * Ends the session. Commit: what was taken is gone from the log. Abort: all of it goes back, in
 * bounded steps: -CORE_ERESTART means call again. Until it returns 0 the session stays open to
 * nothing but abort, and others get -CORE_EBUSY; anybody may make the calls, one after the other.
 * Both do nothing when the session is gone: dirty_log_off ends it at any point.
 */
void dirty_log_harvest_commit(struct s2_vm *vm);
__attribute__((warn_unused_result)) int dirty_log_harvest_abort(struct s2_vm *vm);

#endif
