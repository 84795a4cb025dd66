/* SPDX-License-Identifier: MIT */
/* Drives the `store` guest: rounds of stores, and what they must have dirtied. */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "control.h"

#include <guest/store_plan.h>

#define STORE_GUEST_BYTES (32ul << 20)
#define STORE_END_GFN     ((GUEST_RAM0_BASE + STORE_GUEST_BYTES) >> 12)
#define BITMAP_BYTES      (STORE_END_GFN / 8)

struct store_driver {
    struct control_guest guest;
    struct store_mailbox *mailbox; /* mapped */
};

/* Creates the guest from our ramdisk and waits until its vCPUs serve. False: reported already. */
bool store_driver_start(struct store_driver *driver, const void *dtb, uint32_t vcpus);
void store_driver_stop(struct store_driver *driver);

/* Begins a round on a vCPU; waits for its end. False on timeout. */
void store_driver_begin(struct store_driver *driver, unsigned cpu, uint32_t kind, uint64_t seed,
                        uint32_t pages);
bool store_driver_finish(struct store_driver *driver, unsigned cpu);
bool store_driver_round(struct store_driver *driver, unsigned cpu, uint32_t kind, uint64_t seed,
                        uint32_t pages);

static inline bool bit_is_set(const uint8_t *bitmap, uint64_t gfn)
{
    return bitmap[gfn / 8] >> (gfn % 8) & 1;
}

/* Pages of the region set in bitmap. */
uint32_t store_region_count(const uint8_t *bitmap);

struct store_verdict {
    uint32_t lost;  /* written, not reported */
    uint32_t extra; /* reported, in the region, not written */
};
/* Holds the bitmap of one round against the plan. */
struct store_verdict store_driver_judge(const uint8_t *bitmap, uint32_t kind, uint64_t seed,
                                        uint32_t pages);

#endif
