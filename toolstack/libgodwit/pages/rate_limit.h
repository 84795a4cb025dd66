/* SPDX-License-Identifier: MIT */
/*
 * A limit on bytes per second, shared by all who send: a token bucket that may be overdrawn. Who
 * wants to send waits until the debt of those before is paid off, and then sends at once, however
 * much: so a record is never cut, and the average is kept.
 */
#ifndef RATE_LIMIT_H
#define RATE_LIMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    _Atomic uint64_t bytes_per_s; /* 0: no limit. Relaxed: waiters look again every few ms. */
    pthread_mutex_t lock;         /* of what follows */
    double debt_bytes;            /* sent and not yet paid for */
    uint64_t looked_ns;           /* monotonic clock: up to then the debt was paid off */
};

#define RATE_LIMIT_INIT                                                                            \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/* Any thread, at any time; takes effect within 10 ms, on those who wait already too. 0: none. */
void rate_limit_set(struct rate_limit *limit, uint64_t bytes_per_s);

/*
 * Waits until `bytes` may be sent. may_go_on(arg) is asked about every 10 ms; false ends the wait.
 * Returns whether the bytes may be sent. limit may be NULL.
 */
bool rate_limit_wait(struct rate_limit *limit, uint64_t bytes, bool (*may_go_on)(void *arg),
                     void *arg);

#endif
