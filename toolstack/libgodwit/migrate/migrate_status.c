/* SPDX-License-Identifier: MIT */
#include "migrate_status.h"

#include <errno.h>
#include <fcntl.h>
#include <libgodwit/registry.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "migrations"

/* The folder's descriptor, or -1. */
static int open_folder(bool make, struct gw_error *err)
{
    char path[PATH_MAX];
    int fd;

    if (make && gw_registry_init(err))
        return -1;
    snprintf(path, sizeof(path), "%s/" FOLDER, gw_registry_dir());
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return gw_error_errno(err, errno, "cannot make %s", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? gw_error_errno(err, errno, "cannot open %s", path) : fd;
}

/* The name of a file of the guest's. A guest's name has no slash: what has one is nobody's. */
static int file_name(const char *name, const char *suffix, char ret_file[NAME_MAX + 1],
                     struct gw_error *err)
{
    int n = snprintf(ret_file, NAME_MAX + 1, "%s%s", name, suffix);

    if (strchr(name, '/') || *name == '.' || !*name || n > NAME_MAX)
        return gw_error_set(err, GW_EXIT_NO_GUEST, "'%s' is not the name of a guest", name);
    return 0;
}

static int open_file(const char *name, const char *suffix, int flags, struct gw_error *err)
{
    char file[NAME_MAX + 1];
    int folder, fd;

    if (file_name(name, suffix, file, err) || (folder = open_folder(flags & O_CREAT, err)) < 0)
        return -1;
    fd = openat(folder, file, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        gw_error_errno(err, errno, "cannot open %s/" FOLDER "/%s", gw_registry_dir(), file);
    close(folder);
    return fd;
}

int migrate_status_lock(const char *name, struct gw_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_file(name, ".lock", O_RDWR | O_CREAT, err);

    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    close(fd);
    return gw_error_set(err, GW_EXIT_STATE,
                        "%s is being migrated already: see godwit migrate-status %s", name, name);
}

bool migrate_status_is_locked(const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct gw_error unused = {0};
    int fd = open_file(name, ".lock", O_RDWR, &unused);
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

    if (fd >= 0)
        close(fd);
    return locked;
}

/* Whole, or not at all: a full disk leaves the old file. */
static int write_text(int folder, const char *file, const char *text)
{
    char temporary[NAME_MAX + 1];
    size_t left = strlen(text);
    ssize_t done = 0;

    if (snprintf(temporary, sizeof(temporary), "%s.new", file) > NAME_MAX)
        return -ENAMETOOLONG;
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    for (; left > 0 && (done = write(fd, text, left)) >= 0; text += done)
        left -= (size_t)done;
    int rc = done < 0 ? -errno : 0;
    close(fd);
    if (rc == 0 && renameat(folder, temporary, folder, file) < 0)
        rc = -errno;
    if (rc)
        unlinkat(folder, temporary, 0);
    return rc;
}

int migrate_status_write(const char *name, struct json_object *status, struct gw_error *err)
{
    const char *text = json_object_to_json_string_ext(status, JSON_C_TO_STRING_PRETTY);
    char file[NAME_MAX + 1];
    int folder, rc;

    if (!text)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (file_name(name, ".json", file, err) || (folder = open_folder(true, err)) < 0)
        return -1;
    rc = write_text(folder, file, text);
    close(folder);
    return rc ? gw_error_errno(err, rc, "cannot write %s/" FOLDER "/%s", gw_registry_dir(), file)
              : 0;
}

int migrate_status_read(const char *name, struct json_object **ret_status, struct gw_error *err)
{
    int fd = open_file(name, ".json", O_RDONLY, err);
    struct json_object *status;

    if (fd < 0 && (err->code == GW_EXIT_NO_GUEST || err->code == GW_EXIT_DENIED))
        return -1;
    if (fd < 0)
        return gw_error_set(err, GW_EXIT_STATE,
                            "no migration of '%s' is known here; see godwit list", name);
    status = json_object_from_fd(fd);
    close(fd);
    if (!status || !json_object_is_type(status, json_type_object)) {
        json_object_put(status);
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%s/" FOLDER "/%s.json is damaged: see godwit list for where the guest "
                            "is; its next migration replaces the file",
                            gw_registry_dir(), name);
    }
    *ret_status = status;
    return 0;
}

static bool says(struct json_object *status, const char *key, const char *value)
{
    struct json_object *found = json_object_object_get(status, key);

    return found && !strcmp(json_object_get_string(found), value);
}

void migrate_status_bury(struct json_object *status, const struct gw_error *error)
{
    bool unknown = error->code == GW_EXIT_MIGRATE_UNKNOWN;

    if (!says(status, "result", "active"))
        return;
    json_object_object_add(status, "runs_at",
                           json_object_new_string(unknown ? "unknown" : "source"));
    json_object_object_add(status, "result",
                           json_object_new_string(unknown ? "unknown" : "failed"));
    json_object_object_add(status, "exit", json_object_new_int(error->code));
    json_object_object_add(status, "error", json_object_new_string(error->message));
}

int migrate_status_at_socket(int fd, const char *name,
                             int (*call)(int fd, const struct sockaddr *address, socklen_t bytes))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char file[NAME_MAX + 1];
    struct gw_error unused = {0};
    int folder, n, rc, error;

    if (file_name(name, ".socket", file, &unused) || (folder = open_folder(false, &unused)) < 0) {
        errno = ENOENT;
        return -1;
    }
    /* By way of the descriptor: a socket's path has 107 bytes at most. */
    n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder, file);
    errno = ENAMETOOLONG;
    rc = n < (int)sizeof(address.sun_path) ? call(fd, (struct sockaddr *)&address, sizeof(address))
                                           : -1;
    error = errno;
    close(folder);
    errno = error;
    return rc;
}

void migrate_status_remove_socket(const char *name)
{
    struct gw_error unused = {0};
    char file[NAME_MAX + 1];
    int folder;

    if (file_name(name, ".socket", file, &unused) || (folder = open_folder(false, &unused)) < 0)
        return;
    unlinkat(folder, file, 0);
    close(folder);
}
