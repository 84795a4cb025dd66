/* SPDX-License-Identifier: MIT */
/*
 * Machine frames: a buddy allocator over all RAM banks and one 16-byte record per 4 KiB frame.
 *
 * A frame of a domain has a count: 1 for being the domain's, plus 1 for each foreign mapping and
 * each copy in progress. At 0 it is freed; its owner's page count drops at that moment. Every
 * allocation is zeroed before it is handed out, except runs of the hypervisor's own.
 */
#ifndef HV_FRAME_H
#define HV_FRAME_H

#include <core/addr.h>
#include <stdbool.h>
#include <stdint.h>

#define FRAME_ORDER_MAX 18 /* 1 GiB */

struct domain;

/*
 * Boot: gives the frames of a RAM bank their records (frame_record_bytes, zeroed here), all of them
 * reserved. Banks do not overlap.
 */
uint64_t frame_record_bytes(uint64_t bank_bytes);
void frame_add_bank(pa_t start, uint64_t bytes, void *records);

/* Adds RAM of a bank to the allocator at boot: reserved until now, page aligned. */
void frame_add_region(pa_t start, uint64_t bytes);

/* For the hypervisor itself: naturally aligned, zeroed; NULL when there is none. Locks inside. */
void *frame_alloc_hv(unsigned order);
void frame_free_hv(void *va, unsigned order);
/*
 * The same for contiguous pages that are freed singly or together: at least one and at most pages,
 * *ret_pages of them. Not zeroed: they hold what somebody has left there.
 */
void *frame_alloc_hv_run(uint64_t pages, uint64_t *ret_pages);
void frame_free_hv_run(void *va, uint64_t pages);

/* For a domain: zeroed, count 1, owner set, its page count raised. False: out of memory or over
 * max_pages. */
bool frame_alloc_domain(struct domain *d, unsigned order, pa_t *ret_pa);
/* Boot: takes a given range for the control domain (1:1), already zeroed or loaded. */
bool frame_claim_domain(struct domain *d, pa_t start, uint64_t bytes);

/* Takes one more reference to a domain's frame; false if it is free, the hypervisor's or not RAM.
 */
bool frame_get(pa_t pa);
/* Drops one; the last one frees the frame. */
void frame_put(pa_t pa);
/* The same for each of a list. How many there were, from the first on, before one had none. */
unsigned frame_get_list(const pa_t *frames, unsigned n);
void frame_put_list(const pa_t *frames, unsigned n);
/* The same for contiguous frames of one domain. */
void frame_put_run(pa_t start, uint64_t pages);

/* Owner of a domain frame or DOMID_INVALID; gfn is where the owner maps it (set by the p2m glue).
 */
uint16_t frame_owner(pa_t pa);
uint64_t frame_gfn(pa_t pa);
void frame_set_gfn(pa_t pa, uint64_t gfn);

/* Every page of the range is in the allocator. Boot: a hint as soon as others allocate. */
bool frame_range_is_free(pa_t start, uint64_t bytes);

uint64_t frame_total_pages(void);
uint64_t frame_free_pages(void);
uint64_t frame_hv_pages(void); /* in use by the hypervisor's own allocations */
uint64_t frame_max_mfn(void);
bool frame_is_ram(pa_t pa);

/* Direct map: all RAM is mapped read-write, never executable, at a constant offset. */
void *pa_to_va(pa_t pa);
pa_t va_to_pa(const void *va);

/* Fills a whole page of RAM with zeros, by cache line where the CPU can. */
void page_zero(void *page);
/* Port: copies a page. Both are aligned to one, and are not the same. Each byte is read once. */
void page_copy(void *to, const void *from);
/* The same, but false for a page of zeros, of which nothing is copied. */
bool page_copy_contents(void *to, const void *from);

#endif
