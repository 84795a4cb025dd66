/* SPDX-License-Identifier: MIT */
/* Operations of Godwit's own that have a file to themselves. The caller is the control domain. */
#ifndef HYPERCALL_GODWIT_OPS_H
#define HYPERCALL_GODWIT_OPS_H

#include <stdint.h>

/* GODWIT_OP_READONLY, its structure at gva. */
long godwit_readonly(uint64_t gva);

#endif
