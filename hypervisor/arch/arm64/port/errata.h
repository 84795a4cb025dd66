/* SPDX-License-Identifier: MIT */
/* Which CPUs are known to do wrong what the port builds on. From MIDR_EL1 alone. */
#ifndef PORT_ERRATA_H
#define PORT_ERRATA_H

#include <stdbool.h>
#include <stdint.h>

/* A TLBI and its DSB may complete before stores that this CPU made through what was invalidated:
 * both once more, and they have. */
bool errata_repeat_tlbi(uint64_t midr);

/* Its MMU does not keep the dirty state of stage 2 as the architecture says. */
bool errata_wrong_dirty_state(uint64_t midr);

#endif
