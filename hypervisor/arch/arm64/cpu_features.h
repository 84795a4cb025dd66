/* SPDX-License-Identifier: MIT */
/* What all CPUs of this host can do. The boot CPU sets it, the others may only be as good. */
#ifndef ARCH_CPU_FEATURES_H
#define ARCH_CPU_FEATURES_H

#include <stdbool.h>

struct cpu_features {
    unsigned pa_bits; /* at most 48 */
};

extern struct cpu_features cpu_features;

/* Boot CPU. Panics if something is missing that there is no way around (4 KiB pages). */
void cpu_features_init(void);
/* Secondary CPUs: panics if this one has fewer physical address bits, or lacks atomics. */
void cpu_features_check_this_cpu(void);

#endif
