/* SPDX-License-Identifier: MIT */
/* Bring-up of the CPUs. */
#ifndef ARCH_SMP_H
#define ARCH_SMP_H

#include <stdint.h>

/* Fills cpus[0] for the CPU we run on. */
void smp_init_boot_cpu(void);
/* Starts the others by PSCI, one by one; those that do not come up are reported and left out. */
void smp_start_others(void);

void cpu_set_count(unsigned count);
void cpu_init_sgis(void);
/* Sleeps for ever; interrupts stay masked. */
_Noreturn void cpu_halt(void);

#endif
