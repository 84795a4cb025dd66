/* SPDX-License-Identifier: MIT */
/* Memory of the fake hypervisor's domains: one sparse memory file each. */
#include "fake_xen.h"

#include <errno.h>
#include <godwit/ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenforeignmemory.h>

#define PAGE 4096ULL

struct xenforeignmemory_handle {
    int unused;
};

static const struct fake_extent *find_extent(const struct fake_domain *d, uint64_t gfn)
{
    for (unsigned i = 0; i < d->extents_n; i++)
        if (gfn >= d->extents[i].gfn && gfn - d->extents[i].gfn < 1ULL << d->extents[i].order)
            return &d->extents[i];
    return NULL;
}

static bool file_offset(const struct fake_domain *d, uint64_t gfn, uint64_t *ret_offset)
{
    const struct fake_extent *e = find_extent(d, gfn);

    if (e)
        *ret_offset = e->offset + (gfn - e->gfn) * PAGE;
    return e != NULL;
}

int fake_memory_has(struct fake_domain *d, uint64_t gfn)
{
    return find_extent(d, gfn) != NULL;
}

void fake_memory_free(struct fake_domain *d)
{
    if (d->memory_fd >= 0)
        close(d->memory_fd);
    if (d->domid != 0)
        fake_host.free_pages += d->tot_pages;
    free(d->dirty);
}

static void grow_dirty(struct fake_domain *d, uint64_t gfns)
{
    if (gfns <= d->dirty_n)
        return;
    d->dirty = realloc(d->dirty, gfns);
    memset(d->dirty + d->dirty_n, 0, gfns - d->dirty_n);
    d->dirty_n = gfns;
}

static bool add_extent(struct fake_domain *d, uint64_t gfn, unsigned order)
{
    uint64_t pages = 1ULL << order;

    if (d->memory_fd < 0)
        d->memory_fd = memfd_create("fake-guest", MFD_CLOEXEC);
    if (order > fake_host.max_order || pages + GODWIT_RESERVED_PAGES > fake_host.free_pages ||
        gfn & (pages - 1) || d->tot_pages + pages > d->max_pages ||
        d->extents_n == FAKE_EXTENTS_MAX || find_extent(d, gfn) ||
        ftruncate(d->memory_fd, (off_t)(d->memory_bytes + pages * PAGE)) < 0)
        return false;
    d->extents[d->extents_n++] =
        (struct fake_extent){.gfn = gfn, .order = order, .offset = d->memory_bytes};
    d->memory_bytes += pages * PAGE;
    d->tot_pages += pages;
    fake_host.free_pages -= pages;
    grow_dirty(d, gfn + pages);
    return true;
}

static long populate(const struct xen_memory_reservation *r)
{
    struct fake_domain *d = fake_domain(r->domid);
    uint64_t n = 0;

    if (!d)
        return -ESRCH;
    while (n < r->nr_extents && add_extent(d, r->extent_start.p[n], r->extent_order))
        n++;
    return (long)n;
}

static long maximum_gpfn(const domid_t *domid)
{
    const struct fake_domain *d = fake_domain(*domid);

    return d ? (long)d->dirty_n - 1 : -ESRCH;
}

long fake_memory_op(unsigned cmd, void *argument)
{
    if (cmd == XENMEM_populate_physmap)
        return populate(argument);
    return cmd == XENMEM_maximum_gpfn ? maximum_gpfn(argument) : -ENOSYS;
}

void fake_mark_dirty(struct fake_domain *d, uint64_t gfn)
{
    if (d->logdirty && gfn < d->dirty_n)
        d->dirty[gfn] = 1;
}

