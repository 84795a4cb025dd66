/* SPDX-License-Identifier: MIT */
/* The first domain: memory, kernel, ramdisk, device tree, devices, first vCPU. */
#include "control.h"

#include <cache.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/el2_map.h>
#include <hv/frame.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (UINT64_C(1) << 21)

static uint32_t vcpus_wanted(void)
{
    char text[8];
    unsigned long count = cpu_count();

    if (cmdline_get("dom0_max_vcpus", text, sizeof(text)) > 0) {
        count = strtoul(text, NULL, 10);
    }
    if (count < 1 || count > DOMAIN_VCPUS_MAX) {
        printk("command line: dom0_max_vcpus is 1 to %u, %u taken\n", DOMAIN_VCPUS_MAX,
               cpu_count());
        count = cpu_count();
    }
    return (uint32_t)count;
}

static struct domain *create(void)
{
    uint32_t vcpus = vcpus_wanted();
    uint32_t spi_count = gic_info()->spi_count;
    struct domain *d;
    int error = domain_create(0, vcpus, true, &d);

    if (error != 0) {
        panic("control domain: cannot be created: error %d", error);
    }
    d->evtchn_upcall_ppi = control_upcall_ppi();
    error = vgic_domain_init(d, spi_count < VGIC_SPIS_MAX ? spi_count : VGIC_SPIS_MAX,
                             ipa_make(gic_info()->dist_pa), ipa_make(gic_info()->redist_pa));
    if (error != 0) {
        panic("control domain: cannot emulate its GIC: error %d", error);
    }
    for (uint32_t i = 0; i < vcpus; i++) {
        if (vcpu_create(d, i) == NULL) {
            panic("control domain: no memory for vcpu %u", i);
        }
    }
    return d;
}

static uint64_t block_align(uint64_t address)
{
    return (address + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1);
}

/* Kernel, ramdisk and tree one after the other, each in blocks of its own, in the first bank. */
static void place(struct control_layout *layout, uint64_t text_offset)
{
    const struct host_bank *bank = &layout->memory.banks[0];
    uint64_t end = bank->start.addr + bank->bytes;

    layout->kernel = pa_add(bank->start, text_offset);
    layout->ramdisk = pa_make(block_align(layout->kernel.addr + layout->kernel_bytes));
    layout->fdt = pa_make(block_align(layout->ramdisk.addr + layout->ramdisk_bytes));
    if (layout->fdt.addr + BLOCK_BYTES > end) {
        panic("control domain: kernel and ramdisk do not fit in its first %lu MiB at %lx",
              bank->bytes >> 20, bank->start.addr);
    }
}

/* For a reader with its MMU off: in memory, and no old line in front of it. */
static void copy_in(pa_t to, const void *from, uint64_t bytes)
{
    memcpy(pa_to_va(to), from, bytes);
    cache_clean_invalidate(pa_to_va(to), bytes);
}

/* Whole pages of it: what lies beside may belong to somebody else. */
static void free_module(const struct host_module *module)
{
    uint64_t first = (module->start.addr + PAGE_MASK) & ~PAGE_MASK;
    uint64_t end = (module->start.addr + module->bytes) & ~PAGE_MASK;

    if (first < end && frame_is_ram(pa_make(first))) {
        frame_add_region(pa_make(first), end - first);
    }
}

static void check_modules(struct control_layout *layout, uint64_t *ret_text_offset)
{
    const char *problem;

    if (host.kernel.bytes == 0) {
        panic("control domain: the boot loader has given no kernel (multiboot,module)");
    }
    problem = control_image_check(pa_to_va(host.kernel.start), host.kernel.bytes,
                                  &layout->kernel_bytes, ret_text_offset);
    if (problem != NULL) {
        panic("control domain: the kernel cannot be booted: %s", problem);
    }
    layout->ramdisk_bytes = host.ramdisk.bytes;
}

static void load(struct domain *d, struct control_layout *layout)
{
    unsigned order;
    void *fdt;

    copy_in(layout->kernel, pa_to_va(host.kernel.start), host.kernel.bytes);
    copy_in(layout->ramdisk, pa_to_va(host.ramdisk.start), host.ramdisk.bytes);
    cache_invalidate_instructions();
    fdt = control_fdt_make(d, layout, &order);
    layout->fdt_bytes = fdt_totalsize(fdt);
    if (layout->fdt_bytes > BLOCK_BYTES) {
        panic("control domain: its device tree is larger than 2 MiB");
    }
    copy_in(layout->fdt, fdt, layout->fdt_bytes);
    control_devices_assign(d, fdt);
    frame_free_hv(fdt, order);
    free_module(&host.kernel);
    free_module(&host.ramdisk);
}

void control_domain_start(void)
{
    struct control_layout layout = {.kernel_bytes = 0};
    uint64_t wanted = control_memory_wanted();
    uint64_t text_offset;
    struct domain *d;

    check_modules(&layout, &text_offset);
    d = create();
    d->max_pages = wanted >> PAGE_SHIFT;
    control_memory_take(d, wanted, &layout.memory);
    place(&layout, text_offset);
    /* The block that the hypervisor's image is in: neither RAM of the domain nor a device. */
    layout.grant_window = el2_image_pa();
    layout.grant_window_bytes = BLOCK_BYTES;
    load(d, &layout);
    printk("control domain: %u vcpus, %lu MiB in %u banks, kernel %lx, ramdisk %lx, tree %lx\n",
           d->max_vcpus, layout.memory.bytes >> 20, layout.memory.bank_count, layout.kernel.addr,
           layout.ramdisk.addr, layout.fdt.addr);
    d->creation_finished = true;
    sched_vcpu_start(d->vcpus[0], layout.kernel.addr, layout.fdt.addr);
    if (sched_domain_unpause(d) != 0) {
        panic("control domain: cannot be started");
    }
}
