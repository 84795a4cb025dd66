/* SPDX-License-Identifier: MIT */
#include "rate_limit.h"

#include "migrate/migrate_times.h"
#include <time.h>

#define SLICE_NS 10000000u
#define NS_PER_S 1e9

void rate_limit_set(struct rate_limit *limit, uint64_t bytes_per_s)
{
    atomic_store_explicit(&limit->bytes_per_s, bytes_per_s, memory_order_relaxed);
}

/* Books the bytes if the debt is paid off, and returns 0. Otherwise how many ns to wait, at most a
 * slice. */
static uint64_t book(struct rate_limit *limit, uint64_t bytes, uint64_t bytes_per_s)
{
    uint64_t now = migrate_now_ns(), wait_ns = 0;
    double rate = (double)bytes_per_s;

    pthread_mutex_lock(&limit->lock);
    if (now > limit->looked_ns)
        limit->debt_bytes -= rate * (double)(now - limit->looked_ns) / NS_PER_S;
    limit->looked_ns = now;
    if (limit->debt_bytes <= 0)
        limit->debt_bytes = (double)bytes; /* time in which nobody sent is not saved up */
    else
        wait_ns = limit->debt_bytes * NS_PER_S / rate < SLICE_NS
                      ? 1 + (uint64_t)(limit->debt_bytes * NS_PER_S / rate)
                      : SLICE_NS;
    pthread_mutex_unlock(&limit->lock);
    return wait_ns;
}

bool rate_limit_wait(struct rate_limit *limit, uint64_t bytes, bool (*may_go_on)(void *arg),
                     void *arg)
{
    while (may_go_on(arg)) {
        uint64_t rate = limit ? atomic_load_explicit(&limit->bytes_per_s, memory_order_relaxed) : 0;
        uint64_t wait_ns = rate ? book(limit, bytes, rate) : 0;
        struct timespec slice = {.tv_nsec = (long)wait_ns};

        if (wait_ns == 0)
            return true;
        nanosleep(&slice, NULL);
    }
    return false;
}
