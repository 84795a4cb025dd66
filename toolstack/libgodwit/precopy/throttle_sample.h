/* SPDX-License-Identifier: MIT */
/* How fast each vCPU writes, by a sample of the pages that are written. Arithmetic only. */
#ifndef THROTTLE_SAMPLE_H
#define THROTTLE_SAMPLE_H

#include "throttle_policy.h"

/* A sample that is to tell n vCPUs apart needs that many hits, and a look that is so long. */
#define THROTTLE_SAMPLE_HITS(n) (8u + 4u * (n))
#define THROTTLE_SAMPLE_LOOK_MS 2000u /* at the most */
/* Fewer hits than these are chance beside a vCPU that has so many times more. */
#define THROTTLE_SAMPLE_FEW     3u
#define THROTTLE_SAMPLE_FAR     4u

/*
 * pages: what each of n vCPUs wrote in the look, by a sample of one page in pages_per_hit. Sets
 * their dirty_pages_per_s. The log's own count of the guest's pages is exact: together they have
 * not written more, and no less unless it is beyond the sample's error, which is half of what it
 * says.
 */
void throttle_sample_rates(const struct throttle_measure *look, const uint64_t *pages,
                           unsigned pages_per_hit, struct throttle_vcpu *vcpus, unsigned n);

/* How long a look must be for a sample to tell them apart, at the rate of the look before. */
unsigned throttle_sample_look_ms(uint64_t dirty_pages_per_s, unsigned pages_per_hit, unsigned n);

#endif
