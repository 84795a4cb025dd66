/* SPDX-License-Identifier: MIT */
/* Memory, reserved ranges and CPUs from the host's device tree. */
#include "host_fdt.h"

#include "fdt_util.h"

#include <hv/console.h>
#include <hv/layout.h>
#include <string.h>

struct host_info host = {.hv_bootargs = "", .control_bootargs = ""};
struct host_platform host_platform;

void host_reserve(uint64_t start, uint64_t bytes)
{
    if (bytes == 0) {
        return;
    }
    if (host_platform.reserved_count == HOST_RESERVED_MAX) {
        panic("more than %u reserved ranges in the device tree", HOST_RESERVED_MAX);
    }
    host_platform.reserved[host_platform.reserved_count++] = (struct host_range){start, bytes};
}

/* Keeps whole pages that the direct map can reach; banks stay sorted by address. */
static void add_bank(uint64_t start, uint64_t bytes)
{
    uint64_t first = (start + PAGE_MASK) & ~PAGE_MASK;
    uint64_t end = (start + bytes) & ~PAGE_MASK;
    unsigned i = host.bank_count;

    if (end > DIRECT_MAP_LIMIT) {
        end = DIRECT_MAP_LIMIT;
    }
    if (first >= end || host.bank_count == HOST_BANKS_MAX) {
        return;
    }
    for (; i > 0 && host.banks[i - 1].start.addr > first; i--) {
        host.banks[i] = host.banks[i - 1];
    }
    host.banks[i] = (struct host_bank){pa_make(first), end - first};
    host.bank_count++;
}

static bool is_memory(const void *fdt, int node)
{
    const char *type = fdt_getprop(fdt, node, "device_type", NULL);

    return type != NULL && strcmp(type, "memory") == 0 && fdt_enabled(fdt, node);
}

static void scan_memory(const void *fdt)
{
    struct fdt_range range;
    int node;

    host.bank_count = 0;
    fdt_for_each_subnode(node, fdt, 0)
    {
        if (!is_memory(fdt, node)) {
            continue;
        }
        for (unsigned i = 0; fdt_reg(fdt, node, 0, i, &range); i++) {
            add_bank(range.start, range.bytes);
        }
    }
    if (host.bank_count == 0) {
        panic("the device tree has no memory");
    }
}

static void scan_reserved(const void *fdt)
{
    int parent = fdt_path_offset(fdt, "/reserved-memory");
    uint64_t start, bytes;
    struct fdt_range range;
    int node;

    for (int i = 0; i < fdt_num_mem_rsv(fdt); i++) {
        if (fdt_get_mem_rsv(fdt, i, &start, &bytes) == 0) {
            host_reserve(start, bytes);
        }
    }
    if (parent < 0) {
        return;
    }
    fdt_for_each_subnode(node, fdt, parent)
    {
        for (unsigned i = 0; fdt_reg(fdt, node, parent, i, &range); i++) {
            host_reserve(range.start, range.bytes);
        }
    }
}

static void scan_cpus(const void *fdt)
{
    int parent = fdt_path_offset(fdt, "/cpus");
    struct host_platform *p = &host_platform;
    int node;

    p->cpu_count = 0;
    p->cpus_ignored = 0;
    fdt_for_each_subnode(node, fdt, parent)
    {
        const char *type = fdt_getprop(fdt, node, "device_type", NULL);
        struct fdt_range range;

        if (type == NULL || strcmp(type, "cpu") != 0 || !fdt_enabled(fdt, node) ||
            !fdt_reg(fdt, node, parent, 0, &range)) {
            continue;
        }
        if (p->cpu_count == CPU_MAX) {
            p->cpus_ignored++;
            continue;
        }
        p->cpu_mpidr[p->cpu_count++] = range.start;
    }
}

void host_fdt_scan(const void *fdt)
{
    int error = fdt_check_header(fdt);

    if (error != 0) {
        panic("the device tree is not usable: %s", fdt_strerror(error));
    }
    host.fdt = fdt;
    host_platform.reserved_count = 0;
    scan_memory(fdt);
    scan_reserved(fdt);
    scan_cpus(fdt);
    host_scan_chosen(fdt);
    host_scan_devices(fdt);
}
