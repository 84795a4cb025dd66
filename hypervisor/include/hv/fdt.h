/* SPDX-License-Identifier: MIT */
/* What the host's device tree says, read once at boot by platform/. */
#ifndef HV_FDT_H
#define HV_FDT_H

#include <core/addr.h>
#include <stdint.h>

#define HOST_BANKS_MAX 16

struct host_bank {
    pa_t start;
    uint64_t bytes;
};

struct host_module {
    pa_t start;
    uint64_t bytes;
    const char *bootargs; /* or NULL */
};

struct host_info {
    const void *fdt; /* the host's tree, direct-mapped */
    struct host_bank banks[HOST_BANKS_MAX];
    unsigned bank_count;
    struct host_module kernel;  /* bytes 0: absent */
    struct host_module ramdisk; /* bytes 0: absent */
    const char *hv_bootargs;    /* the hypervisor's command line, "" when absent */
    const char *control_bootargs;
    pa_t uart_pa;
    uint32_t uart_intid;
};

extern struct host_info host;

/* Finds "name=value" in the hypervisor command line; returns the value's bytes copied, -1 if
 * absent. */
int cmdline_get(const char *name, char *ret_value, unsigned bytes);
/* As a size with suffix K, M, G; fallback when absent or malformed (a message says so). */
uint64_t cmdline_get_size(const char *name, uint64_t fallback_bytes);

#endif
