/* SPDX-License-Identifier: MIT */
/* A domain's physical map: core/'s stage 2 plus frame references and accounting. */
#ifndef HV_P2M_H
#define HV_P2M_H

#include <core/s2.h>
#include <hv/domain.h>

/* Maps freshly allocated frames of d (count stays: the domain's own reference). */
int p2m_add_ram(struct domain *d, uint64_t gfn, pa_t pa, unsigned order);
/* Removes pages and drops the references they held, whatever their type. */
int p2m_remove(struct domain *d, uint64_t gfn, uint64_t pages);
/* Maps a frame of another domain; holds a reference to it. */
int p2m_add_foreign(struct domain *d, uint64_t gfn, struct domain *source, uint64_t source_gfn);

/* A stage-2 write permission fault at ipa: opens, marks, upgrades a foreign page. */
enum s2_fault p2m_fault_write(struct domain *d, ipa_t ipa);

#endif
