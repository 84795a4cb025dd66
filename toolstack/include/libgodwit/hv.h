/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor as the toolstack sees it: one handle over libxencall and libxenforeignmemory, one
 * function per hypercall. Functions return 0 or a negative errno value of the hypercall; outputs
 * (ret_*) are written on success only. A handle belongs to one thread at a time.
 */
#ifndef LIBGODWIT_HV_H
#define LIBGODWIT_HV_H

#include <godwit/ext.h>
#include <libgodwit/error.h>
#include <libgodwit/xen_abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_PAGE_SHIFT 12
#define GW_PAGE_BYTES 4096u

struct gw_hv;

/* Opens the hypercall and foreign memory devices and checks that a hypervisor answers. */
int gw_hv_open(struct gw_hv **ret_hv, struct gw_error *err);
void gw_hv_close(struct gw_hv *hv); /* NULL is fine */

/*
 * Memory that hypercalls may read and write (resident pages). For bitmaps and context blobs that
 * the caller keeps; all other functions copy through buffers of their own. NULL: no memory.
 */
void *gw_hv_buffer_alloc(struct gw_hv *hv, size_t bytes);
void gw_hv_buffer_free(struct gw_hv *hv, void *buffer, size_t bytes);

/* --- hv_domain.c: life of a domain --------------------------------------------------------------
 */

struct gw_domain_info {
    uint32_t domid;
    uint32_t flags; /* XEN_DOMINF_* */
    uint64_t tot_pages, max_pages;
    uint64_t cpu_time_ns;
    uint32_t vcpus_online;
    uint32_t vcpus; /* 0: none created yet */
    uint8_t uuid[16];
};

static inline bool gw_domain_info_paused(const struct gw_domain_info *info)
{
    return (info->flags & XEN_DOMINF_paused) != 0;
}

static inline bool gw_domain_info_dying(const struct gw_domain_info *info)
{
    return (info->flags & XEN_DOMINF_dying) != 0;
}

static inline bool gw_domain_info_shutdown(const struct gw_domain_info *info)
{
    return (info->flags & XEN_DOMINF_shutdown) != 0;
}

