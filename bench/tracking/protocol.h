/* SPDX-License-Identifier: MIT */
/*
 * What the guest of `scripts/bench tracking` and the program that drives it agree on. The same
 * guest runs on Godwit and on KVM, in 128 MiB of RAM at the address where Xen's memory map puts it.
 */
#ifndef TRACKING_PROTOCOL_H
#define TRACKING_PROTOCOL_H

#include <stdatomic.h>
#include <stdint.h>
#include <xen/xen.h>

#define TRACKING_RAM_BYTES    (UINT64_C(128) << 20)
#define TRACKING_RAM_PAGES    ((uint32_t)(TRACKING_RAM_BYTES >> 12))
#define TRACKING_LOAD_IPA     (GUEST_RAM0_BASE + 0x80000)
#define TRACKING_MAILBOX_IPA  (GUEST_RAM0_BASE + 0x400000)
#define TRACKING_REGION_IPA   (GUEST_RAM0_BASE + 0x800000)
#define TRACKING_REGION_PAGES (TRACKING_RAM_PAGES - 0x800u)
#define TRACKING_BLOCK_PAGES  512u
/* A store here ends a round: console output on Godwit, an exit to the driver on KVM. */
#define TRACKING_DOORBELL_IPA GUEST_PL011_BASE

enum tracking_kind {
    TRACKING_WRITE,    /* an 8-byte store to every stride-th page of the region */
    TRACKING_READ,     /* a load from each of them */
    TRACKING_NULLCALL, /* PSCI_VERSION by HVC, count times */
    TRACKING_TOGETHER, /* vCPUs [0, stride) at once: each stores to count pages of its own */
};

struct tracking_mailbox {
    _Atomic uint32_t round; /* driver: the round to do; release, pairs with the guest's acquire */
    _Atomic uint32_t done;  /* guest: the round it did; release, pairs with the driver's acquire */
    uint32_t kind;
    uint32_t stride; /* pages; TRACKING_TOGETHER: vCPUs */
    uint32_t count;
    uint32_t pad;
    uint64_t ticks; /* guest: counter ticks that the round took */
};

/* Asks for a round. */
static inline void tracking_ask(struct tracking_mailbox *mailbox, enum tracking_kind kind,
                                uint32_t stride, uint32_t count)
{
    mailbox->kind = kind;
    mailbox->stride = stride;
    mailbox->count = count;
    atomic_store_explicit(&mailbox->round,
                          atomic_load_explicit(&mailbox->round, memory_order_relaxed) + 1,
                          memory_order_release);
}

#endif
