/* SPDX-License-Identifier: MIT */
/*
 * Checks the machine that the control domain is given: its device tree, every bank of its memory,
 * its CPUs. Options: mem=MiB, banks=N (at least), cpus=N, which the runner knows from the host.
 */
#include "control.h"

#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <guest/timer.h>
#include <libfdt.h>
#include <stdatomic.h>
#include <string.h>

#define BANKS_MAX     16u
#define ANSWER_WAIT_S 20u
#define STRIDE_BYTES  (1ul << 24)

struct bank {
    uint64_t start, bytes;
};

static atomic_uint answers;

static unsigned count_compatible(const void *dtb, const char *name)
{
    unsigned count = 0;

    for (int node = fdt_node_offset_by_compatible(dtb, -1, name); node >= 0;
         node = fdt_node_offset_by_compatible(dtb, node, name)) {
        count++;
    }
    return count;
}

static void check_tree(const void *dtb)
{
    static const char *const hidden[] = {"arm,pl011", "arm,gic-v3-its", "arm,armv8-pmuv3",
                                         "qemu,fw-cfg-mmio", "multiboot,module"};
    const char *method = fdt_getprop(dtb, fdt_path_offset(dtb, "/psci"), "method", NULL);
    const char *hypervisor =
        fdt_getprop(dtb, fdt_path_offset(dtb, "/hypervisor"), "compatible", NULL);

    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        report(count_compatible(dtb, hidden[i]) == 0, "%s is hidden", hidden[i]);
    }
    report(method != NULL && strcmp(method, "hvc") == 0, "PSCI by hvc");
    report(hypervisor != NULL && strncmp(hypervisor, "xen,xen-4.", 10) == 0, "hypervisor node");
    report(count_compatible(dtb, "arm,gic-v3") == 1, "one GICv3");
    report(count_compatible(dtb, "virtio,mmio") > 0, "devices are passed through");
}

static unsigned read_banks(const void *dtb, struct bank *banks)
{
    unsigned count = 0;
    int node = -1;

    while (count < BANKS_MAX &&
           (node = fdt_node_offset_by_prop_value(dtb, node, "device_type", "memory", 7)) >= 0) {
        int length;
        const fdt64_t *reg = fdt_getprop(dtb, node, "reg", &length);

        if (reg != NULL && length == 16) {
            banks[count++] = (struct bank){fdt64_to_cpu(reg[0]), fdt64_to_cpu(reg[1])};
        }
    }
    return count;
}

/* Memory that holds us, our ramdisk or the tree lies at the start of the first bank. */
static bool is_in_use(const void *dtb, uint64_t at)
{
    uint64_t tree_end = (uintptr_t)dtb + fdt_totalsize(dtb);

    return at < tree_end && at + 8 * STRIDE_BYTES > tree_end;
}

/* The n-th word to look at: one per stride, then the bank's last; 0 after that. */
static uint64_t probe_address(const struct bank *bank, uint64_t n)
{
    uint64_t strides = (bank->bytes + STRIDE_BYTES - 1) / STRIDE_BYTES;

    if (n < strides) {
        return bank->start + n * STRIDE_BYTES;
    }
    return n == strides ? bank->start + bank->bytes - 8 : 0;
}

/* Writes its own address to each word first, then reads all: aliases would show. */
static bool check_bank(const void *dtb, const struct bank *bank)
{
    uint64_t at;

    for (uint64_t n = 0; (at = probe_address(bank, n)) != 0; n++) {
        if (!is_in_use(dtb, at)) {
            *(volatile uint64_t *)at = at;
        }
    }
    for (uint64_t n = 0; (at = probe_address(bank, n)) != 0; n++) {
        if (!is_in_use(dtb, at) && *(volatile uint64_t *)at != at) {
            return false;
        }
    }
    return true;
}

static void check_memory(const void *dtb)
{
    struct bank banks[BANKS_MAX];
    unsigned count = read_banks(dtb, banks);
    uint64_t wanted = control_option(dtb, "mem", 64) << 20;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        bytes += banks[i].bytes;
        report(check_bank(dtb, &banks[i]), "bank of %lu MiB at %lx", banks[i].bytes >> 20,
               banks[i].start);
    }
    report(bytes == wanted, "%lu MiB of memory, %lu wanted", bytes >> 20, wanted >> 20);
    report(count >= control_option(dtb, "banks", 1), "%u banks", count);
    report(count > 0 && banks[0].start < 1ul << 32, "the first bank is within reach of 32 bits");
}

static void answer(unsigned cpu)
{
    atomic_fetch_add(&answers, 1u);
}

static void check_cpus(const void *dtb)
{
    unsigned wanted = (unsigned)control_option(dtb, "cpus", 1);
    unsigned count = 0;
    uint64_t deadline;
    int node = -1;

    while ((node = fdt_node_offset_by_prop_value(dtb, node, "device_type", "cpu", 4)) >= 0) {
        count++;
    }
    report(count == wanted, "%u CPUs, %u wanted", count, wanted);
    for (unsigned cpu = 1; cpu < count; cpu++) {
        int64_t rc = smp_start(cpu, answer);

        if (rc != 0) {
            report(false, "CPU_ON of CPU %u: %ld", cpu, rc);
        }
    }
    deadline = timer_count() + ANSWER_WAIT_S * timer_hz();
    while (atomic_load(&answers) + 1 < count && timer_count() < deadline) {
    }
    report(atomic_load(&answers) + 1 == count, "%u other CPUs run", atomic_load(&answers));
}

void guest_main(const void *dtb)
{
    check_tree(dtb);
    check_memory(dtb);
    check_cpus(dtb);
}
