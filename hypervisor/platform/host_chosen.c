/* SPDX-License-Identifier: MIT */
/* /chosen: the modules that the boot loader left in memory, and who gets which command line. */
#include "fdt_util.h"
#include "host_fdt.h"

#include <string.h>

#define HV_BOOTARGS_BYTES 1024

/* A copy: a panic asks for options also while the tree is not mapped. */
static char hv_bootargs[HV_BOOTARGS_BYTES];

static const char *chosen_string(const void *fdt, int node, const char *name)
{
    int length;
    const char *text = fdt_getprop(fdt, node, name, &length);

    return text != NULL && length > 0 && text[length - 1] == '\0' ? text : NULL;
}

static bool is_module(const void *fdt, int node)
{
    return fdt_compatible(fdt, node, "multiboot,module") ||
           fdt_compatible(fdt, node, "xen,multiboot-module") ||
           fdt_compatible(fdt, node, "xen,linux-zimage") ||
           fdt_compatible(fdt, node, "xen,linux-initrd");
}

/* Untyped modules: the first is the kernel, the second the ramdisk. */
static struct host_module *module_slot(const void *fdt, int node)
{
    if (fdt_compatible(fdt, node, "multiboot,kernel") ||
        fdt_compatible(fdt, node, "xen,linux-zimage")) {
        return &host.kernel;
    }
    if (fdt_compatible(fdt, node, "multiboot,ramdisk") ||
        fdt_compatible(fdt, node, "xen,linux-initrd")) {
        return &host.ramdisk;
    }
    return host.kernel.bytes == 0 ? &host.kernel : &host.ramdisk;
}

static void scan_modules(const void *fdt, int chosen)
{
    /* Boot loaders that leave /chosen without cell counts mean the root's, not the defaults. */
    int cells = fdt_getprop(fdt, chosen, "#size-cells", NULL) != NULL ? chosen : 0;
    struct fdt_range range;
    int node;

    host.kernel.bytes = 0;
    host.ramdisk.bytes = 0;
    fdt_for_each_subnode(node, fdt, chosen)
    {
        struct host_module *module;

        if (!is_module(fdt, node) || !fdt_reg(fdt, node, cells, 0, &range)) {
            continue;
        }
        host_reserve(range.start, range.bytes);
        module = module_slot(fdt, node);
        if (module->bytes == 0) {
            *module = (struct host_module){pa_make(range.start), range.bytes,
                                           chosen_string(fdt, node, "bootargs")};
        }
    }
}

/* An initrd that the boot loader announced the way Linux expects it. */
static void scan_linux_initrd(const void *fdt, int chosen)
{
    uint64_t start, end;

    if (!fdt_number(fdt, chosen, "linux,initrd-start", &start) ||
        !fdt_number(fdt, chosen, "linux,initrd-end", &end) || end <= start) {
        return;
    }
    host_reserve(start, end - start);
    if (host.ramdisk.bytes == 0) {
        host.ramdisk = (struct host_module){pa_make(start), end - start, NULL};
    }
}

/* The table in Xen's boot protocol; a module's own bootargs win. */
static void scan_command_lines(const void *fdt, int chosen)
{
    const char *plain = chosen_string(fdt, chosen, "bootargs");
    const char *for_hv = chosen_string(fdt, chosen, "xen,xen-bootargs");
    const char *for_control = chosen_string(fdt, chosen, "xen,dom0-bootargs");
    bool for_kernel = host.kernel.bytes != 0 && host.kernel.bootargs == NULL;
    bool plain_is_ours = for_hv == NULL && (for_control != NULL || !for_kernel);

    if (for_hv == NULL && plain_is_ours) {
        for_hv = plain;
    }
    if (for_control == NULL && !plain_is_ours) {
        for_control = plain;
    }
    if (host.kernel.bytes != 0 && host.kernel.bootargs != NULL) {
        for_control = host.kernel.bootargs;
    }
    strlcpy(hv_bootargs, for_hv != NULL ? for_hv : "", sizeof(hv_bootargs));
    host.hv_bootargs = hv_bootargs;
    host.control_bootargs = for_control != NULL ? for_control : "";
}

void host_scan_chosen(const void *fdt)
{
    int chosen = fdt_path_offset(fdt, "/chosen");

    host.kernel = (struct host_module){.bytes = 0};
    host.ramdisk = (struct host_module){.bytes = 0};
    host.hv_bootargs = "";
    host.control_bootargs = "";
    if (chosen < 0) {
        return;
    }
    scan_modules(fdt, chosen);
    scan_linux_initrd(fdt, chosen);
    scan_command_lines(fdt, chosen);
}
