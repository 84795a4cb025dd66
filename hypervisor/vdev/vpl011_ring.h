/* SPDX-License-Identifier: MIT */
/*
 * The two rings of struct xencons_interface, seen from the device. The page belongs to the guest
 * and the control domain: any index may be anything at any time. Nothing here waits or fails.
 */
#ifndef VDEV_VPL011_RING_H
#define VDEV_VPL011_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xencons_interface;

/* Puts as many bytes as fit into the out ring; returns how many. Broken indices: none fit. */
size_t vpl011_ring_put(struct xencons_interface *ring, const uint8_t *bytes, size_t count);
/* Takes up to count bytes from the in ring; returns how many. Broken indices: there are none. */
size_t vpl011_ring_take(struct xencons_interface *ring, uint8_t *bytes, size_t count);

#endif
