/* SPDX-License-Identifier: MIT */
/* Between the parts of the fake machine. */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include "fake.h"

void fake_tlb_reset(void);
void fake_window_reset(void);
void fake_checker_reset(void);

/* Cleared pages, or NULL where an allocation is to fail. */
void *fake_memory_take(size_t alignment, uint64_t pages);
/* False: the page, which has been freed, is of no run of several. */
bool fake_run_page_freed(char *page);

/* What was cached of this range is gone from all TLBs. */
void fake_checker_flushed(const struct s2_vm *vm, uint64_t ipa, uint64_t bytes,
                          uint64_t leaf_bytes);
/* A page goes back to the allocator. */
void fake_checker_page_freed(pa_t pa);
/* That table was linked in the descriptor for ipa. */
void fake_window_linked(const struct s2_vm *vm, ipa_t ipa, pa_t table);
/* Ends the program if a load through a window has missed without port_window_missed. */
void fake_window_settled(void);
void fake_window_pages_freed(pa_t pa, uint64_t bytes);

#endif
