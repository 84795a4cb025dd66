/* SPDX-License-Identifier: MIT */
/* Guest memory: giving frames, mapping them in bounded windows, copying through such windows. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "hv_internal.h"

/* Extents of one populate call: what fits into the scratch buffer behind the structure. */
#define POPULATE_BATCH 1024u

int gw_hv_populate(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n,
                   unsigned order, unsigned *ret_done)
{
    struct xen_memory_reservation *r = hv->scratch;
    uint64_t *extents = (uint64_t *)((char *)hv->scratch + sizeof(*r));
    unsigned done = 0;

    while (done < n) {
        unsigned batch = n - done < POPULATE_BATCH ? n - done : POPULATE_BATCH;
        long rc;

        memcpy(extents, gfns + done, batch * sizeof(*extents));
        memset(r, 0, sizeof(*r));
        set_xen_guest_handle(r->extent_start, extents);
        r->nr_extents = batch;
        r->extent_order = order;
        r->domid = (domid_t)domid;
        rc = xencall2L(hv->call, __HYPERVISOR_memory_op, XENMEM_populate_physmap, (uintptr_t)r);
        if (rc < 0)
            return -errno;
        done += (unsigned)rc;
        if ((unsigned long)rc < batch)
            break;
    }
    *ret_done = done;
    return 0;
}

int gw_hv_maximum_gfn(struct gw_hv *hv, uint32_t domid, uint64_t *ret_gfn)
{
    domid_t id = (domid_t)domid;
    long rc = hv_memory_op(hv, XENMEM_maximum_gpfn, &id, sizeof(id));

    if (rc < 0)
        return (int)rc;
    *ret_gfn = (uint64_t)rc;
    return 0;
}

int gw_hv_cache_flush(struct gw_hv *hv, uint32_t domid, uint64_t gfn, uint64_t pages)
{
    const uint64_t at_most = 1u << 18; /* the hypervisor refuses more than 2^18 pages at once */

    while (pages) {
        uint64_t batch = pages < at_most ? pages : at_most;
        struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_cacheflush, domid);
        int rc;

        domctl->u.cacheflush.start_pfn = gfn;
        domctl->u.cacheflush.nr_pfns = batch;
        rc = hv_domctl_run(hv);
        if (rc < 0)
            return rc;
        gfn += batch;
        pages -= batch;
    }
    return 0;
}

int gw_hv_page_types(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, uint32_t *ret_types,
                     unsigned n)
{
    struct xen_domctl *domctl = hv_domctl_prepare(hv, XEN_DOMCTL_getpageframeinfo3, domid);
    uint64_t *array = hv->scratch;
    int rc;

    if (n > HV_SCRATCH_BYTES / sizeof(*array))
        return -E2BIG;
    memcpy(array, gfns, n * sizeof(*array));
    domctl->u.getpageframeinfo3.num = n;
    domctl->u.getpageframeinfo3.array.p = array;
    rc = hv_domctl_run(hv);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < n; i++)
        ret_types[i] = (uint32_t)array[i];
    return 0;
}

void *gw_hv_map(struct gw_hv *hv, uint32_t domid, int prot, const uint64_t *gfns, int *errs,
                unsigned n)
{
    if (n == 0 || n > GW_HV_WINDOW_PAGES) {
        errno = EINVAL;
        return NULL;
    }
    return xenforeignmemory_map(hv->memory, domid, prot, n, (const xen_pfn_t *)gfns, errs);
}

void gw_hv_unmap(struct gw_hv *hv, void *address, unsigned n)
{
    if (address)
        xenforeignmemory_unmap(hv->memory, address, n);
}

/* One window: maps the frames around [ipa, ipa + bytes) and copies. Returns bytes done or -errno.
 */
static int64_t copy_window(struct gw_hv *hv, uint32_t domid, uint64_t ipa, void *data,
                           uint64_t bytes, bool to_guest)
{
    uint64_t gfns[256];
    uint64_t offset = ipa % GW_PAGE_BYTES;
    uint64_t most = sizeof(gfns) / sizeof(gfns[0]) * GW_PAGE_BYTES - offset;
    unsigned n;
    char *window;

    if (bytes > most)
        bytes = most;
    n = (unsigned)((offset + bytes + GW_PAGE_BYTES - 1) / GW_PAGE_BYTES);
    for (unsigned i = 0; i < n; i++)
        gfns[i] = (ipa >> GW_PAGE_SHIFT) + i;
    window = gw_hv_map(hv, domid, to_guest ? PROT_READ | PROT_WRITE : PROT_READ, gfns, NULL, n);
    if (!window)
        return errno ? -errno : -EFAULT;
    if (to_guest)
        memcpy(window + offset, data, bytes);
    else
        memcpy(data, window + offset, bytes);
    gw_hv_unmap(hv, window, n);
    return (int64_t)bytes;
}

static int copy_all(struct gw_hv *hv, uint32_t domid, uint64_t ipa, char *data, uint64_t bytes,
                    bool to_guest)
{
    while (bytes) {
        int64_t done = copy_window(hv, domid, ipa, data, bytes, to_guest);

        if (done < 0)
            return (int)done;
        ipa += (uint64_t)done;
        data += done;
        bytes -= (uint64_t)done;
    }
    return 0;
}

int gw_hv_guest_write(struct gw_hv *hv, uint32_t domid, uint64_t ipa, const void *data,
                      uint64_t bytes)
{
    return copy_all(hv, domid, ipa, (char *)(uintptr_t)data, bytes, true);
}

int gw_hv_guest_read(struct gw_hv *hv, uint32_t domid, uint64_t ipa, void *ret_data, uint64_t bytes)
{
    return copy_all(hv, domid, ipa, ret_data, bytes, false);
}
