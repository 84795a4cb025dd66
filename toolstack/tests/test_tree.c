/* SPDX-License-Identifier: MIT */
#include <libfdt.h>
#include <string.h>

#include "domain/tree.h"
#include "support.h"

static uint8_t buffer[GW_TREE_BYTES_MAX];

static void build(uint64_t memory_mib, uint32_t vcpus, uint64_t ramdisk_bytes)
{
    struct gw_ram_bank banks[GW_RAM_BANKS];
    struct gw_tree_spec spec = {.banks = banks,
                                .vcpus = vcpus,
                                .cmdline = "console=ttyAMA0 quiet",
                                .ramdisk_base = 0x48000000,
                                .ramdisk_bytes = ramdisk_bytes};
    struct gw_error err;
    size_t bytes = 0;

    gw_layout_ram(memory_mib, banks);
    assert_int_equal(gw_tree_build(&spec, buffer, sizeof(buffer), &bytes, &err), 0);
    assert_int_equal(fdt_check_full(buffer, bytes), 0);
}

static const void *property(const char *path, const char *name, int *ret_bytes)
{
    int node = fdt_path_offset(buffer, path);
    const void *value;

    if (node < 0)
        fail_msg("no node %s", path);
    value = fdt_getprop(buffer, node, name, ret_bytes);
    if (!value)
        fail_msg("no property %s in %s", name, path);
    return value;
}

static uint64_t cells(const char *path, const char *name, unsigned first, unsigned n)
{
    int bytes;
    const fdt32_t *value = property(path, name, &bytes);
    uint64_t result = 0;

    assert_true((unsigned)bytes >= (first + n) * sizeof(*value));
    for (unsigned i = 0; i < n; i++)
        result = result << 32 | fdt32_to_cpu(value[first + i]);
    return result;
}

static void test_machine(void **state)
{
    int bytes;

    (void)state;
    build(256, 2, 0);
    assert_true(fdt_path_offset(buffer, "/hypervisor") < 0);
    assert_string_equal(property("/psci", "compatible", &bytes), "arm,psci-1.0");
    assert_string_equal(property("/psci", "method", &bytes), "hvc");
    assert_string_equal(property("/interrupt-controller@3001000", "compatible", &bytes),
                        "arm,gic-v3");
    assert_int_equal(cells("/interrupt-controller@3001000", "reg", 0, 2), 0x03001000);
    assert_int_equal(cells("/interrupt-controller@3001000", "reg", 2, 2), 0x10000);
    assert_int_equal(cells("/interrupt-controller@3001000", "reg", 4, 2), 0x03020000);
    assert_int_equal(cells("/interrupt-controller@3001000", "reg", 6, 2), 0x01000000);
    assert_int_equal(cells("/timer", "interrupts", 4, 1), 14); /* non-secure physical: PPI 30 */
    assert_int_equal(cells("/timer", "interrupts", 7, 1), 11); /* virtual: PPI 27 */
    assert_memory_equal(property("/pl011@22000000", "compatible", &bytes),
                        "arm,pl011\0arm,primecell", 24);
    assert_int_equal(bytes, 24);
    assert_int_equal(cells("/pl011@22000000", "reg", 0, 2), 0x22000000);
    assert_int_equal(cells("/pl011@22000000", "interrupts", 1, 1), 0); /* SPI 32 */
    assert_int_equal(cells("/pl061@22001000", "interrupts", 1, 1), 12);
    assert_int_equal(cells("/gpio-keys/poweroff", "linux,code", 0, 1), 116);
    assert_int_equal(cells("/gpio-keys/poweroff", "gpios", 0, 1),
                     cells("/pl061@22001000", "phandle", 0, 1));
    assert_int_equal(cells("/gpio-keys/poweroff", "gpios", 1, 1), 3);
    assert_int_equal(cells("/pl011@22000000", "clocks", 0, 1), cells("/apb-pclk", "phandle", 0, 1));
    assert_int_equal(cells("/", "interrupt-parent", 0, 1),
                     cells("/interrupt-controller@3001000", "phandle", 0, 1));
}

static void test_memory_and_chosen(void **state)
{
    int bytes;

    (void)state;
    build(256, 1, 0);
    assert_int_equal(cells("/memory@40000000", "reg", 0, 2), 0x40000000);
    assert_int_equal(cells("/memory@40000000", "reg", 2, 2), 256u << 20);
    assert_true(fdt_path_offset(buffer, "/memory@200000000") < 0);
    assert_string_equal(property("/chosen", "bootargs", &bytes), "console=ttyAMA0 quiet");
    assert_string_equal(property("/chosen", "stdout-path", &bytes), "/pl011@22000000");
    assert_null(
        fdt_getprop(buffer, fdt_path_offset(buffer, "/chosen"), "linux,initrd-start", &bytes));
    build(4096, 1, 12345);
    assert_int_equal(cells("/memory@40000000", "reg", 2, 2), 3ULL << 30);
    assert_int_equal(cells("/memory@200000000", "reg", 0, 2), 0x200000000ULL);
    assert_int_equal(cells("/memory@200000000", "reg", 2, 2), 1ULL << 30);
    assert_int_equal(cells("/chosen", "linux,initrd-start", 0, 2), 0x48000000);
    assert_int_equal(cells("/chosen", "linux,initrd-end", 0, 2), 0x48000000 + 12345);
}

static void test_cpus(void **state)
{
    unsigned n = 0;
    int node, cpus;

    (void)state;
    build(256, 64, 0);
    cpus = fdt_path_offset(buffer, "/cpus");
    fdt_for_each_subnode(node, buffer, cpus) n++;
    assert_int_equal(n, 64);
    assert_int_equal(cells("/cpus/cpu@f", "reg", 0, 1), 15);
    assert_int_equal(cells("/cpus/cpu@100", "reg", 0, 1), 0x100); /* the 17th: Aff1 1, Aff0 0 */
    assert_int_equal(cells("/cpus/cpu@30f", "reg", 0, 1), 0x30f);
}

static void test_small_buffer(void **state)
{
    struct gw_ram_bank banks[GW_RAM_BANKS];
    struct gw_tree_spec spec = {.banks = banks, .vcpus = 1, .cmdline = ""};
    struct gw_error err;
    size_t bytes;

    (void)state;
    gw_layout_ram(1, banks);
    for (size_t room = 0; room < 1024; room += 16)
        assert_int_equal(gw_tree_build(&spec, buffer, room, &bytes, &err), -1);
    assert_contains(err.message, "cannot build the device tree: FDT_ERR_NOSPACE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_memory_and_chosen),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_small_buffer),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
