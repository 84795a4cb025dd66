/* SPDX-License-Identifier: MIT */
/* What the hv_*.c files share: the handle and the ways into the hypervisor. */
#ifndef LIBGODWIT_HV_INTERNAL_H
#define LIBGODWIT_HV_INTERNAL_H

#include <libgodwit/hv.h>

#include <xencall.h>
#include <xenforeignmemory.h>

/* Bounce buffer for arrays that a hypercall reads or writes. */
#define HV_SCRATCH_BYTES 16384u

struct gw_hv {
    xencall_handle *call;
    xenforeignmemory_handle *memory;
    struct xen_domctl *domctl; /* resident; one call at a time */
    void *scratch;             /* resident, HV_SCRATCH_BYTES */
};

/*
 * Zeroes and returns the domctl of this handle, with cmd and domid filled in; hv_domctl_run()
 * issues it. Results stay readable in it until the next prepare.
 */
struct xen_domctl *hv_domctl_prepare(struct gw_hv *hv, uint32_t cmd, uint32_t domid);
int hv_domctl_run(struct gw_hv *hv);
/* Prepare and run of a call without a payload. */
int hv_domctl_simple(struct gw_hv *hv, uint32_t cmd, uint32_t domid);

/* A call of Godwit's own; argument is copied in and out. */
int hv_godwit(struct gw_hv *hv, enum godwit_op op, size_t bytes, void *argument);

/* XENMEM_*; argument is copied in and out through the scratch buffer at offset 0. */
long hv_memory_op(struct gw_hv *hv, unsigned cmd, void *argument, size_t bytes);

#endif