static bool guest_access(struct fake_domain *d, uint64_t ipa, char *data, size_t bytes, bool write)
{
    while (bytes) {
        uint64_t in_page = ipa % PAGE;
        size_t n = bytes < PAGE - in_page ? bytes : (size_t)(PAGE - in_page);
        uint64_t offset;

        if (!file_offset(d, ipa / PAGE, &offset))
            return false;
        offset += in_page;
        if (write && pwrite(d->memory_fd, data, n, (off_t)offset) != (ssize_t)n)
            return false;
        if (!write && pread(d->memory_fd, data, n, (off_t)offset) != (ssize_t)n)
            return false;
        if (write)
            fake_mark_dirty(d, ipa / PAGE);
        ipa += n;
        data += n;
        bytes -= n;
    }
    return true;
}

bool fake_guest_read(struct fake_domain *d, uint64_t ipa, void *ret_data, size_t bytes)
{
    return guest_access(d, ipa, ret_data, bytes, false);
}

bool fake_guest_write(struct fake_domain *d, uint64_t ipa, const void *data, size_t bytes)
{
    return guest_access(d, ipa, (char *)(uintptr_t)data, bytes, true);
}

static long copy_page(struct fake_domain *d, struct godwit_pages *request, uint64_t *frame,
                      char *data)
{
    static const char zeros[PAGE];
    bool write = request->flags == GODWIT_PAGES_WRITE;
    bool zero = write && *frame & GODWIT_PAGE_ZERO;
    char page[PAGE];

    if (!zero && request->room == 0)
        return -ENOBUFS;
    if (zero || write)
        memcpy(page, zero ? zeros : data, PAGE);
    if (!guest_access(d, (*frame & ~GODWIT_PAGE_ZERO) * PAGE, page, PAGE, write))
        return -EINVAL;
    if (!write && memcmp(page, zeros, PAGE) == 0)
        *frame |= GODWIT_PAGE_ZERO;
    else if (!write)
        memcpy(data, page, PAGE);
    return 0;
}

long fake_pages(struct fake_domain *d, struct godwit_pages *request)
{
    uint64_t *frames = (uint64_t *)(uintptr_t)request->frames;
    uint32_t wanted = request->count, room = request->room, used = 0;
    long rc = 0;

    if (fake_host.pages_faults) {
        request->count = fake_host.pages_faults % 2 ? 0 : wanted; /* not even written back */
        fake_host.pages_faults--;
        return -EFAULT;
    }
    for (request->count = 0; request->count < wanted && request->count < 3; request->count++) {
        rc = copy_page(d, request, &frames[request->count],
                       (char *)(uintptr_t)request->data + used * PAGE);
        if (rc < 0)
            break;
        used += !(frames[request->count] & GODWIT_PAGE_ZERO);
        request->room = room - used;
    }
    request->room = used;
    return rc == -ENOBUFS && request->count ? 0 : rc;
}

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
                                               unsigned open_flags)
{
    (void)logger;
    (void)open_flags;
    return calloc(1, sizeof(xenforeignmemory_handle));
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    free(fmem);
    return 0;
}

static int map_one(struct fake_domain *d, char *at, int prot, uint64_t gfn)
{
    uint64_t offset;

    if (!d || !file_offset(d, gfn, &offset))
        return -ENOENT;
    if (mmap(at, PAGE, prot, MAP_SHARED | MAP_FIXED, d->memory_fd, (off_t)offset) == MAP_FAILED)
        return -errno;
    /* A writable window may change the page at any moment: as Godwit does at the first write. */
    if (prot & PROT_WRITE)
        fake_mark_dirty(d, gfn);
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const xen_pfn_t arr[], int err[])
{
    char *base = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct fake_domain *d = fake_domain(dom);
    size_t failed = 0;
    int first = 0;

    (void)fmem;
    if (base == MAP_FAILED)
        return NULL;
    for (size_t i = 0; i < pages; i++) {
        int rc = map_one(d, base + i * PAGE, prot, arr[i]);

        if (err)
            err[i] = rc;
        failed += rc != 0;
        first = first ? first : rc;
    }
    if (failed && (!err || failed == pages)) {
        munmap(base, pages * PAGE);
        errno = -first;
        return NULL;
    }
    fake_host.windows++;
    return base;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    (void)fmem;
    fake_host.windows--;
    return munmap(addr, pages * PAGE);
}
