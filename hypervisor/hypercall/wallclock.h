/* SPDX-License-Identifier: MIT */
/* The time of day that the control domain told, handed to guests in shared_info. */
#ifndef HYPERCALL_WALLCLOCK_H
#define HYPERCALL_WALLCLOCK_H

#include <stdint.h>

/* At system_time_ns (since reset) it was secs and nsecs since 1970. Every domain is told. */
void wallclock_set(uint64_t secs, uint32_t nsecs, uint64_t system_time_ns);

/* Fills the wall clock of a shared_info page that is new. evtchn_lock is held. */
void wallclock_fill(void *shared_info);

#endif
