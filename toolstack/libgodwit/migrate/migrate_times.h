/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a migration goes. Phases overlap, and several threads may spend time in one at
 * once: the sums may exceed what a clock on the wall shows.
 */
#ifndef MIGRATE_TIMES_H
#define MIGRATE_TIMES_H

#include <stdatomic.h>
#include <stdint.h>

enum migrate_phase {
    MIGRATE_READ,     /* copying pages with contents from the guest, looking for zeros */
    MIGRATE_COMPRESS, /* zstd */
    MIGRATE_SEND,     /* writing to the transport, the bandwidth limit's waits included */
    MIGRATE_HARVEST,  /* taking the dirty log */
    MIGRATE_STOP,     /* from the order to pause until CPUs and devices are saved */
    MIGRATE_CHECK,    /* the comparison (--verify), all of it: its pages count nowhere else */
    MIGRATE_PHASES,
};

struct migrate_times {
    _Atomic uint64_t ns[MIGRATE_PHASES]; /* relaxed: read for people only */
};

/* Monotonic clock. */
uint64_t migrate_now_ns(void);

/* Adds the time since began_ns (migrate_now_ns()). times may be NULL. Any thread. */
void migrate_times_add(struct migrate_times *times, enum migrate_phase phase, uint64_t began_ns);

uint64_t migrate_times_ms(const struct migrate_times *times, enum migrate_phase phase);

/* As in the report's phases_ms: "read", "compress", "send", "harvest", "stop", "verify".
 */
const char *migrate_phase_name(enum migrate_phase phase);

#endif
