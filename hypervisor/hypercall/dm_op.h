/* SPDX-License-Identifier: MIT */
/* Between the files of dm_op. */
#ifndef HYPERCALL_DM_OP_H
#define HYPERCALL_DM_OP_H

#include "call.h"

/* Needs the types of the headers above. */
#include <xen/hvm/dm_op.h>

/* One dm_op: its structure (buffer 0), which is copied back with the progress, and buffer 1. */
struct dm_call {
    struct xen_dm_op op;
    struct xen_dm_op_buf data;
};

/* On a domain that is not the caller's. 0, an error, or -ERESTART with the progress in op. */
long dm_op_modified_memory(struct domain *d, struct dm_call *call);
long dm_op_track_dirty_vram(struct domain *d, struct dm_call *call);
long dm_op_set_mem_type(struct domain *d, struct dm_call *call);

#endif
