/* SPDX-License-Identifier: MIT */
/* GIC, timer, PSCI and console UART from the host's device tree. */
#include "fdt_util.h"
#include "host_fdt.h"

#include <hv/console.h>
#include <string.h>

static void scan_gic(const void *fdt)
{
    struct host_platform *p = &host_platform;
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3");
    int parent = node < 0 ? -1 : fdt_parent_offset(fdt, node);
    struct fdt_range range;
    uint32_t regions;

    if (parent < 0 || !fdt_reg(fdt, node, parent, 0, &range)) {
        panic("the device tree has no GICv3");
    }
    p->gic_dist = (struct host_range){range.start, range.bytes};
    regions = fdt_cell(fdt, node, "#redistributor-regions", 0, 1);
    p->gic_redist_count = 0;
    for (unsigned i = 0; i < regions && i < HOST_REDISTS_MAX; i++) {
        if (fdt_reg(fdt, node, parent, i + 1, &range)) {
            p->gic_redists[p->gic_redist_count++] = (struct host_range){range.start, range.bytes};
        }
    }
    p->gic_redist_stride = 0;
    (void)fdt_number(fdt, node, "redistributor-stride", &p->gic_redist_stride);
    p->gic_maintenance_intid = fdt_gic_intid(fdt, node, 0);
}

static void scan_timer(const void *fdt)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,armv8-timer");

    if (node < 0) {
        panic("the device tree has no architected timer");
    }
    for (unsigned i = 0; i < 4; i++) {
        host_platform.timer_intids[i] = fdt_gic_intid(fdt, node, i);
    }
}

static void scan_psci(const void *fdt)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,psci-1.0");
    const char *method;

    if (node < 0) {
        node = fdt_node_offset_by_compatible(fdt, -1, "arm,psci-0.2");
    }
    method = node < 0 ? NULL : fdt_getprop(fdt, node, "method", NULL);
    host_platform.psci_smc = method != NULL && strcmp(method, "smc") == 0;
}

/* The node that stdout-path names (options after ':' cut off), or the first PL011. */
static int find_uart(const void *fdt)
{
    int chosen = fdt_path_offset(fdt, "/chosen");
    const char *path = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, "stdout-path", NULL);

    if (path != NULL) {
        const char *options = strchr(path, ':');
        int length = options != NULL ? (int)(options - path) : (int)strlen(path);
        int node = fdt_path_offset_namelen(fdt, path, length);

        if (node >= 0 && fdt_compatible(fdt, node, "arm,pl011")) {
            return node;
        }
    }
    return fdt_node_offset_by_compatible(fdt, -1, "arm,pl011");
}

static void scan_uart(const void *fdt)
{
    int node = find_uart(fdt);
    int parent = node < 0 ? -1 : fdt_parent_offset(fdt, node);
    struct fdt_range range;

    host_platform.uart = (struct host_range){0, 0};
    if (parent < 0 || !fdt_reg(fdt, node, parent, 0, &range)) {
        return;
    }
    host_platform.uart = (struct host_range){range.start, range.bytes};
    host.uart_pa = pa_make(range.start);
    host.uart_intid = fdt_gic_intid(fdt, node, 0);
}

void host_scan_devices(const void *fdt)
{
    scan_gic(fdt);
    scan_timer(fdt);
    scan_psci(fdt);
    scan_uart(fdt);
}
