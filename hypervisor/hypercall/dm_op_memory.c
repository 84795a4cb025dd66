/* SPDX-License-Identifier: MIT */
/*
 * dm_op on memory: a device model says which pages of a guest it has written, and which ones the
 * guest may only read.
 */
#include <core/dirty_log.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <xen/hvm/hvm_op.h>

#include "dm_op.h"

#define PAGES_BETWEEN_CHECKS 256u
#define BLOCK_PAGES          512u /* of 2 MiB: changed at once, so that they stay a block */

_Static_assert(sizeof(struct xen_dm_op_modified_memory_extent) == 16, "ABI");

/* Extents that end at or behind the highest page are refused, as in Xen. */
static long check_extent(const struct domain *d,
                         const struct xen_dm_op_modified_memory_extent *extent)
{
    uint64_t last = extent->first_pfn + extent->nr - 1;

    if (extent->pad != 0) {
        return -EINVAL;
    }
    return extent->nr == 0 || last < extent->first_pfn || last >= d->max_gfn ? -EINVAL : 0;
}

/*
 * Marks one extent from page opaque on. True: all of it is marked; false: *opaque says where to
 * go on, because others want this CPU.
 */
static bool mark_extent(struct domain *d, const struct xen_dm_op_modified_memory_extent *extent,
                        uint32_t *opaque)
{
    while (*opaque < extent->nr) {
        dirty_log_mark(&d->s2, ipa_from_gfn(extent->first_pfn + *opaque), DIRTY_WRITER_MODEL);
        ++*opaque;
        if (*opaque % PAGES_BETWEEN_CHECKS == 0 && *opaque < extent->nr && cpu_preempt_pending()) {
            return false;
        }
    }
    *opaque = 0;
    return true;
}

/* From the last extent to the first; nr_extents and opaque are the progress. */
long dm_op_modified_memory(struct domain *d, struct dm_call *call)
{
    struct xen_dm_op_modified_memory *request = &call->op.u.modified_memory;
    const struct xen_dm_op_buf *extents = &call->data;
    bool first = true;

    if (request->nr_extents > extents->size / sizeof(struct xen_dm_op_modified_memory_extent)) {
        return -EINVAL;
    }
    if (!dirty_log_is_on(&d->s2)) {
        return 0;
    }
    for (; request->nr_extents != 0; request->nr_extents--) {
        struct xen_dm_op_modified_memory_extent extent;
        uint64_t at = extents->h.q + (request->nr_extents - 1) * sizeof(extent);
        long error;

        if (!first && cpu_preempt_pending()) {
            return -ERESTART;
        }
        first = false;
        if (copy_from_guest(&extent, at, sizeof(extent)) != 0) {
            return -EFAULT;
        }
        error = check_extent(d, &extent);
        if (error != 0) {
            return error;
        }
        if (!mark_extent(d, &extent, &request->opaque)) {
            return -ERESTART;
        }
    }
    return 0;
}

/* HVMMEM_* as a type of ours; false: *ret_error says why not. */
static bool type_of(uint16_t mem_type, enum s2_type *ret_type, long *ret_error)
{
    switch (mem_type) {
    case HVMMEM_ram_rw:
        *ret_type = S2_RAM_RW;
        return true;
    case HVMMEM_ram_ro:
        *ret_type = S2_RAM_RO;
        return true;
    case HVMMEM_mmio_dm:
    case HVMMEM_ioreq_server:
        *ret_error = -EOPNOTSUPP; /* nobody outside the hypervisor emulates devices */
        return false;
    default:
        *ret_error = -EINVAL;
        return false;
    }
}

/* From the first page on; first_pfn and nr are the progress. */
long dm_op_set_mem_type(struct domain *d, struct dm_call *call)
{
    struct xen_dm_op_set_mem_type *request = &call->op.u.set_mem_type;
    uint64_t last = request->first_pfn + request->nr - 1;
    enum s2_type type = S2_NONE;
    long error = 0;

    if (request->pad != 0 || request->nr == 0 || last < request->first_pfn ||
        last > atomic_load_explicit(&d->max_gfn, memory_order_relaxed)) {
        return -EINVAL;
    }
    if (!type_of(request->mem_type, &type, &error)) {
        return error;
    }
    while (error == 0) {
        uint32_t pages = BLOCK_PAGES - (uint32_t)(request->first_pfn % BLOCK_PAGES);

        pages = pages < request->nr ? pages : request->nr;
        error = p2m_set_type(d, request->first_pfn, pages, type);
        if (error != 0) {
            break;
        }
        request->first_pfn += pages;
        request->nr -= pages;
        if (request->nr == 0) {
            break;
        }
        error = cpu_preempt_pending() ? -ERESTART : 0;
    }
    return error;
}
