/* SPDX-License-Identifier: MIT */
/* Offsets that the entry code uses; trap.c checks them against the structures. */
#ifndef ARCH_ENTRY_OFFSETS_H
#define ARCH_ENTRY_OFFSETS_H

#define CPU_CURRENT   0
#define CPU_STACK_TOP 8
#define CPU_S2        16
#define CPU_SAMPLES   24 /* and the time of them behind it */
#define REGS_PC       248

#endif
