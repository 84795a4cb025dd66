/* SPDX-License-Identifier: MIT */
/* What the scheduler takes from the port; stands in for the arm64 one. */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <core/addr.h>

/* One thread plays all CPUs: whoever waits here waits for ever. */
void port_cpu_relax(void);

#endif
