/* SPDX-License-Identifier: MIT */
/*
 * Each page of a guest that is mapped takes the place of one of the control domain's own pages.
 * Without a reserve, Linux gives such pages up and takes them back one hypercall at a time, and
 * between two mappings its balloon believes that memory is missing and tries to plug some in. A
 * target below what it has makes it hold a pool of given-up pages, from which mappings are served.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

/* Enough for several windows of GW_HV_WINDOW_PAGES at the same time. */
#define RESERVE_KIB   32768u
/* A small control domain gives a part only. */
#define RESERVE_SHARE 16u

static int read_kib(const char *path, uint64_t *ret_kib)
{
    FILE *f = fopen(path, "re");
    int n;

    if (!f)
        return -1;
    n = fscanf(f, "%" SCNu64, ret_kib);
    fclose(f);
    return n == 1 ? 0 : -1;
}

/* The target is lowered once: a daemon that is started again must not lower it further. */
static bool mark_reserved(void)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/mapping-reserve", gw_registry_dir());
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

void reserve_mappings(const char *target_path)
{
    uint64_t target, reserve;
    FILE *f;

    if (read_kib(target_path, &target) < 0 || !mark_reserved())
        return;
    reserve = target / RESERVE_SHARE < RESERVE_KIB ? target / RESERVE_SHARE : RESERVE_KIB;
    f = fopen(target_path, "we");
    if (f)
        fprintf(f, "%" PRIu64 "\n", target - reserve);
    if (!f || fclose(f) != 0)
        daemon_say("cannot put memory aside for mappings: %s", strerror(errno));
    else
        daemon_say("%" PRIu64 " KiB are put aside for mapping guests' memory", reserve);
}
