/* SPDX-License-Identifier: MIT */
/*
 * Devices of the control domain: every reg and every PCI window that its tree names, mapped 1:1.
 * Never RAM, the GIC or our UART, whatever the tree says.
 */
#include "control.h"

#include <core/s2.h>
#include <fdt_util.h>
#include <host_fdt.h>
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/irq.h>
#include <string.h>

#define RANGES_MAX 256

struct ranges {
    struct host_range range[RANGES_MAX]; /* whole pages, ascending, apart from each other */
    unsigned count;
};

static bool overlap(const struct host_range *a, uint64_t start, uint64_t bytes)
{
    return a->start < start + bytes && start < a->start + a->bytes;
}

static bool is_ours(const struct host_range *range)
{
    const struct host_platform *p = &host_platform;
    bool ours = overlap(range, p->gic_dist.start, p->gic_dist.bytes) ||
                overlap(range, p->uart.start, p->uart.bytes);

    for (unsigned i = 0; i < p->gic_redist_count; i++) {
        ours |= overlap(range, p->gic_redists[i].start, p->gic_redists[i].bytes);
    }
    for (unsigned i = 0; i < host.bank_count; i++) {
        ours |= overlap(range, host.banks[i].start.addr, host.banks[i].bytes);
    }
    return ours;
}

/* Keeps the list sorted and joins what touches. */
static void add_range(struct ranges *list, uint64_t start, uint64_t bytes)
{
    struct host_range range;
    unsigned i = 0;
    unsigned last;

    range.start = start & ~PAGE_MASK;
    range.bytes = ((start + bytes + PAGE_MASK) & ~PAGE_MASK) - range.start;
    if (bytes == 0 || is_ours(&range)) {
        return;
    }
    while (i < list->count && list->range[i].start + list->range[i].bytes < range.start) {
        i++;
    }
    for (last = i; last < list->count && list->range[last].start <= range.start + range.bytes;
         last++) {
        uint64_t end = list->range[last].start + list->range[last].bytes;

        if (end < range.start + range.bytes) {
            end = range.start + range.bytes;
        }
        if (list->range[last].start < range.start) {
            range.start = list->range[last].start;
        }
        range.bytes = end - range.start;
    }
    if (last == i && list->count == RANGES_MAX) {
        panic("control domain: more than %u device ranges", RANGES_MAX);
    }
    memmove(&list->range[i + 1], &list->range[last], (list->count - last) * sizeof(range));
    list->range[i] = range;
    list->count = list->count - (last - i) + 1;
}

static uint64_t cells_at(const fdt32_t *cells, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        value = value << 32 | fdt32_to_cpu(cells[i]);
    }
    return value;
}

/* Entry of a bus's ranges that holds address: turns it into the parent's address. */
static bool translate_once(const void *fdt, int bus, int parent, uint64_t *address)
{
    int child_cells = fdt_address_cells(fdt, bus);
    int parent_cells = fdt_address_cells(fdt, parent);
    int size_cells = fdt_size_cells(fdt, bus);
    int step = child_cells + parent_cells + size_cells;
    int length;
    const fdt32_t *cells = fdt_getprop(fdt, bus, "ranges", &length);

    if (cells == NULL || child_cells < 1 || child_cells > 2 || parent_cells < 1 || size_cells < 1) {
        return false; /* not reachable from the CPU */
    }
    if (length == 0) {
        return true;
    }
    for (; length >= step * 4; length -= step * 4, cells += step) {
        uint64_t child = cells_at(cells, child_cells);
        uint64_t bytes = cells_at(cells + child_cells + parent_cells, size_cells);

        if (*address >= child && *address - child < bytes) {
            *address = cells_at(cells + child_cells, parent_cells) + (*address - child);
            return true;
        }
    }
    return false;
}

static bool translate(const void *fdt, int node, uint64_t *address)
{
    int bus = fdt_parent_offset(fdt, node);

    while (bus > 0) {
        int parent = fdt_parent_offset(fdt, bus);

        if (!translate_once(fdt, bus, parent, address)) {
            return false;
        }
        bus = parent;
    }
    return bus == 0;
}

static void add_node(const void *fdt, int node, struct ranges *list)
{
    int parent = fdt_parent_offset(fdt, node);
    struct fdt_range range;

    for (unsigned i = 0; fdt_reg(fdt, node, parent, i, &range); i++) {
        if (translate(fdt, node, &range.start)) {
            add_range(list, range.start, range.bytes);
        }
    }
}

/* Windows of a PCI host bridge: three cells of PCI address, the parent's address, two of size. */
static void add_pci_windows(const void *fdt, int node, struct ranges *list)
{
    int parent_cells = fdt_address_cells(fdt, fdt_parent_offset(fdt, node));
    int step = 3 + parent_cells + 2;
    int length;
    const fdt32_t *cells = fdt_getprop(fdt, node, "ranges", &length);

    if (cells == NULL || parent_cells < 1 || parent_cells > 2) {
        return;
    }
    for (; length >= step * 4; length -= step * 4, cells += step) {
        uint64_t start = cells_at(cells + 3, parent_cells);

        if (translate(fdt, node, &start)) {
            add_range(list, start, cells_at(cells + 3 + parent_cells, 2));
        }
    }
}

static bool is_device(const void *fdt, int node)
{
    const char *type = fdt_getprop(fdt, node, "device_type", NULL);

    return !(type != NULL && (strcmp(type, "memory") == 0 || strcmp(type, "cpu") == 0)) &&
           !fdt_compatible(fdt, node, "xen,xen") && fdt_enabled(fdt, node);
}

static void collect(const void *fdt, struct ranges *list)
{
    for (int node = fdt_next_node(fdt, 0, NULL); node >= 0; node = fdt_next_node(fdt, node, NULL)) {
        const char *type = fdt_getprop(fdt, node, "device_type", NULL);

        if (!is_device(fdt, node)) {
            continue;
        }
        add_node(fdt, node, list);
        if (type != NULL && strcmp(type, "pci") == 0) {
            add_pci_windows(fdt, node, list);
        }
    }
}

void control_devices_assign(struct domain *d, const void *fdt)
{
    static struct ranges list;

    collect(fdt, &list);
    for (unsigned i = 0; i < list.count; i++) {
        const struct host_range *range = &list.range[i];
        int error =
            s2_map(&d->s2, ipa_make(range->start), pa_make(range->start), range->bytes, S2_DEVICE);

        if (error != 0) {
            panic("control domain: cannot map device registers at %lx, %lx bytes: error %d",
                  range->start, range->bytes, error);
        }
    }
    /* All lines but our own: which device pulls which one is the control domain's business. */
    for (uint32_t intid = 32; intid < 32 + gic_info()->spi_count; intid++) {
        if (intid != host.uart_intid) {
            vgic_assign_hw(d, intid);
        }
    }
}
