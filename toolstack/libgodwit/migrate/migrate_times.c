/* SPDX-License-Identifier: MIT */
#include "migrate_times.h"

#include <time.h>

uint64_t migrate_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void migrate_times_add(struct migrate_times *times, enum migrate_phase phase, uint64_t began_ns)
{
    if (times)
        atomic_fetch_add_explicit(&times->ns[phase], migrate_now_ns() - began_ns,
                                  memory_order_relaxed);
}

uint64_t migrate_times_ms(const struct migrate_times *times, enum migrate_phase phase)
{
    return atomic_load_explicit(&times->ns[phase], memory_order_relaxed) / 1000000u;
}

const char *migrate_phase_name(enum migrate_phase phase)
{
    static const char *const names[MIGRATE_PHASES] = {
        [MIGRATE_READ] = "read",       [MIGRATE_COMPRESS] = "compress", [MIGRATE_SEND] = "send",
        [MIGRATE_HARVEST] = "harvest", [MIGRATE_STOP] = "stop",         [MIGRATE_CHECK] = "verify",
    };

    return names[phase];
}
