/* SPDX-License-Identifier: MIT */
/*
 * The control domain's device tree: the host's, without what the hypervisor keeps, with the
 * machine that the hypervisor shows. Edited in a copy; every change may move the nodes behind it,
 * so offsets are looked up again after each.
 */
#include "control.h"
#include "fdt_edit.h"

#include <host_fdt.h>
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/irq.h>
#include <string.h>

/* Room for what is added: nodes for memory banks and up to 64 CPUs, chosen, hypervisor. */
#define EXTRA_BYTES 32768u

#define PPI_LEVEL_LOW 0xf08u

/* Kept from the control domain, wherever they are. Memory reaches it as RAM banks only. */
static const char *const hidden_compatibles[] = {
    "arm,armv8-pmuv3",  "arm,gic-v3-its", "arm,smmu-v3",  "cfi-flash",
    "qemu,fw-cfg-mmio", "arm,psci",       "arm,psci-0.2", "arm,psci-1.0",
};

static const char *const hidden_paths[] = {
    "/chosen", "/cpus", "/psci", "/reserved-memory", "/hypervisor",
};

uint32_t control_upcall_ppi(void)
{
    for (uint32_t intid = 31; intid >= 16; intid--) {
        bool used = intid == host_platform.gic_maintenance_intid;

        for (unsigned i = 0; i < 4; i++) {
            used |= intid == host_platform.timer_intids[i];
        }
        if (!used) {
            return intid;
        }
    }
    panic("the host uses all private interrupts, none is left for event channels");
}

static void hide(void *fdt)
{
    int node;

    for (unsigned i = 0; i < sizeof(hidden_compatibles) / sizeof(hidden_compatibles[0]); i++) {
        while ((node = fdt_node_offset_by_compatible(fdt, -1, hidden_compatibles[i])) >= 0) {
            edit_check(fdt_del_node(fdt, node));
        }
    }
    for (unsigned i = 0; i < sizeof(hidden_paths) / sizeof(hidden_paths[0]); i++) {
        node = fdt_path_offset(fdt, hidden_paths[i]);
        if (node >= 0) {
            edit_check(fdt_del_node(fdt, node));
        }
    }
    while ((node = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", 7)) >= 0) {
        edit_check(fdt_del_node(fdt, node));
    }
    while (fdt_num_mem_rsv(fdt) > 0) {
        edit_check(fdt_del_mem_rsv(fdt, 0));
    }
}

/* Our console: the one PL011 at that address. */
static void hide_uart(void *fdt)
{
    struct fdt_range range;
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,pl011");

    while (node >= 0) {
        if (fdt_reg(fdt, node, fdt_parent_offset(fdt, node), 0, &range) &&
            range.start == host_platform.uart.start) {
            edit_check(fdt_del_node(fdt, node));
            return;
        }
        node = fdt_node_offset_by_compatible(fdt, node, "arm,pl011");
    }
}

/* References to what is hidden now. */
static void hide_references(void *fdt)
{
    static const char *const properties[] = {"msi-map", "msi-parent", "iommu-map", "iommus"};
    int node = 0;

    while (node >= 0) {
        for (unsigned i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
            if (fdt_getprop(fdt, node, properties[i], NULL) != NULL) {
                edit_check(fdt_delprop(fdt, node, properties[i]));
            }
        }
        node = fdt_next_node(fdt, node, NULL);
    }
}

static void add_chosen(void *fdt, const struct control_layout *layout)
{
    int node = edit_add_node(fdt, 0, "chosen");

    if (layout->ramdisk_bytes > 0) {
        edit_set_u64(fdt, node, "linux,initrd-end", layout->ramdisk.addr + layout->ramdisk_bytes);
        edit_set_u64(fdt, node, "linux,initrd-start", layout->ramdisk.addr);
    }
    edit_set_string(fdt, node, "bootargs", host.control_bootargs);
}

static void add_memory(void *fdt, const struct control_memory *memory)
{
    char name[32];

    /* Backwards, as below: a new node comes before its siblings. */
    for (unsigned i = memory->bank_count; i-- > 0;) {
        const struct host_bank *bank = &memory->banks[i];
        int node;

        snprintk(name, sizeof(name), "memory@%lx", bank->start.addr);
        node = edit_add_node(fdt, 0, name);
        edit_set_string(fdt, node, "device_type", "memory");
        edit_set_reg(fdt, node, bank->start.addr, bank->bytes);
    }
}

static void add_cpus(void *fdt, const struct domain *d)
{
    int parent = edit_add_node(fdt, 0, "cpus");
    const char *compatible =
        fdt_getprop(host.fdt, fdt_node_offset_by_prop_value(host.fdt, -1, "device_type", "cpu", 4),
                    "compatible", NULL);
    char name[32];

    edit_set_u32(fdt, parent, "#address-cells", 1);
    edit_set_u32(fdt, parent, "#size-cells", 0);
    for (uint32_t i = d->max_vcpus; i-- > 0;) {
        uint32_t affinity = (uint32_t)d->vcpus[i]->vmpidr & 0xffffff;
        int node;

        snprintk(name, sizeof(name), "cpu@%x", affinity);
        node = edit_add_node(fdt, fdt_path_offset(fdt, "/cpus"), name);
        edit_set_u32(fdt, node, "reg", affinity);
        edit_set_string(fdt, node, "enable-method", "psci");
        edit_set_string(fdt, node, "compatible", compatible != NULL ? compatible : "arm,armv8");
        edit_set_string(fdt, node, "device_type", "cpu");
    }
}

static void add_psci(void *fdt)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";
    int node = edit_add_node(fdt, 0, "psci");

    edit_check(fdt_setprop(fdt, node, "compatible", compatible, sizeof(compatible)));
    edit_set_string(fdt, node, "method", "hvc");
}

