/* SPDX-License-Identifier: MIT */
/*
 * One kind of save record: how long it is, what goes into it, what is wrong with one, and what it
 * changes. save.c drives these: all checks of a list pass before the first load.
 */
#ifndef VDEV_SAVE_INTERNAL_H
#define VDEV_SAVE_INTERNAL_H

#include <godwit/save.h>
#include <hv/domain.h>
#include <stddef.h>

struct save_kind {
    bool per_vcpu;
    bool optional; /* lists that were written by an older version lack it */
    /* Length of the body in this domain; 0: it has no such record. */
    size_t (*bytes)(const struct domain *d);
    /* The body is zeroed. */
    void (*save)(struct domain *d, unsigned instance, void *body);
    /* NULL if the body can be loaded, else what is wrong with it. Changes nothing. */
    const char *(*check)(const struct domain *d, unsigned instance, const void *body);
    void (*load)(struct domain *d, unsigned instance, const void *body);
};

extern const struct save_kind save_kind_header, save_kind_vcpu, save_kind_clock, save_kind_timer,
    save_kind_gicd, save_kind_gicr, save_kind_pl011, save_kind_pl061, save_kind_hidden;

/* Before the GIC's records are loaded: no interrupt is on any list. */
void save_reset_interrupts(struct domain *d);
/* After all records: lines, timers and wake-ups follow from what was loaded. */
void save_recompute(struct domain *d);

#endif
