/* SPDX-License-Identifier: MIT */
/* Operations of Godwit's own that have a file to themselves. The caller is the control domain. */
#ifndef HYPERCALL_GODWIT_OPS_H
#define HYPERCALL_GODWIT_OPS_H

#include <stdint.h>

#include "call.h"

/* GODWIT_OP_READONLY, its structure at gva. */
long godwit_readonly(uint64_t gva);

/* GODWIT_OP_VCPU_STATS, GODWIT_OP_VCPU_THROTTLE, GODWIT_OP_WRITER_SAMPLE, the same. */
long godwit_vcpu_stats(uint64_t gva);
long godwit_vcpu_throttle(uint64_t gva);
long godwit_writer_sample(uint64_t gva);

/* GODWIT_OP_DIRTY_RANGES, its structure at the call's second argument. */
long godwit_dirty_ranges(struct hcall *call);

/* GODWIT_OP_PAGES, the same. */
long godwit_pages(struct hcall *call);

#endif
