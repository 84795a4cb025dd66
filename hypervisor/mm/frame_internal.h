/* SPDX-License-Identifier: MIT */
/* What frame.c (the buddy allocator) and frame_domain.c (references and owners) share. */
#ifndef MM_FRAME_INTERNAL_H
#define MM_FRAME_INTERNAL_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <stdatomic.h>

enum frame_state {
    FRAME_RESERVED = 0, /* not given to the allocator; also the inside of a free block */
    FRAME_FREE,         /* first frame of a free block of 2^order frames */
    FRAME_HV,
    FRAME_DOMAIN,
};

struct frame {
    _Atomic uint32_t count; /* references of a domain frame; 0 in every other state */
    uint16_t owner;         /* domid of a domain frame */
    uint8_t order;
    _Atomic uint8_t state;
    _Atomic uint64_t gfn; /* of a domain frame */
};

_Static_assert(sizeof(struct frame) == 16, "0.4 % of RAM");

/* RAM with records; banks do not overlap, and stay what they are once domains exist. */
struct frame_bank {
    uint64_t first_mfn, end_mfn;
    struct frame *records;
};

/* The bank that holds mfn; NULL if it is not RAM. */
const struct frame_bank *frame_bank_of(uint64_t mfn);

/* The record of the frame that holds pa; NULL if it is not RAM. */
struct frame *frame_of(pa_t pa);

/* Buddy allocator below the public interface; not zeroed. Locks inside. 0 is a valid address. */
bool frame_block_take(unsigned order, pa_t *ret_pa);
void frame_block_give(pa_t pa, unsigned order);
/* The same for any number of contiguous frames. */
void frame_run_give(pa_t start, uint64_t pages);
/* Takes a given free page-aligned range; false and nothing changed if a part of it is not free. */
bool frame_range_take(pa_t start, uint64_t pages);

void frame_scrub(pa_t pa, unsigned order);

#endif
