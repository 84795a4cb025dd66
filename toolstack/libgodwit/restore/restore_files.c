/* SPDX-License-Identifier: MIT */
#include "restore_files.h"

#include "stream/stream_parser.h"
#include "stream/stream_view.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STALL_MS 60000

/* Puts path at place i; those from there on move up. Takes over the memory of path. */
static int insert(struct restore_files *files, unsigned i, char *path, struct gw_error *err)
{
    int fd;

    if (!path)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (files->n == STREAM_CHAIN_MAX) {
        free(path);
        return gw_error_set(err, GW_EXIT_USAGE, "a chain has at most %u files", STREAM_CHAIN_MAX);
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        gw_error_errno(err, errno, "cannot open %s", path);
        free(path);
        return -1;
    }
    memmove(files->paths + i + 1, files->paths + i, (files->n - i) * sizeof(files->paths[0]));
    memmove(files->fds + i + 1, files->fds + i, (files->n - i) * sizeof(files->fds[0]));
    files->paths[i] = path;
    files->fds[i] = fd;
    files->n++;
    return 0;
}

static bool is_regular(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* 1: *ret_base is what the stream in this file is based on. 0: it is a full save. */
static int read_base(int fd, const char *path, const volatile sig_atomic_t *cancelled,
                     struct stream_base *ret_base, struct gw_error *err)
{
    struct stream_parser parser = {0};
    struct stream_record record = {.type = STREAM_HOST};
    const char *why;
    int rc = stream_parser_start(&parser, fd, path, STALL_MS, cancelled, err);

    while (rc == 0 && record.type != STREAM_BASE && record.type != STREAM_STATIC_DATA_END)
        rc = stream_parser_next(&parser, &record, err);
    if (rc == 0 && record.type == STREAM_BASE)
        rc = stream_view_base(record.body, record.length, ret_base, &why)
                 ? gw_error_set(err, GW_EXIT_CONFIG, "%s: %s", path, why)
                 : 1;
    stream_parser_stop(&parser);
    if (rc >= 0 && lseek(fd, 0, SEEK_SET) < 0)
        return gw_error_errno(err, errno, "cannot read %s", path);
    return rc;
}

/* The base's name, in the folder of the file that names it. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    char *joined;

    if (asprintf(&joined, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name) < 0)
        return NULL;
    return joined;
}

/* The first file may be based on others: puts those before it. */
static int follow(struct restore_files *files, const volatile sig_atomic_t *cancelled,
                  struct gw_error *err)
{
    struct stream_base base;
    int rc = 1;

    while (rc > 0 && is_regular(files->fds[0])) {
        rc = read_base(files->fds[0], files->paths[0], cancelled, &base, err);
        if (rc > 0 && insert(files, 0, beside(files->paths[0], base.name), err)) {
            gw_error_prefix(err,
                            "%.200s is an incremental save and needs %s, or all files of the chain "
                            "named, the oldest first",
                            files->paths[0], base.name);
            return -1;
        }
    }
    return rc < 0 ? -1 : 0;
}

int restore_files_open(struct restore_files *files, const struct gw_restore_options *options,
                       const volatile sig_atomic_t *cancelled, struct gw_error *err)
{
    files->n = 0;
    if (insert(files, 0, strdup(options->path), err))
        return -1;
    for (unsigned i = 0; i < options->more_n; i++)
        if (insert(files, files->n, strdup(options->more[i]), err))
            return -1;
    return options->more_n ? 0 : follow(files, cancelled, err);
}

void restore_files_close(struct restore_files *files)
{
    for (unsigned i = 0; i < files->n; i++) {
        close(files->fds[i]);
        free(files->paths[i]);
    }
    files->n = 0;
}
