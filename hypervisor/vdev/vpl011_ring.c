/* SPDX-License-Identifier: MIT */
/* The console ring, see vpl011_ring.h. */
#include "vpl011_ring.h"

#include <stdatomic.h>
#include <xen/xen.h>

#include <xen/io/console.h>

/* Xen's header has plain integers; a load or store of 32 bits is single-copy atomic all the same.
 */
static uint32_t load_acquire(const XENCONS_RING_IDX *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store_release(XENCONS_RING_IDX *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

size_t vpl011_ring_put(struct xencons_interface *ring, const uint8_t *bytes, size_t count)
{
    uint32_t prod = load_acquire(&ring->out_prod);
    /* Pairs with the reader's release of out_cons: its reads of the bytes are over. */
    uint32_t used = prod - load_acquire(&ring->out_cons);
    size_t room = used <= sizeof(ring->out) ? sizeof(ring->out) - used : 0;

    if (count > room) {
        count = room;
    }
    for (size_t i = 0; i < count; i++) {
        ring->out[MASK_XENCONS_IDX(prod + i, ring->out)] = (char)bytes[i];
    }
    if (count) {
        /* Pairs with the reader's acquire of out_prod: it sees the bytes. */
        store_release(&ring->out_prod, prod + (uint32_t)count);
    }
    return count;
}

size_t vpl011_ring_take(struct xencons_interface *ring, uint8_t *bytes, size_t count)
{
    uint32_t cons = load_acquire(&ring->in_cons);
    /* Pairs with the writer's release of in_prod: its bytes are there. */
    uint32_t used = load_acquire(&ring->in_prod) - cons;

    if (used > sizeof(ring->in)) {
        return 0;
    }
    if (count > used) {
        count = used;
    }
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)ring->in[MASK_XENCONS_IDX(cons + i, ring->in)];
    }
    if (count) {
        /* Pairs with the writer's acquire of in_cons before it overwrites the bytes. */
        store_release(&ring->in_cons, cons + (uint32_t)count);
    }
    return count;
}
