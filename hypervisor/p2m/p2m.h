/* SPDX-License-Identifier: MIT */
/* Between the files of p2m/. */
#ifndef P2M_P2M_H
#define P2M_P2M_H

#include <core/s2.h>
#include <stdbool.h>
#include <stdint.h>

struct domain;

bool p2m_range_valid(uint64_t gfn, uint64_t pages);
void p2m_raise_max_gfn(struct domain *d, uint64_t gfn);

/* s2_map, unless d is being destroyed (-EINVAL): tested under domain.lock, which dying is set
 * under. */
int p2m_map_alive(struct domain *d, uint64_t gfn, pa_t pa, uint64_t pages, enum s2_type type);

/* A foreign mapping of the frame at pa left the map of d. No lock is held. */
void p2m_foreign_released(struct domain *d, pa_t pa, bool was_writable);

#endif
