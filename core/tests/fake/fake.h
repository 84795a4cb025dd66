/* SPDX-License-Identifier: MIT */
/*
 * A machine for the tests: CPUs with TLBs that keep every entry until it is invalidated, a memory
 * of one word per frame, an allocator that can be told to fail, and a checker that sees every
 * descriptor change. A broken rule ends the program with a message.
 */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include <core/port.h>

#define FAKE_CPUS      8u
#define FAKE_RAM_BASE  UINT64_C(0x1000000000) /* frames for guests, 1 GiB aligned */
#define FAKE_RAM_PAGES (UINT64_C(1) << 20)

/* Back to a fresh machine; pages that are still allocated are an error. */
void fake_reset(void);
uint64_t fake_pages_allocated(void);
/* The n-th allocation from now on (0: the next) and all after it fail; -1: none. */
void fake_fail_allocation(long n);
/* Whether the MMU opens tracked pages on the first write; true after a reset. */
void fake_set_hardware_dirty(bool on);
/* Widest physical address; 48 after a reset. */
void fake_set_pa_bits(unsigned bits);

/* The word of memory in the frame at pa. */
_Atomic uint64_t *fake_word(pa_t pa);

enum fake_access {
    FAKE_DONE,
    FAKE_UNMAPPED,
    FAKE_READONLY,
    FAKE_FOREIGN,
    FAKE_GAVE_UP, /* retries did not help */
};

/* The guest on this thread's CPU reads or writes the word at ipa, as hardware and trap handler do.
 */
enum fake_access fake_store(struct s2_vm *vm, ipa_t ipa, uint64_t value);
enum fake_access fake_load(struct s2_vm *vm, ipa_t ipa, uint64_t *ret_value);

/* The same store if it takes no fault: what the hardware alone can do. False: nothing happened. */
bool fake_store_without_fault(struct s2_vm *vm, ipa_t ipa, uint64_t value);

/* No TLB holds anything of this VM that the tables do not say (it may know less). */
void fake_check_tlbs(struct s2_vm *vm);
/* Pages that the tables say are tracked. */
uint64_t fake_tracked_pages(struct s2_vm *vm);
/* Descriptors in transit at this moment. */
unsigned fake_entries_locked(void);

/* Loads through windows (find_linear) that found a leaf table or did not, since the reset. */
uint64_t fake_window_hits(void);
uint64_t fake_window_misses(void);
/* On: no CPU sees a table yet, however long it has been linked. */
void fake_window_blind(bool on);
/* No window can be opened until the reset. */
void fake_window_no_room(void);

/* Switches the descriptor checker off: its lock would hide races from the thread sanitizer. */
void fake_check_entries(bool on);

_Noreturn void fake_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Numbers from a seed; the same on every machine. */
struct fake_random {
    uint64_t state;
};
uint64_t fake_random_next(struct fake_random *random);
uint64_t fake_random_below(struct fake_random *random, uint64_t limit);

#endif
