/* SPDX-License-Identifier: MIT */
/*
 * A guest's PL011. Its other end is Xen's vuart ring (struct xencons_interface) in a page of the
 * guest that the control domain maps. The guest never waits for a reader: bytes that find no room
 * are counted and dropped.
 */
#ifndef HV_VPL011_H
#define HV_VPL011_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VPL011_FIFO_BYTES  32u
#define VPL011_INTS        0x7ffu  /* interrupt sources */
#define VPL011_CR_BITS     0xff87u /* defined bits of CR */
#define VPL011_EARLY_BYTES 2048u   /* output kept until a reader attaches; the oldest goes first */

struct domain;

struct vpl011 {
    struct spinlock lock;
    bool present;
    uint32_t intid;
    uint32_t cr, lcrh, ibrd, fbrd, ifls, imsc, ris, dmacr, ilpr;
    uint8_t rx_fifo[VPL011_FIFO_BYTES];
    uint8_t rx_head, rx_count;
    pa_t ring_pa; /* 0: no reader yet. Holds a frame reference */
    uint64_t ring_gfn;
    uint32_t evtchn_port;
    uint8_t early[VPL011_EARLY_BYTES];
    uint32_t early_prod; /* free running; the last VPL011_EARLY_BYTES bytes are there */
    uint32_t early_count;
    _Atomic uint64_t dropped_bytes; /* output lost because nobody took it in time */
};

/* Adds the device at ipa (4 KiB) with SPI intid to the domain. -EINVAL: the MMIO map is full. */
int vpl011_init(struct domain *d, ipa_t ipa, uint32_t intid);
/*
 * XEN_DOMCTL_VUART_OP_INIT: attaches the ring page and sends what was printed so far. The caller
 * holds a frame reference that it hands over. -ENODEV: no PL011; -EEXIST: attached already; then
 * the reference stays the caller's.
 */
int vpl011_attach_ring(struct domain *d, pa_t ring_pa, uint64_t ring_gfn, uint32_t port);
/* Drops the ring's frame reference; none is attached from here on. The domain runs no more. */
void vpl011_free(struct domain *d);
/* The reader's event channel was signalled: take input from the ring. Any CPU. */
void vpl011_notify(struct domain *d);
/* After a load from a save record: the interrupt line and the FIFO from the registers and the ring.
 */
void vpl011_recompute(struct domain *d);

#endif
