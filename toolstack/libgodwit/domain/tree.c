/* SPDX-License-Identifier: MIT */
/* Built with libfdt's sequential writer; the first error sticks and is reported once, at the end.
 */
#include <godwit/guest_map.h>
#include <libfdt.h>
#include <libgodwit/xen_abi.h>
#include <stdio.h>
#include <string.h>

#include "tree.h"

enum { PHANDLE_GIC = 1, PHANDLE_CLOCK, PHANDLE_GPIO };

#define GIC_SPI_CELL        0
#define GIC_PPI_CELL        1
#define IRQ_LEVEL_HIGH      4
#define IRQ_LEVEL_LOW       8
#define GIC_SPI_FIRST       32
#define GIC_PPI_FIRST       16
#define UART_CLOCK_HZ       24000000
#define POWER_KEY_GPIO_LINE 3   /* hv/vpl061.h */
#define POWER_KEY_CODE      116 /* KEY_POWER of Linux' input-event-codes.h */
#define MPIDR_AFF0_CPUS     16u /* an SGI's target list reaches 16 CPUs of one Aff1 */

struct writer {
    void *fdt;
    int rc;
};

static void keep(struct writer *w, int rc)
{
    if (w->rc == 0)
        w->rc = rc;
}

static void begin(struct writer *w, const char *name)
{
    keep(w, fdt_begin_node(w->fdt, name));
}

static void end(struct writer *w)
{
    keep(w, fdt_end_node(w->fdt));
}

static void put_u32(struct writer *w, const char *name, uint32_t value)
{
    keep(w, fdt_property_u32(w->fdt, name, value));
}

static void put_u64(struct writer *w, const char *name, uint64_t value)
{
    keep(w, fdt_property_u64(w->fdt, name, value));
}

static void put_string(struct writer *w, const char *name, const char *value)
{
    keep(w, fdt_property_string(w->fdt, name, value));
}

static void put_flag(struct writer *w, const char *name)
{
    keep(w, fdt_property(w->fdt, name, NULL, 0));
}

/* Two strings, as most `compatible` properties here have. */
static void put_strings(struct writer *w, const char *name, const char *first, const char *second)
{
    char list[64];
    size_t n = strlen(first) + 1;
    size_t m = strlen(second) + 1;

    memcpy(list, first, n);
    memcpy(list + n, second, m);
    keep(w, fdt_property(w->fdt, name, list, (int)(n + m)));
}

static void put_cells(struct writer *w, const char *name, const uint32_t *cells, unsigned n)
{
    fdt32_t raw[16];

    for (unsigned i = 0; i < n; i++)
        raw[i] = cpu_to_fdt32(cells[i]);
    keep(w, fdt_property(w->fdt, name, raw, (int)(n * sizeof(raw[0]))));
}

static void put_reg(struct writer *w, uint64_t base, uint64_t bytes)
{
    const uint32_t cells[] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(bytes >> 32),
                              (uint32_t)bytes};

    put_cells(w, "reg", cells, 4);
}

static void put_spi(struct writer *w, uint32_t intid)
{
    const uint32_t cells[] = {GIC_SPI_CELL, intid - GIC_SPI_FIRST, IRQ_LEVEL_HIGH};

    put_cells(w, "interrupts", cells, 3);
}

static void put_psci(struct writer *w)
{
    begin(w, "psci");
    put_strings(w, "compatible", "arm,psci-1.0", "arm,psci-0.2");
    put_string(w, "method", "hvc");
    end(w);
}

static void put_cpus(struct writer *w, uint32_t vcpus)
{
    char name[32];

    begin(w, "cpus");
    put_u32(w, "#address-cells", 1);
    put_u32(w, "#size-cells", 0);
    for (uint32_t i = 0; i < vcpus; i++) {
        uint32_t mpidr = (i / MPIDR_AFF0_CPUS) << 8 | i % MPIDR_AFF0_CPUS;

        snprintf(name, sizeof(name), "cpu@%x", mpidr);
        begin(w, name);
        put_string(w, "device_type", "cpu");
        put_string(w, "compatible", "arm,armv8");
        put_u32(w, "reg", mpidr);
        put_string(w, "enable-method", "psci");
        end(w);
    }
    end(w);
}

static void put_gic(struct writer *w)
{
    const uint32_t reg[] = {
        (uint32_t)(GUEST_GICV3_GICD_BASE >> 32),  (uint32_t)GUEST_GICV3_GICD_BASE,
        (uint32_t)(GUEST_GICV3_GICD_SIZE >> 32),  (uint32_t)GUEST_GICV3_GICD_SIZE,
        (uint32_t)(GUEST_GICV3_GICR0_BASE >> 32), (uint32_t)GUEST_GICV3_GICR0_BASE,
        (uint32_t)(GUEST_GICV3_GICR0_SIZE >> 32), (uint32_t)GUEST_GICV3_GICR0_SIZE,
    };

    begin(w, "interrupt-controller@3001000");
    put_string(w, "compatible", "arm,gic-v3");
    put_flag(w, "interrupt-controller");
    put_u32(w, "#interrupt-cells", 3);
    put_u32(w, "#address-cells", 0);
    put_cells(w, "reg", reg, 8);
    put_u32(w, "phandle", PHANDLE_GIC);
    end(w);
}

