/* SPDX-License-Identifier: MIT */
/* xen_version: what this hypervisor says it is. */
#include <hv/fdt.h>
#include <hv/guest_access.h>
#include <string.h>
#include <xen/features.h>
#include <xen/version.h>

#include "call.h"

/* The release whose ABI is spoken; domctl and sysctl versions belong to it. */
#define ABI_MAJOR 4u
#define ABI_MINOR 17u

/* Never used as an address: where Xen of that release is linked. */
#define VIRT_START 0x00200000u

static long put(uint64_t to_gva, const void *from, size_t bytes)
{
    return copy_to_guest(to_gva, from, bytes) != 0 ? -EFAULT : 0;
}

static long put_text(uint64_t to_gva, const char *text, size_t field_bytes)
{
    char field[sizeof(xen_capabilities_info_t)];

    memset(field, 0, sizeof(field));
    strlcpy(field, text, field_bytes);
    return put(to_gva, field, field_bytes);
}

static long compile_info(uint64_t to_gva)
{
    struct xen_compile_info info;

    memset(&info, 0, sizeof(info));
    strlcpy(info.compiler, __VERSION__, sizeof(info.compiler));
    strlcpy(info.compile_by, "godwit", sizeof(info.compile_by));
    strlcpy(info.compile_domain, "", sizeof(info.compile_domain));
    strlcpy(info.compile_date, "", sizeof(info.compile_date));
    return put(to_gva, &info, sizeof(info));
}

static long get_features(const struct hcall *call)
{
    struct xen_feature_info info;

    if (copy_from_guest(&info, call->arg[1], sizeof(info)) != 0) {
        return -EFAULT;
    }
    if (info.submap_idx >= XENFEAT_NR_SUBMAPS) {
        return -EINVAL;
    }
    info.submap = 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
                  1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_ARM_SMCCC_supported;
    info.submap |= call->d->is_control ? 1u << XENFEAT_dom0 | 1u << XENFEAT_direct_mapped
                                       : 1u << XENFEAT_not_direct_mapped;
    return put(call->arg[1], &info, sizeof(info));
}

long hcall_xen_version(struct hcall *call)
{
    const xen_platform_parameters_t parameters = {.virt_start = VIRT_START};
    uint64_t arg = call->arg[1];

    switch ((uint32_t)call->arg[0]) {
    case XENVER_version:
        return ABI_MAJOR << 16 | ABI_MINOR;
    case XENVER_extraversion:
        return put_text(arg, ".0-godwit", sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(arg);
    case XENVER_capabilities:
        return put_text(arg, "xen-3.0-aarch64 ", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return put_text(arg, "godwit " GODWIT_VERSION, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return put(arg, &parameters, sizeof(parameters));
    case XENVER_get_features:
        return get_features(call);
    case XENVER_pagesize:
        return arg != 0 ? -EINVAL : (long)PAGE_SIZE_BYTES;
    case XENVER_guest_handle:
        return put(arg, call->d->handle, sizeof(xen_domain_handle_t));
    case XENVER_commandline:
        return put_text(arg, call->d->is_control ? host.hv_bootargs : "<denied>",
                        sizeof(xen_commandline_t));
    case XENVER_build_id:
        return call->d->is_control ? -ENODATA : -EPERM;
    default:
        return -ENOSYS;
    }
}
