/* SPDX-License-Identifier: MIT */
/* The start sequence, from the provisional tables to the scheduler. */
#include "platform/boot_memory.h"
#include "platform/console.h"
#include "platform/host_fdt.h"

#include <cpu_features.h>
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/el2_map.h>
#include <hv/frame.h>
#include <hv/irq.h>
#include <hv/layout.h>
#include <hv/logdirty.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <libfdt.h>
#include <port/arm64.h>
#include <smp.h>

#define BLOCK_BYTES (UINT64_C(1) << 21)

/* Tables, console and frames; afterwards everything is reached by its final address. */
static void init_memory(pa_t fdt_pa, pa_t image_pa)
{
    const void *fdt = (const void *)(BOOT_FDT_BASE + fdt_pa.addr % BLOCK_BYTES);
    const struct host_bank *first;

    host_fdt_scan(fdt);
    host_reserve(fdt_pa.addr, fdt_totalsize(fdt));
    first = boot_memory_bank_of(image_pa);
    el2_mmu_init(image_pa, first->start, first->bytes);
    host_reserve(image_pa.addr, el2_image_bytes());
    console_init();
    boot_memory_add_bank(first);
    for (unsigned i = 0; i < host.bank_count; i++) {
        if (&host.banks[i] != first) {
            el2_map_ram(host.banks[i].start, host.banks[i].bytes);
            boot_memory_add_bank(&host.banks[i]);
        }
    }
    host_fdt_scan(pa_to_va(fdt_pa));
}

static void print_host(void)
{
    printk("Godwit " GODWIT_VERSION ", image %lu KiB at %lx\n", el2_image_bytes() >> 10,
           el2_image_pa().addr);
    for (unsigned i = 0; i < host.bank_count; i++) {
        printk("memory %lx, %lu MiB\n", host.banks[i].start.addr, host.banks[i].bytes >> 20);
    }
    printk("%lu of %lu pages free, %u-bit physical addresses\n", frame_free_pages(),
           frame_total_pages(), cpu_features.pa_bits);
    printk("kernel %lx, %lu bytes; ramdisk %lx, %lu bytes\n", host.kernel.start.addr,
           host.kernel.bytes, host.ramdisk.start.addr, host.ramdisk.bytes);
    printk("atomics: %s\n",
           port_atomics_are_patched() ? "single instructions (LSE)" : "exclusives");
    if (host_platform.cpus_ignored > 0) {
        printk("%u CPUs beyond %u are not used\n", host_platform.cpus_ignored, CPU_MAX);
    }
}

void boot_init_cpu(void)
{
    arch_vcpu_init_cpu();
    vgic_init_host_cpu();
    vtimer_init_host_cpu();
    sched_init_cpu();
}

void boot_main(uint64_t fdt_pa, uint64_t image_pa)
{
    port_atomics_init();
    smp_init_boot_cpu();
    init_memory(pa_make(fdt_pa), pa_make(image_pa));
    cpu_features_init();
    print_host();
    gic_init();
    cpu_init_sgis();
    timer_init_cpu();
    vgic_init_host();
    vtimer_init_host();
    arch_vcpu_init();
    boot_init_cpu();
    smp_start_others();
    printk("%u CPUs, GICv3 with %u SPIs and %u list registers, timer %lu Hz\n", cpu_count(),
           gic_info()->spi_count, gic_info()->lr_count, time_frequency_hz());
    logdirty_init();
    console_init_receive();
    control_domain_start();
    sched_run();
}