/* SHUTDOWN_*; meaningful when gw_domain_info_shutdown(). */
static inline uint32_t gw_domain_info_shutdown_code(const struct gw_domain_info *info)
{
    return (info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
}

struct gw_hv_create {
    uint8_t uuid[16];
    uint32_t vcpus;
    uint32_t spis;
};

/* A new domain without memory and vCPUs; its pause count is 1. */
int gw_hv_domain_create(struct gw_hv *hv, const struct gw_hv_create *create, uint32_t *ret_domid);
/* Destroys; done when it returns 0, but for pages that somebody still maps. */
int gw_hv_domain_destroy(struct gw_hv *hv, uint32_t domid);
int gw_hv_domain_pause(struct gw_hv *hv, uint32_t domid);
int gw_hv_domain_unpause(struct gw_hv *hv, uint32_t domid);
int gw_hv_domain_resume(struct gw_hv *hv, uint32_t domid);
/* Exactly this domain: -ESRCH if it is not there. */
int gw_hv_domain_info(struct gw_hv *hv, uint32_t domid, struct gw_domain_info *ret_info);
/* Domains with id >= first in rising order, at most max of them. */
int gw_hv_domain_list(struct gw_hv *hv, uint32_t first, struct gw_domain_info *ret_infos,
                      unsigned max, unsigned *ret_n);
int gw_hv_domain_set_max_mem(struct gw_hv *hv, uint32_t domid, uint64_t kib);
int gw_hv_domain_set_max_vcpus(struct gw_hv *hv, uint32_t domid, uint32_t vcpus);
int gw_hv_domain_set_address_size(struct gw_hv *hv, uint32_t domid, uint32_t bits);
int gw_hv_domain_set_mempool(struct gw_hv *hv, uint32_t domid, uint64_t bytes);
/* Creates the console's ring in the guest's page gfn; ret_port is the guest's end. */
int gw_hv_vuart_init(struct gw_hv *hv, uint32_t domid, uint64_t gfn, uint32_t *ret_port);
/* Godwit's own: presses the guest's power key; counters of the domain; facts of the host. */
int gw_hv_power_key(struct gw_hv *hv, uint32_t domid);
/* How the domain's writes are noticed once logging is on. -EOPNOTSUPP: the host's CPUs cannot. */
int gw_hv_set_logdirty(struct gw_hv *hv, uint32_t domid, enum godwit_tracking tracking,
                       enum godwit_split split);
int gw_hv_stats(struct gw_hv *hv, uint32_t domid, struct godwit_stats *ret_stats);
int gw_hv_host_info(struct gw_hv *hv, struct godwit_host_info *ret_info);
/*
 * Memory that the guest may only read. get: up to max ranges from *gfn on, which becomes where to
 * go on, or UINT64_MAX at the end; *ret_n may be 0 before that. set: makes pages read-only.
 */
#define GW_HV_RANGES_MAX 512u
int gw_hv_get_readonly(struct gw_hv *hv, uint32_t domid, uint64_t *gfn,
                       struct godwit_range *ret_ranges, unsigned max, unsigned *ret_n);
int gw_hv_set_readonly(struct gw_hv *hv, uint32_t domid, uint64_t first_gfn, uint64_t pages);

/* --- hv_vcpu.c: processor and device state -------------------------------------------------------
 */

int gw_hv_vcpu_set_context(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                           const struct vcpu_guest_context *context);
int gw_hv_vcpu_get_context(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                           struct vcpu_guest_context *ret_context);
int gw_hv_vcpu_info(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                    struct xen_domctl_getvcpuinfo *ret_info);
/* The whole machine state as records. buffer from gw_hv_buffer_alloc(); NULL: only the size. */
int gw_hv_domain_get_state(struct gw_hv *hv, uint32_t domid, void *buffer, uint32_t bytes,
                           uint32_t *ret_bytes);
int gw_hv_domain_set_state(struct gw_hv *hv, uint32_t domid, const void *buffer, uint32_t bytes);
/*
 * Godwit's own, see godwit/ext.h: what logging costs a vCPU; takes CPU time from one, or from all
 * (GODWIT_VCPU_ALL); counts who writes where the MMU notes writes.
 */
int gw_hv_vcpu_stats(struct gw_hv *hv, uint32_t domid, uint32_t vcpu,
                     struct godwit_vcpu_stats *ret_stats);
int gw_hv_vcpu_throttle(struct gw_hv *hv, uint32_t domid, uint32_t vcpu, unsigned percent);
int gw_hv_writer_sample(struct gw_hv *hv, uint32_t domid, bool on);

/* --- hv_memory.c: guest memory -------------------------------------------------------------------
 */

/*
 * Gives the domain n extents of 2^order pages, at the guest frame numbers gfns. ret_done: how many
 * were done; fewer than n is not an error (memory is short at that order).
 */
int gw_hv_populate(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n,
                   unsigned order, unsigned *ret_done);
/* Highest guest frame number ever mapped. */
int gw_hv_maximum_gfn(struct gw_hv *hv, uint32_t domid, uint64_t *ret_gfn);
/* Cleans caches over guest frames, so that a guest with its caches off sees what was written. */
int gw_hv_cache_flush(struct gw_hv *hv, uint32_t domid, uint64_t gfn, uint64_t pages);
/* In: gfns; out: XEN_DOMCTL_PFINFO_* in types. At most 1024. */
int gw_hv_page_types(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, uint32_t *ret_types,
                     unsigned n);

#define GW_HV_WINDOW_PAGES                                                                         \
    1024u /* most that one mapping may hold: each page costs one of our own */

/*
 * Maps n <= GW_HV_WINDOW_PAGES guest frames; errs (may be NULL: any missing page fails the call)
 * gets 0 or -errno for each. prot: PROT_READ, PROT_WRITE. Unmap with the same n. NULL: errno says
 * why.
 */
void *gw_hv_map(struct gw_hv *hv, uint32_t domid, int prot, const uint64_t *gfns, int *errs,
                unsigned n);
void gw_hv_unmap(struct gw_hv *hv, void *address, unsigned n);
/*
 * Copies pages to data, which has room for so many: one after the other, those of zeros left out
 * (ret_zero of each frame). *ret_done of the n frames are done, fewer only if the room ended. No
 * window is needed, and data may be any memory. Any thread. -EINVAL: a frame is not RAM.
 */
int gw_hv_pages_read(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                     unsigned room, bool *ret_zero, unsigned *ret_done);
/* Writes n pages, the contents at data, or zeros (NULL), to memory and not only to caches. The
 * same. */
int gw_hv_pages_write(struct gw_hv *hv, uint32_t domid, const uint64_t *gfns, unsigned n,
                      const void *data);
/* Copies between guest physical memory and a buffer, through windows; any size and alignment. */
int gw_hv_guest_write(struct gw_hv *hv, uint32_t domid, uint64_t ipa, const void *data,
                      uint64_t bytes);
int gw_hv_guest_read(struct gw_hv *hv, uint32_t domid, uint64_t ipa, void *ret_data,
                     uint64_t bytes);

/* --- hv_shadow.c: the dirty log ------------------------------------------------------------------
 */

struct gw_shadow {
    uint32_t op;          /* XEN_DOMCTL_SHADOW_OP_* */
    uint32_t mode;        /* 0, or XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL */
    void *bitmap;         /* NULL, or from gw_hv_buffer_alloc(): bit n is guest frame n */
    uint64_t pages;       /* in: bits in bitmap; out: bits that the hypervisor handled */
    uint32_t fault_count; /* out */
    uint32_t dirty_count; /* out: pages marked in the whole domain */
};

int gw_hv_shadow_op(struct gw_hv *hv, uint32_t domid, struct gw_shadow *op);

/*
 * Takes the log of frames below pages: bit n of bitmap, from gw_hv_buffer_alloc(), is frame n. By
 * ranges where the hypervisor has them. final: frames that it may write itself at any time count
 * as dirty. Waits up to two seconds for others. After an error the caller knows nothing of what
 * was dirty: the whole guest has to be sent again.
 *
 * *epoch: of the log as the caller knows it; becomes the epoch behind this take. -EILSEQ: it is
 * another one now, so somebody has switched the log or taken from it. 0: not known, and not checked
 * (it stays so with a hypervisor that has none).
 */
int gw_hv_dirty_take(struct gw_hv *hv, uint32_t domid, uint64_t pages, bool final, uint8_t *bitmap,
                     uint64_t *epoch);

/* The epoch of a log that is on, 0 if the hypervisor has none. -EINVAL: the log is off. */
int gw_hv_dirty_epoch(struct gw_hv *hv, uint32_t domid, uint64_t *ret_epoch);
/*
 * What is marked now among frames [first, end), perhaps not all of it, and some below first. One
 * call, which takes nothing. -EBUSY: somebody else's is unfinished. The ranges are valid until the
 * next call with this handle.
 */
int gw_hv_dirty_peek(struct gw_hv *hv, uint32_t domid, uint64_t first_gfn, uint64_t end_gfn,
                     const struct godwit_range **ret_ranges, uint32_t *ret_n);

/* --- hv_version.c --------------------------------------------------------------------------------
 */

struct gw_hv_version {
    uint32_t xen_major, xen_minor; /* of the ABI */
    char extra[16];
    char capabilities[1024];
    uint32_t godwit_abi; /* 0: this is not Godwit */
};

struct gw_hv_physinfo {
    uint32_t cpus;
    uint32_t cpu_khz;
    uint64_t total_pages, free_pages;
};

int gw_hv_version(struct gw_hv *hv, struct gw_hv_version *ret_version);
int gw_hv_physinfo(struct gw_hv *hv, struct gw_hv_physinfo *ret_info);

#endif
