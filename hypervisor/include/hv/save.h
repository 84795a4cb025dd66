/* SPDX-License-Identifier: MIT */
/*
 * A domain's CPUs and devices as one list of records (include/godwit/save.h), and back.
 * The domain is paused and none of its vCPUs is loaded, for both calls.
 */
#ifndef HV_SAVE_H
#define HV_SAVE_H

#include <godwit/ext.h>
#include <stddef.h>
#include <stdint.h>

struct domain;

/*
 * Writes all records. *ret_bytes becomes the size they take; buf NULL only asks for it.
 * -ENOSPC: bytes is too small, nothing written. -EINVAL: the control domain, or vCPUs are missing.
 */
int hv_save_context(struct domain *d, void *buf, size_t bytes, size_t *ret_bytes);

/*
 * Loads a list of records. Everything is checked before the first change, so the domain is either
 * as the records say or untouched.
 * -ENODATA: the list ends before its END record; -EINVAL: a record is unknown, missing, double, of
 * another host, or holds a value that this host cannot load; a line in the log says which. Also if
 * buf is not aligned to 8 bytes, the domain is the control domain or lacks vCPUs.
 */
int hv_load_context(struct domain *d, const void *buf, size_t bytes);

/* This host's ID registers as a new guest sees them, in the order of enum godwit_id_register. */
void hv_id_registers(uint64_t ret_id[GODWIT_ID_COUNT]);

#endif
