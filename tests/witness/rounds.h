/* SPDX-License-Identifier: MIT */
/*
 * Which round of the dirty log a store belongs to, and the trace that check.py reads.
 *
 * A store belongs to the round in which it was made, except between the start of the harvest and
 * its last invalidation: there it may belong to this round or to the next. With one thread the
 * emulator runs no other CPU between our call for the TLB instruction and its effect, so the round
 * ends there. With several, it ends at the DSB behind: the emulator holds all CPUs, outside of
 * translated code, before that instruction is reached, so whatever was stored before has been told.
 *
 * A fault handler opens a page before it has marked it, and others may store there meanwhile. So it
 * is told, too, how many handlers had not come to their end when a harvest began.
 *
 * No function locks: the caller lets one in at a time.
 */
#ifndef WITNESS_ROUNDS_H
#define WITNESS_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS_PAGES_MAX 65536u

/* Creates the trace. several_threads: how the emulator runs the CPUs. False: cannot write path. */
bool rounds_open(const char *path, bool several_threads);
void rounds_close(void);

/* False between sessions: stores need not be told then. */
bool rounds_are_on(void);

/* A session begins: pages of the guest, lying in so many different frames; mode is for the trace.
 * Counting starts. */
void rounds_start(uint64_t mode, uint32_t pages, uint32_t frames);
/* From now on to rounds_stop the guest is paused. */
void rounds_still(void);
void rounds_stop(void);

/* A store to a page. By the hypervisor: it marks afterwards, so a harvest may come between. */
void rounds_store(unsigned cpu, uint32_t page, bool by_hypervisor);
/* A store that went over a page's end; one whose physical address is not known. */
void rounds_count_crossing(void);
void rounds_count_unknown(void);

/* cpu enters a fault handler of the log; cpu is about to leave the hypervisor. */
void rounds_fault(unsigned cpu);
void rounds_leave(unsigned cpu);

/* cpu enters the harvest; is about to invalidate on all CPUs; is about to execute a DSB. */
void rounds_harvest(unsigned cpu);
void rounds_invalidate(unsigned cpu);
void rounds_barrier(unsigned cpu);

/* CLEAN has returned; a page that it reported; the end of its report. */
void rounds_cleaned(void);
void rounds_reported(uint64_t page);
void rounds_report_ends(void);

#endif
