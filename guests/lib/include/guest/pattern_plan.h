/* SPDX-License-Identifier: MIT */
/* What the `pattern` guest and its control domain agree on. Assembler reads it too. */
#ifndef GUEST_PATTERN_PLAN_H
#define GUEST_PATTERN_PLAN_H

#define PATTERN_READY 0 /* offsets in the mailbox page, 32 bits each */
#define PATTERN_GO    4

/* Guest physical: a vCPU each that holds patterns, sleeps, has gone off, was never started. */
#define PATTERN_VCPUS 6

#endif
