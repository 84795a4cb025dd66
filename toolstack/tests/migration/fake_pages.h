/* SPDX-License-Identifier: MIT */
/* Between the files of the fake host. */
#ifndef FAKE_PAGES_H
#define FAKE_PAGES_H

#include "fake_host.h"

/* NULL: err says why; the call may be one that fails. */
struct fake_guest *fake_by_domid(struct fake_host *host, uint32_t domid, struct gw_error *err);

int fake_no_page(struct fake_host *host, struct gw_error *err);
uint8_t *fake_page_at(struct fake_guest *guest, uint64_t gfn);
int fake_read_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                    unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err);
int fake_write_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, const void *data,
                     struct gw_error *err);

#endif
