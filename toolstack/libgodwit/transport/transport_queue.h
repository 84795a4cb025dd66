/* SPDX-License-Identifier: MIT */
/* Bytes on their way through a relay: a buffer of fixed size, filled behind, emptied in front. */
#ifndef TRANSPORT_QUEUE_H
#define TRANSPORT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport_queue {
    uint8_t *bytes; /* malloc()ed */
    size_t capacity, begin, end;
};

/* -1: out of memory. */
int transport_queue_make(struct transport_queue *queue, size_t capacity);
void transport_queue_free(struct transport_queue *queue);

static inline size_t transport_queue_used(const struct transport_queue *queue)
{
    return queue->end - queue->begin;
}

static inline size_t transport_queue_room(const struct transport_queue *queue)
{
    return queue->capacity - transport_queue_used(queue);
}

static inline const uint8_t *transport_queue_front(const struct transport_queue *queue)
{
    return queue->bytes + queue->begin;
}

/*
 * Room for `wanted` bytes in one piece (at most transport_queue_room). What is written there counts
 * after transport_queue_grow.
 */
uint8_t *transport_queue_back(struct transport_queue *queue, size_t wanted);
void transport_queue_grow(struct transport_queue *queue, size_t n); /* n <= room */
void transport_queue_drop(struct transport_queue *queue, size_t n); /* n <= used */

#endif
