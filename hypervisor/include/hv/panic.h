/* SPDX-License-Identifier: MIT */
/* What the hypervisor prints when it dies. panic() itself is in hv/console.h. */
#ifndef HV_PANIC_H
#define HV_PANIC_H

#include <stdint.h>

/* Registers at an exception taken at EL2; written by el2_fatal (arch/arm64/fatal_entry.h). */
struct el2_frame {
    uint64_t x[31];
    uint64_t sp;
    uint64_t pc, cpsr;
    uint64_t esr, far;
};

_Static_assert(sizeof(struct el2_frame) == 36 * 8, "fatal_entry.h");

/* An unexpected exception at EL2: prints everything and stops. vector: its slot, 0 to 15. */
_Noreturn void panic_exception(const struct el2_frame *frame, unsigned vector);

/*
 * Prints pc and the callers from frame pointer fp on, with symbols; stays inside this CPU's stack.
 * lr is printed as the caller when pc is not in the text: after a jump to nowhere.
 */
void backtrace_print(uint64_t pc, uint64_t lr, uint64_t fp);

/* Name of the function that holds address; "?" when outside the text. Adds the offset into it. */
const char *symbol_find(uint64_t address, uint64_t *ret_offset);

#endif
