/* SPDX-License-Identifier: MIT */
#include "transport_queue.h"

#include <stdlib.h>
#include <string.h>

int transport_queue_make(struct transport_queue *queue, size_t capacity)
{
    *queue = (struct transport_queue){.bytes = malloc(capacity), .capacity = capacity};
    return queue->bytes ? 0 : -1;
}

void transport_queue_free(struct transport_queue *queue)
{
    free(queue->bytes);
    *queue = (struct transport_queue){0};
}

uint8_t *transport_queue_back(struct transport_queue *queue, size_t wanted)
{
    size_t used = transport_queue_used(queue);

    if (queue->capacity - queue->end < wanted) {
        memmove(queue->bytes, queue->bytes + queue->begin, used);
        queue->begin = 0;
        queue->end = used;
    }
    return queue->bytes + queue->end;
}

void transport_queue_grow(struct transport_queue *queue, size_t n)
{
    queue->end += n;
}

void transport_queue_drop(struct transport_queue *queue, size_t n)
{
    queue->begin += n;
    if (queue->begin == queue->end)
        queue->begin = queue->end = 0;
}
