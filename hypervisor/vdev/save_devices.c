/* SPDX-License-Identifier: MIT */
/* Save records of PL011 and PL061, and what follows from all records once they are loaded. */
#include "save_internal.h"

#include <string.h>

#define LCRH_FEN (1u << 4)

static size_t pl011_bytes(const struct domain *d)
{
    return d->vpl011.present ? sizeof(struct godwit_save_pl011) : 0;
}

static void pl011_save(struct domain *d, unsigned instance, void *body)
{
    struct vpl011 *uart = &d->vpl011;
    struct godwit_save_pl011 *record = body;

    spin_lock(&uart->lock);
    record->cr = uart->cr;
    record->lcrh = uart->lcrh;
    record->ibrd = uart->ibrd;
    record->fbrd = uart->fbrd;
    record->ifls = uart->ifls;
    record->imsc = uart->imsc;
    record->ris = uart->ris;
    record->dmacr = uart->dmacr;
    record->ilpr = uart->ilpr;
    record->rx_count = uart->rx_count;
    for (unsigned i = 0; i < uart->rx_count; i++) {
        record->rx_fifo[i] = uart->rx_fifo[(uart->rx_head + i) % VPL011_FIFO_BYTES];
    }
    spin_unlock(&uart->lock);
}

static const char *pl011_check(const struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_pl011 *record = body;

    _Static_assert(GODWIT_SAVE_FIFO_BYTES == VPL011_FIFO_BYTES, "one FIFO");
    if ((record->cr & ~VPL011_CR_BITS) || record->lcrh > 0xff || record->ibrd > 0xffff ||
        record->fbrd > 0x3f || record->ifls > 0x3f || (record->imsc & ~VPL011_INTS) ||
        (record->ris & ~VPL011_INTS) || record->dmacr > 7 || record->ilpr > 0xff) {
        return "has bits that the UART has not";
    }
    if (record->rx_count > (record->lcrh & LCRH_FEN ? VPL011_FIFO_BYTES : 1)) {
        return "has more received bytes than fit";
    }
    return NULL;
}

static void pl011_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_pl011 *record = body;
    struct vpl011 *uart = &d->vpl011;

    spin_lock(&uart->lock);
    uart->cr = record->cr;
    uart->lcrh = record->lcrh;
    uart->ibrd = record->ibrd;
    uart->fbrd = record->fbrd;
    uart->ifls = record->ifls;
    uart->imsc = record->imsc;
    uart->ris = record->ris;
    uart->dmacr = record->dmacr;
    uart->ilpr = record->ilpr;
    uart->rx_head = 0;
    uart->rx_count = (uint8_t)record->rx_count;
    memcpy(uart->rx_fifo, record->rx_fifo, sizeof(uart->rx_fifo));
    spin_unlock(&uart->lock);
}

static size_t pl061_bytes(const struct domain *d)
{
    return d->vpl061.present ? sizeof(struct godwit_save_pl061) : 0;
}

static void pl061_save(struct domain *d, unsigned instance, void *body)
{
    struct vpl061 *gpio = &d->vpl061;
    struct godwit_save_pl061 *record = body;

    spin_lock(&gpio->lock);
    *record = (struct godwit_save_pl061){
        .data = gpio->data,
        .dir = gpio->dir,
        .is = gpio->is,
        .ibe = gpio->ibe,
        .iev = gpio->iev,
        .ie = gpio->ie,
        .ris = gpio->ris,
        .afsel = gpio->afsel,
        .inputs = gpio->inputs,
    };
    spin_unlock(&gpio->lock);
}

static const char *pl061_check(const struct domain *d, unsigned instance, const void *body)
{
    static const uint8_t zero[sizeof(((struct godwit_save_pl061 *)0)->reserved)];
    const struct godwit_save_pl061 *record = body;

    if (memcmp(record->reserved, zero, sizeof(zero)) != 0 ||
        (record->inputs & ~(1u << VPL061_POWER_KEY_LINE))) {
        return "has inputs that nothing drives";
    }
    return NULL;
}

static void pl061_load(struct domain *d, unsigned instance, const void *body)
{
    const struct godwit_save_pl061 *record = body;
    struct vpl061 *gpio = &d->vpl061;

    spin_lock(&gpio->lock);
    gpio->data = record->data;
    gpio->dir = record->dir;
    gpio->is = record->is;
    gpio->ibe = record->ibe;
    gpio->iev = record->iev;
    gpio->ie = record->ie;
    gpio->ris = record->ris;
    gpio->afsel = record->afsel;
    gpio->inputs = record->inputs;
    spin_unlock(&gpio->lock);
}

void save_recompute(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        vtimer_recompute(d->vcpus[i]);
        /* Relaxed: the unpause that lets the vCPU run takes the scheduler's lock. */
        atomic_store_explicit(&d->vcpus[i]->evtchn_upcall_check, true, memory_order_relaxed);
    }
    if (d->vpl011.present) {
        vpl011_recompute(d);
    }
    if (d->vpl061.present) {
        vpl061_recompute(d);
    }
}

const struct save_kind save_kind_pl011 = {
    .bytes = pl011_bytes,
    .save = pl011_save,
    .check = pl011_check,
    .load = pl011_load,
};
const struct save_kind save_kind_pl061 = {
    .bytes = pl061_bytes,
    .save = pl061_save,
    .check = pl061_check,
    .load = pl061_load,
};
