/* SPDX-License-Identifier: MIT */
/*
 * The file that all emulated hosts of a lab share while a guest moves between them (plugin.c writes
 * it, flight.py reads it): the guest's heartbeat tells where it runs, and when it was last seen on
 * one host and first on another.
 */
#ifndef MIGRATION_FLIGHT_H
#define MIGRATION_FLIGHT_H

#include <stdint.h>

#define FLIGHT_MAGIC   UINT64_C(0x31305448474c4657) /* "WFLGHT01" */
#define FLIGHT_HOSTS   2u
#define FLIGHT_CPUS    4u
#define FLIGHT_KINDS   4u /* user space, kernel, hypervisor, the guest's program */
#define FLIGHT_WATCHED 4u
#define FLIGHT_MOVES   256u
#define FLIGHT_NOBODY  UINT64_C(0xffffffff)

/* Instructions executed, in blocks that were begun; each CPU writes its own line. */
struct flight_cpu {
    uint64_t instructions[FLIGHT_KINDS];
    uint64_t watched[FLIGHT_WATCHED]; /* how often each watched address was executed */
};

/* The latest heartbeat on a host, and what all CPUs had executed by then. */
struct flight_beat {
    uint64_t count, ns;
    uint64_t instructions[FLIGHT_HOSTS][FLIGHT_KINDS];
};

struct flight_move {
    uint64_t from, to;
    struct flight_beat last, first;
};

struct flight {
    uint64_t magic, move_count, at; /* at: the host of the latest heartbeat */
    uint64_t reserved[5];
    struct flight_cpu cpus[FLIGHT_HOSTS][FLIGHT_CPUS];
    struct flight_beat beats[FLIGHT_HOSTS];
    struct flight_move moves[FLIGHT_MOVES];
};

#endif
