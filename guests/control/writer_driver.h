/* SPDX-License-Identifier: MIT */
/* Drives the `writer` guest, and holds what the dirty log says against what it was told to do. */
#ifndef WRITER_DRIVER_H
#define WRITER_DRIVER_H

#include "control.h"

#include <godwit/ext.h>
#include <guest/writer_plan.h>

#define WRITER_REGION_GFN (WRITER_REGION_IPA >> 12)
#define WRITER_END_GFN    (WRITER_REGION_GFN + WRITER_REGION_PAGES + 512)
#define WRITER_NO_PAGE    UINT64_MAX

struct writer_driver {
    struct control_guest guest;
    struct writer_mailbox *mailbox; /* mapped */
    uint8_t bitmap[(WRITER_END_GFN + 7) / 8];
};

/* Creates the guest from our ramdisk and starts it. False: reported already. */
bool writer_start(struct writer_driver *driver, const void *dtb);
void writer_stop(struct writer_driver *driver);

/* The guest does one thing; its result, or -1000 if it did not finish in time. */
int64_t writer_ask(struct writer_driver *driver, enum writer_command command, uint64_t a,
                   uint64_t b, uint64_t c);

/* CLEAN into the bitmap. */
struct shadow_result writer_clean(struct writer_driver *driver);
static inline bool writer_reported(const struct writer_driver *driver, uint64_t page)
{
    uint64_t gfn = WRITER_REGION_GFN + page;

    return driver->bitmap[gfn / 8] >> (gfn % 8) & 1;
}

/*
 * Cleans, and reports whether of the region exactly pages p and q were dirty (WRITER_NO_PAGE:
 * none).
 */
bool writer_expect(struct writer_driver *driver, const char *what, uint64_t p, uint64_t q);
/* The same for any subset of p and q: the architecture leaves open whether such a store writes. */
bool writer_expect_at_most(struct writer_driver *driver, const char *what, uint64_t p, uint64_t q);

struct godwit_stats writer_stats(const struct writer_driver *driver);

#endif
