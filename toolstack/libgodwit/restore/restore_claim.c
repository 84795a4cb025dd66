/* SPDX-License-Identifier: MIT */
#include "restore_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <libgodwit/registry.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int open_claim(const char *incoming_name, int flags)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s" GW_CLAIM_SUFFIX, gw_registry_dir(), incoming_name);
    return open(path, flags | O_CLOEXEC, 0600);
}

int restore_claim_take(const char *incoming_name, struct gw_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd;

    if (gw_registry_init(err) < 0)
        return -1;
    fd = open_claim(incoming_name, O_RDWR | O_CREAT);
    if (fd < 0)
        return gw_error_errno(err, errno, "cannot claim %s", incoming_name);
    /* Of the open file description: a fork for a child without descriptors does not matter. */
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    close(fd);
    return gw_error_set(err, GW_EXIT_STATE, "%s is being built by another process", incoming_name);
}

static bool is_claimed(const char *incoming_name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_claim(incoming_name, O_RDONLY);
    bool claimed;

    if (fd < 0)
        return errno != ENOENT;
    claimed = fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    close(fd);
    return claimed;
}

bool gw_incoming_is_abandoned(const char *incoming_name, uint32_t domid)
{
    struct gw_record record;
    struct gw_error unused;
    bool same;

    if (is_claimed(incoming_name))
        return false;
    /* Only now: who has finished the guest named it anew before it let go of the claim. */
    if (gw_registry_find(incoming_name, &record, &unused) < 0)
        return false;
    same = record.domid == domid;
    gw_record_free(&record);
    return same;
}
