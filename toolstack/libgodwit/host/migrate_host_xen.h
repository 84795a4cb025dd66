/* SPDX-License-Identifier: MIT */
/* Parts of the real host: dirty log, vCPUs, layout, pages. Contracts: migrate_host.h. */
#ifndef MIGRATE_HOST_XEN_H
#define MIGRATE_HOST_XEN_H

#include <libgodwit/hv.h>
#include <libgodwit/log_owner.h>

#include "migrate_host.h"

struct migrate_xen {
    struct gw_hv *hv;
    struct gw_log_owner owner; /* while this process has the guest's log */
    uint8_t *bitmap;           /* resident */
    size_t bitmap_bytes;
    uint64_t log_epoch; /* of the log while it is ours; 0: not known */
    int claim_fd;       /* while this process builds a guest; else -1 */
};

/* Of a log that is ours: off, and no longer marked. 0, or -errno. */
int migrate_xen_log_off(struct migrate_xen *x, uint32_t domid);
int migrate_xen_log_claim(void *ctx, uint32_t domid, struct gw_error *err);
int migrate_xen_log_is_free(void *ctx, uint32_t domid, struct gw_error *err);
int migrate_xen_log_start(void *ctx, uint32_t domid, struct gw_error *err);
int migrate_xen_log_stop(void *ctx, uint32_t domid, struct gw_error *err);
int migrate_xen_log_take(void *ctx, uint32_t domid, uint64_t pages, bool final,
                         const uint8_t **ret_bitmap, struct gw_error *err);
int migrate_xen_log_mark(void *ctx, uint32_t domid, struct migrate_log_mark *ret_mark,
                         struct gw_error *err);
int migrate_xen_log_resume(void *ctx, uint32_t domid, const struct migrate_log_mark *mark,
                           struct gw_error *err);
int migrate_xen_log_peek(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                         bool *ret_dirty, struct gw_error *err);
int migrate_xen_vcpu_stats(void *ctx, uint32_t domid, struct migrate_vcpu *ret_vcpus,
                           unsigned *ret_n, struct gw_error *err);
int migrate_xen_vcpu_throttle(void *ctx, uint32_t domid, uint32_t vcpu, unsigned percent,
                              struct gw_error *err);
int migrate_xen_writer_sample(void *ctx, uint32_t domid, bool on, struct gw_error *err);
int migrate_xen_ranges(void *ctx, uint32_t domid, struct stream_memory *ret_memory,
                       struct gw_error *err);
int migrate_xen_read_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                           unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err);
int migrate_xen_write_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                            const void *data, struct gw_error *err);
int migrate_xen_get_readonly(void *ctx, uint32_t domid, uint64_t *gfn,
                             struct stream_range *ret_ranges, unsigned max, unsigned *ret_n,
                             struct gw_error *err);
int migrate_xen_set_readonly(void *ctx, uint32_t domid, const struct stream_range *range,
                             struct gw_error *err);

/* migrate_host_held.c */
int migrate_xen_hold(void *ctx, uint32_t domid, const char *note, struct gw_error *err);
int migrate_xen_held(void *ctx, const char *name, struct migrate_held *ret_held,
                     struct gw_error *err);
int migrate_xen_locate(void *ctx, const uint8_t uuid[16], uint32_t *ret_where,
                       struct gw_error *err);

#endif