static void put_timer(struct writer *w)
{
    const uint32_t cells[] = {
        GIC_PPI_CELL, GUEST_TIMER_PHYS_S_PPI - GIC_PPI_FIRST,  IRQ_LEVEL_LOW,
        GIC_PPI_CELL, GUEST_TIMER_PHYS_NS_PPI - GIC_PPI_FIRST, IRQ_LEVEL_LOW,
        GIC_PPI_CELL, GUEST_TIMER_VIRT_PPI - GIC_PPI_FIRST,    IRQ_LEVEL_LOW,
    };

    begin(w, "timer");
    put_string(w, "compatible", "arm,armv8-timer");
    put_cells(w, "interrupts", cells, 9);
    put_flag(w, "always-on");
    end(w);
}

static void put_devices(struct writer *w)
{
    const uint32_t two_clocks[] = {PHANDLE_CLOCK, PHANDLE_CLOCK};
    const uint32_t power_key[] = {PHANDLE_GPIO, POWER_KEY_GPIO_LINE, 0};

    begin(w, "apb-pclk");
    put_string(w, "compatible", "fixed-clock");
    put_u32(w, "#clock-cells", 0);
    put_u32(w, "clock-frequency", UART_CLOCK_HZ);
    put_string(w, "clock-output-names", "clk24mhz");
    put_u32(w, "phandle", PHANDLE_CLOCK);
    end(w);

    begin(w, "pl011@22000000");
    put_strings(w, "compatible", "arm,pl011", "arm,primecell");
    put_reg(w, GUEST_PL011_BASE, GUEST_PL011_SIZE);
    put_spi(w, GUEST_VPL011_SPI);
    put_cells(w, "clocks", two_clocks, 2);
    put_strings(w, "clock-names", "uartclk", "apb_pclk");
    end(w);

    begin(w, "pl061@22001000");
    put_strings(w, "compatible", "arm,pl061", "arm,primecell");
    put_reg(w, GODWIT_PL061_BASE, 0x1000);
    put_spi(w, GODWIT_PL061_SPI);
    put_flag(w, "gpio-controller");
    put_u32(w, "#gpio-cells", 2);
    put_u32(w, "clocks", PHANDLE_CLOCK);
    put_string(w, "clock-names", "apb_pclk");
    put_u32(w, "phandle", PHANDLE_GPIO);
    end(w);

    begin(w, "gpio-keys");
    put_string(w, "compatible", "gpio-keys");
    begin(w, "poweroff");
    put_string(w, "label", "power key");
    put_u32(w, "linux,code", POWER_KEY_CODE);
    put_cells(w, "gpios", power_key, 3);
    end(w);
    end(w);
}

static void put_memory(struct writer *w, const struct gw_ram_bank *banks)
{
    char name[40];

    for (unsigned i = 0; i < GW_RAM_BANKS; i++) {
        if (banks[i].bytes == 0)
            continue;
        snprintf(name, sizeof(name), "memory@%llx", (unsigned long long)banks[i].base);
        begin(w, name);
        put_string(w, "device_type", "memory");
        put_reg(w, banks[i].base, banks[i].bytes);
        end(w);
    }
}

static void put_chosen(struct writer *w, const struct gw_tree_spec *spec)
{
    begin(w, "chosen");
    put_string(w, "bootargs", spec->cmdline);
    put_string(w, "stdout-path", "/pl011@22000000");
    keep(w, fdt_property(w->fdt, "rng-seed", spec->rng_seed, sizeof(spec->rng_seed)));
    if (spec->ramdisk_bytes) {
        put_u64(w, "linux,initrd-start", spec->ramdisk_base);
        put_u64(w, "linux,initrd-end", spec->ramdisk_base + spec->ramdisk_bytes);
    }
    end(w);
}

int gw_tree_build(const struct gw_tree_spec *spec, void *buffer, size_t buffer_bytes,
                  size_t *ret_bytes, struct gw_error *err)
{
    struct writer w = {.fdt = buffer};

    keep(&w, fdt_create(buffer, (int)buffer_bytes));
    keep(&w, fdt_finish_reservemap(buffer));
    begin(&w, "");
    put_string(&w, "compatible", "godwit,guest");
    put_string(&w, "model", "Godwit guest");
    put_u32(&w, "#address-cells", 2);
    put_u32(&w, "#size-cells", 2);
    put_u32(&w, "interrupt-parent", PHANDLE_GIC);
    put_chosen(&w, spec);
    put_memory(&w, spec->banks);
    put_cpus(&w, spec->vcpus);
    put_psci(&w);
    put_gic(&w);
    put_timer(&w);
    put_devices(&w);
    end(&w);
    keep(&w, fdt_finish(buffer));
    if (w.rc)
        return gw_error_set(err, GW_EXIT_FAILED, "cannot build the device tree: %s",
                            fdt_strerror(w.rc));
    *ret_bytes = fdt_totalsize(buffer);
    return 0;
}
