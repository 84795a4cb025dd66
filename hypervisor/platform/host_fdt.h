/* SPDX-License-Identifier: MIT */
/* What only platform/ and the start sequence need to know from the host's device tree. */
#ifndef PLATFORM_HOST_FDT_H
#define PLATFORM_HOST_FDT_H

#include <hv/cpu.h>
#include <hv/fdt.h>
#include <stdbool.h>

#define HOST_REDISTS_MAX  8
#define HOST_RESERVED_MAX 64

struct host_range {
    uint64_t start, bytes;
};

struct host_platform {
    uint64_t cpu_mpidr[CPU_MAX]; /* in the order of the tree */
    unsigned cpu_count;
    unsigned cpus_ignored; /* beyond CPU_MAX */
    struct host_range gic_dist;
    struct host_range gic_redists[HOST_REDISTS_MAX];
    unsigned gic_redist_count;
    uint64_t gic_redist_stride; /* 0: by GICR_TYPER */
    uint32_t gic_maintenance_intid;
    uint32_t timer_intids[4]; /* secure, physical, virtual, hypervisor; 0 absent */
    bool psci_smc;            /* else there is no way to start CPUs */
    struct host_range uart;   /* bytes 0: no PL011 */
    struct host_range reserved[HOST_RESERVED_MAX];
    unsigned reserved_count;
};

extern struct host_platform host_platform;

/*
 * Reads the whole tree into host and host_platform. Called twice at boot: on the provisional
 * mapping, and again when the tree is reached by the direct map, which makes the strings final.
 * Panics when the tree is unusable.
 */
void host_fdt_scan(const void *fdt);

/* The parts of it. */
void host_scan_chosen(const void *fdt);
void host_scan_devices(const void *fdt);
void host_reserve(uint64_t start, uint64_t bytes);

#endif
