/* SPDX-License-Identifier: MIT */
/*
 * The one layer through which hypercalls reach the memory of a guest.
 *
 * A pointer is a virtual address of the current vCPU; anything its EL1 may access is valid. Each
 * page is translated (AT, then the software stage-2 walk), its frame is referenced, no lock is
 * held while bytes move, and written pages are marked dirty afterwards. No function here may be
 * called with a lock held.
 */
#ifndef HV_GUEST_ACCESS_H
#define HV_GUEST_ACCESS_H

#include <core/addr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domain;

/*
 * Number of bytes NOT copied (0: all), as Xen's raw_copy_*_guest: bytes before the first page that
 * may not be accessed have been copied. A range that wraps around is not touched.
 */
size_t copy_from_guest(void *to, uint64_t from_gva, size_t bytes);
size_t copy_to_guest(uint64_t to_gva, const void *from, size_t bytes);
/* For what the hypervisor keeps telling a guest, without being asked each time: counted apart. */
size_t copy_to_guest_area(uint64_t to_gva, const void *from, size_t bytes);
size_t clear_guest(uint64_t to_gva, size_t bytes);
/* The same, where fill writes each piece, in order; it is called with no lock held. */
typedef void (*guest_fill_fn)(void *context, uint8_t *to, size_t bytes);
size_t fill_guest(uint64_t to_gva, size_t bytes, guest_fill_fn fill, void *context);
/* All of the range may be written now: nothing is changed. Returns bytes that may not. */
size_t probe_guest_write(uint64_t gva, size_t bytes);

/* By guest physical address of any domain. -EFAULT if a page is not RAM that may be accessed so. */
int copy_to_ipa(struct domain *d, ipa_t to, const void *from, size_t bytes);
int copy_from_ipa(struct domain *d, void *to, ipa_t from, size_t bytes);

/*
 * Port: stage 1 of the vCPU that is loaded on this CPU, as its EL1 would access gva. False: not
 * permitted, or a table of the guest is not in its RAM.
 */
bool arch_translate_gva(uint64_t gva, bool write, ipa_t *ret_ipa);

#endif