static void add_hypervisor(void *fdt, const struct domain *d, const struct control_layout *layout)
{
    static const char compatible[] = "xen,xen-4.17\0xen,xen";
    const fdt32_t interrupt[] = {cpu_to_fdt32(1), cpu_to_fdt32(d->evtchn_upcall_ppi - 16),
                                 cpu_to_fdt32(PPI_LEVEL_LOW)};
    int node = edit_add_node(fdt, 0, "hypervisor");

    edit_check(fdt_setprop(fdt, node, "compatible", compatible, sizeof(compatible)));
    edit_set_reg(fdt, node, layout->grant_window.addr, layout->grant_window_bytes);
    edit_check(fdt_setprop(fdt, node, "interrupts", interrupt, sizeof(interrupt)));
}

/* One distributor and one redistributor region, as the vGIC shows them; no maintenance interrupt.
 */
static void change_gic(void *fdt, const struct domain *d)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,gic-v3");
    uint64_t redist_bytes = UINT64_C(0x20000) * d->max_vcpus;
    fdt64_t reg[] = {cpu_to_fdt64(gic_info()->dist_pa), cpu_to_fdt64(UINT64_C(0x10000)),
                     cpu_to_fdt64(gic_info()->redist_pa), cpu_to_fdt64(redist_bytes)};
    int parent = fdt_parent_offset(fdt, node);

    if (node < 0 || fdt_address_cells(fdt, parent) != 2 || fdt_size_cells(fdt, parent) != 2) {
        panic("control domain: the GIC's node is not where 64-bit addresses are used");
    }
    edit_check(fdt_setprop(fdt, node, "reg", reg, sizeof(reg)));
    edit_set_u32(fdt, node, "#redistributor-regions", 1);
    (void)fdt_delprop(fdt, node, "redistributor-stride");
    (void)fdt_delprop(fdt, node, "interrupts");
}

/* Secure, physical and virtual timer; EL2's own is not for guests. */
static void change_timer(void *fdt)
{
    int node = fdt_node_offset_by_compatible(fdt, -1, "arm,armv8-timer");
    fdt32_t interrupts[9];
    int length;
    const void *old = fdt_getprop(fdt, node, "interrupts", &length);

    if (old == NULL || length < (int)sizeof(interrupts)) {
        panic("control domain: the timer's node has fewer than three interrupts");
    }
    memcpy(interrupts, old, sizeof(interrupts));
    edit_check(fdt_setprop(fdt, node, "interrupts", interrupts, sizeof(interrupts)));
    (void)fdt_delprop(fdt, node, "interrupt-names");
}

void *control_fdt_make(const struct domain *d, const struct control_layout *layout,
                       unsigned *ret_order)
{
    uint64_t bytes = fdt_totalsize(host.fdt) + strlen(host.control_bootargs) + EXTRA_BYTES;
    unsigned order = 0;
    void *fdt;

    while (PAGE_SIZE_BYTES << order < bytes) {
        order++;
    }
    fdt = frame_alloc_hv(order);
    if (fdt == NULL) {
        panic("control domain: no memory for its device tree");
    }
    edit_check(fdt_open_into(host.fdt, fdt, (int)(PAGE_SIZE_BYTES << order)));
    hide(fdt);
    hide_uart(fdt);
    hide_references(fdt);
    change_gic(fdt, d);
    change_timer(fdt);
    add_psci(fdt);
    add_cpus(fdt, d);
    add_memory(fdt, &layout->memory);
    add_hypervisor(fdt, d, layout);
    add_chosen(fdt, layout);
    edit_check(fdt_pack(fdt));
    *ret_order = order;
    return fdt;
}
