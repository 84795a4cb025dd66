/* SPDX-License-Identifier: MIT */
/* A guest's PL011. Its other end is Xen's vuart ring (xencons_interface) in a page of the guest. */
#ifndef HV_VPL011_H
#define HV_VPL011_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <stdbool.h>
#include <stdint.h>

struct domain;

struct vpl011 {
    struct spinlock lock;
    bool present;
    uint32_t cr, lcrh, ibrd, fbrd, ifls, imsc, ris, dmacr;
    uint8_t rx_fifo[32];
    uint8_t rx_head, rx_count;
    pa_t ring_pa;       /* 0: no reader yet. Holds a frame reference */
    uint64_t ring_gfn;
    uint32_t evtchn_port;
    uint64_t dropped_bytes; /* output lost because the ring was full: a guest never blocks on it */
};

/* Adds the device at ipa (4 KiB) with SPI intid to the domain. */
int vpl011_init(struct domain *d, ipa_t ipa, uint32_t intid);
/* XEN_DOMCTL_VUART_OP_INIT: attaches the ring page. Caller holds a reference that it hands over. */
int vpl011_attach_ring(struct domain *d, pa_t ring_pa, uint64_t ring_gfn, uint32_t port);
void vpl011_free(struct domain *d);
/* The reader's event channel was signalled: take input from the ring. */
void vpl011_notify(struct domain *d);

#endif
