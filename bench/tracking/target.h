/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor that has a guest under it and can trace its writes: the part of the measurement that
 * differs between Godwit and KVM. One target at a time. Whatever fails in here ends the program
 * with a message, since nothing can be measured then.
 */
#ifndef TRACKING_TARGET_H
#define TRACKING_TARGET_H

#include "protocol.h"

#include <stdbool.h>

/*
 * Has the guest do a round and stops it again; returns the counter ticks that it took there. After
 * it the mailbox is written by nobody.
 */
uint64_t target_round(enum tracking_kind kind, uint32_t stride, uint32_t count);

/* Logging on or off, everything that the interface has to be asked for that included. */
void target_enable(void);
void target_disable(void);

/*
 * Asks which pages were written since the last time, and makes further writes be noticed. What it
 * is told stays as the interface gives it, since a toolstack would use it so.
 */
void target_harvest(void);

/* That answer as a bitmap of the guest's RAM, valid until the next call. */
const uint64_t *target_answer(void);

/*
 * The same for memory that is clean, of which there are two sizes: the difference shows what one
 * more clean page costs. Returns its pages; 0 if clean pages are no part of the work.
 */
uint32_t target_harvest_clean(bool larger);

/* Exceptions that the guest's CPU took so far because of stage 2 (KVM: for whatever reason). */
uint64_t target_faults(void);

/* Bytes that the hypervisor needs for this guest; 0 if it does not tell. */
uint64_t target_memory(void);

/* Instructions executed on the machine so far, in steps of up to 16. */
uint64_t target_instructions(void);

void target_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
