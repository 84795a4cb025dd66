/* SPDX-License-Identifier: MIT */
#include "save_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Where to write: beside the file that is meant, so that a link to another disk stays a link, and
 * that disk is used. 0, or -1: the path is too long.
 */
static int choose_path(struct save_file *f, const char *path)
{
    struct stat status;
    bool exists = stat(path, &status) == 0;

    f->renames = !exists || S_ISREG(status.st_mode);
    int n = 0;
    if (!exists || !f->renames || !realpath(path, f->path))
        n = snprintf(f->path, sizeof(f->path), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(f->path))
        return -1;
    n = snprintf(f->written, sizeof(f->written), "%s%s", f->path, f->renames ? ".partial" : "");
    return n < 0 || (size_t)n >= sizeof(f->written) ? -1 : 0;
}

/* Ours alone, and still under its name: the one who had the lock before us may have renamed it. */
static bool is_ours(const struct save_file *f)
{
    struct stat opened, named;

    return flock(f->fd, LOCK_EX | LOCK_NB) == 0 && fstat(f->fd, &opened) == 0 &&
           stat(f->written, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

int save_file_open(struct save_file *f, const char *path, struct gw_error *err)
{
    f->fd = -1;
    if (choose_path(f, path))
        return gw_error_set(err, GW_EXIT_USAGE, "the name of the file is too long");
    int flags = O_WRONLY | O_CLOEXEC | (f->renames ? O_CREAT | O_NOFOLLOW : 0);
    f->fd = open(f->written, flags, 0600); /* a guest's memory is nobody else's business */
    if (f->fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", f->written);
    if (!f->renames)
        return 0;
    if (!is_ours(f))
        gw_error_set(err, GW_EXIT_STATE, "another save is writing %s", f->written);
    else if (ftruncate(f->fd, 0) == 0)
        return 0;
    else {
        gw_error_errno(err, errno, "cannot write %s", f->written);
        save_file_drop(f);
    }
    save_file_close(f);
    return -1;
}

/* The new name itself. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -1 : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int save_file_keep(struct save_file *f, struct gw_error *err)
{
    if (!f->renames)
        return 0;
    if (fsync(f->fd) < 0)
        return gw_error_errno(err, errno, "cannot write %s", f->path);
    if (rename(f->written, f->path) < 0)
        return gw_error_errno(err, errno, "cannot rename %s", f->written);
    if (sync_folder(f->path) < 0)
        return gw_error_errno(err, errno, "cannot write the folder of %s", f->path);
    return 0;
}

void save_file_drop(struct save_file *f)
{
    if (f->fd >= 0 && f->renames)
        unlink(f->written);
}

void save_file_close(struct save_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void save_file_mend(const char *path)
{
    struct save_file f = SAVE_FILE_CLOSED;

    if (choose_path(&f, path) || !f.renames)
        return;
    f.fd = open(f.written, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f.fd >= 0 && is_ours(&f))
        unlink(f.written);
    save_file_close(&f);
}

bool save_file_is_same(const char *path, const char *other)
{
    struct stat a, b;

    return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

bool save_file_replaces(const char *path, const char *other)
{
    struct save_file f = SAVE_FILE_CLOSED;

    return choose_path(&f, path) == 0 &&
           (save_file_is_same(other, f.path) || save_file_is_same(other, f.written));
}
