/* SPDX-License-Identifier: MIT */
/* A dirty log that is left on between two saves: the hypervisor's epoch tells whether it is the
 * same one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "migrate_host_xen.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* A UUID in the usual form, without its dashes. */
static int read_boot_id(uint8_t ret_id[16], struct gw_error *err)
{
    FILE *file = fopen(BOOT_ID, "re");
    unsigned n = 0, byte;

    while (file && n < 16) {
        int c = fgetc(file);
        if (c == '-')
            continue;
        if (c == EOF || ungetc(c, file) == EOF || fscanf(file, "%2x", &byte) != 1)
            break;
        ret_id[n++] = (uint8_t)byte;
    }
    if (file)
        fclose(file);
    return n == 16 ? 0 : gw_error_set(err, GW_EXIT_FAILED, "cannot read " BOOT_ID);
}

int migrate_xen_log_mark(void *ctx, uint32_t domid, struct migrate_log_mark *ret_mark,
                         struct gw_error *err)
{
    struct migrate_xen *x = ctx;

    if (x->log_epoch == 0)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "this hypervisor has no epochs of dirty logs: it is too old for "
                            "--incremental");
    ret_mark->epoch = x->log_epoch;
    ret_mark->domid = domid;
    return read_boot_id(ret_mark->boot_id, err);
}

static int gone(struct gw_error *err, const char *why)
{
    return gw_error_set(err, GW_EXIT_STATE, "%s: take a full save", why);
}

static int check_mark(struct migrate_xen *x, uint32_t domid, const struct migrate_log_mark *mark,
                      struct gw_error *err)
{
    uint8_t boot_id[16];
    uint64_t epoch = 0;

    if (read_boot_id(boot_id, err))
        return -1;
    if (memcmp(boot_id, mark->boot_id, sizeof(boot_id)) != 0)
        return gone(err, "this host was started after that save, or it was made on another host");
    if (domid != mark->domid)
        return gone(err, "the guest was restarted, restored or moved since that save");
    int rc = gw_hv_dirty_epoch(x->hv, domid, &epoch);
    if (rc == -EINVAL)
        return gone(err, "the guest's dirty log was switched off since that save, by another save, "
                         "a migration or `godwit dirty`");
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot look at the dirty log of domain %u", domid);
    if (epoch != mark->epoch)
        return gone(err, "another program has taken pages from the guest's dirty log since that "
                         "save, such as a later save, a migration or `godwit dirty`");
    x->log_epoch = epoch;
    return 0;
}

int migrate_xen_log_claim(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    int rc = 0;

    if (x->owner.claim_fd >= 0)
        return 0;
    if (gw_log_owner_take(&x->owner, domid, "godwit save", err))
        return -1;
    if (gw_log_owner_is_marked(domid)) /* by one that was killed */
        rc = migrate_xen_log_off(x, domid);
    if (rc == 0)
        return 0;
    gw_log_owner_release(&x->owner);
    return gw_error_errno(err, rc, "cannot switch off the dirty log that was left on in domain %u",
                          domid);
}

int migrate_xen_log_is_free(void *ctx, uint32_t domid, struct gw_error *err)
{
    return gw_log_owner_is_free(domid, err) ? 0 : -1;
}

int migrate_xen_log_resume(void *ctx, uint32_t domid, const struct migrate_log_mark *mark,
                           struct gw_error *err)
{
    struct migrate_xen *x = ctx;

    if (migrate_xen_log_claim(ctx, domid, err))
        return -1;
    if (check_mark(x, domid, mark, err) == 0 && gw_log_owner_mark(&x->owner, err) == 0)
        return 0;
    gw_log_owner_release(&x->owner);
    return -1;
}
