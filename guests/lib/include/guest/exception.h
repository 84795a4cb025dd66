/* SPDX-License-Identifier: MIT */
/* Exceptions of a test guest: interrupts by handler, faults that a test expects. */
#ifndef GUEST_EXCEPTION_H
#define GUEST_EXCEPTION_H

#include <guest/layout.h>
#include <stdbool.h>
#include <stdint.h>

struct exception_frame {
    uint64_t x[31];
    uint64_t elr, spsr;
    uint64_t pad;
};
_Static_assert(sizeof(struct exception_frame) == EXCEPTION_FRAME_BYTES, "vectors.S");

/* kind: 0 synchronous, 1 IRQ, 2 anything else. */
void exception_handle(uint64_t kind, struct exception_frame *frame);

struct fault {
    bool taken;
    uint64_t esr, far;
};

#define ESR_EC(esr) (((esr) >> 26) & 0x3f)

/*
 * From now on this CPU's synchronous exceptions are recorded and the instruction skipped; the
 * second call ends that and returns the first one recorded.
 */
void fault_expect(void);
struct fault fault_taken(void);

/* Calls handler(intid) for every interrupt that this guest takes. */
void irq_set_guest_handler(void (*handler)(uint32_t intid));

#endif
