/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/registry.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_FOR_WEAK_MS 10000u
#define WAIT_STEP_MS     50u

#define CLAIM_SUFFIX ".claim" /* locked by a strong owner */

static void path_of(uint32_t domid, const char *suffix, char *ret_path, size_t bytes)
{
    snprintf(ret_path, bytes, "%s/%u%s", gw_registry_dir(), domid, suffix);
}

static int open_file(uint32_t domid, const char *suffix, struct gw_error *err)
{
    char path[PATH_MAX];
    int fd;

    if (gw_registry_init(err) < 0)
        return -1;
    path_of(domid, suffix, path, sizeof(path));
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        gw_error_errno(err, errno, "cannot open %s", path);
    return fd;
}

/* Locks of the open file description: they end with it, and can be queried without taking them. */
static bool try_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static void write_owner(int fd, const char *who)
{
    /* Only for messages: an owner whose name cannot be written still owns the log. */
    if (ftruncate(fd, 0) == 0)
        dprintf(fd, "%s (process %d)", who, (int)getpid());
}

static void read_owner(int fd, char *ret_who, size_t bytes)
{
    ssize_t n = pread(fd, ret_who, bytes - 1, 0);

    ret_who[n > 0 ? n : 0] = '\0';
    if (n <= 0)
        snprintf(ret_who, bytes, "another process");
}

static int refuse(int fd, uint32_t domid, struct gw_error *err)
{
    char who[128];

    read_owner(fd, who, sizeof(who));
    return gw_error_set(err, GW_EXIT_STATE,
                        "the dirty log of domain %u is in use by %s: wait until it has ended",
                        domid, who);
}

int gw_log_owner_take(struct gw_log_owner *ret_owner, uint32_t domid, const char *who,
                      struct gw_error *err)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
    struct gw_log_owner owner = {.claim_fd = -1, .log_fd = -1, .domid = domid};
    unsigned waited_ms = 0;

    owner.claim_fd = open_file(domid, CLAIM_SUFFIX, err);
    if (owner.claim_fd < 0)
        return -1;
    if (!try_lock(owner.claim_fd)) {
        refuse(owner.claim_fd, domid, err);
        close(owner.claim_fd); /* not release(): the lock is not ours */
        return -1;
    }
    write_owner(owner.claim_fd, who);
    owner.log_fd = open_file(domid, GW_LOG_SUFFIX, err);
    while (owner.log_fd >= 0 && !try_lock(owner.log_fd)) {
        if (waited_ms >= WAIT_FOR_WEAK_MS) {
            refuse(owner.log_fd, domid, err);
            close(owner.log_fd);
            owner.log_fd = -1;
            break;
        }
        nanosleep(&step, NULL);
        waited_ms += WAIT_STEP_MS;
    }
    if (owner.log_fd < 0) {
        gw_log_owner_release(&owner);
        return -1;
    }
    write_owner(owner.log_fd, who);
    *ret_owner = owner;
    return 0;
}

static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool gw_log_owner_wanted(uint32_t domid)
{
    struct gw_error ignored;
    int fd = open_file(domid, CLAIM_SUFFIX, &ignored);
    bool wanted;

    if (fd < 0)
        return false;
    wanted = is_locked(fd);
    close(fd);
    return wanted;
}

bool gw_log_owner_is_free(uint32_t domid, struct gw_error *err)
{
    char path[PATH_MAX];
    bool locked;
    int fd;

    path_of(domid, CLAIM_SUFFIX, path, sizeof(path));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* nobody ever had it */
        return true;
    if (fd < 0) {
        gw_error_errno(err, errno, "cannot open %s", path);
        return false;
    }
    locked = is_locked(fd);
    if (locked)
        refuse(fd, domid, err);
    close(fd);
    return !locked;
}

int gw_log_owner_try(struct gw_log_owner *ret_owner, uint32_t domid, const char *who,
                     struct gw_error *err)
{
    struct gw_log_owner owner = {.claim_fd = -1, .log_fd = -1, .domid = domid};

    if (gw_log_owner_wanted(domid))
        return 0;
    owner.log_fd = open_file(domid, GW_LOG_SUFFIX, err);
    if (owner.log_fd < 0)
        return -1;
    if (!try_lock(owner.log_fd)) {
        close(owner.log_fd);
        return 0;
    }
    write_owner(owner.log_fd, who);
    *ret_owner = owner;
    return 1;
}

void gw_log_owner_release(struct gw_log_owner *owner)
{
    /* Closing unlocks. The log goes first: who sees the claim free may take the log. */
    if (owner->log_fd >= 0)
        close(owner->log_fd);
    if (owner->claim_fd >= 0)
        close(owner->claim_fd);
    *owner = GW_LOG_OWNER_NONE;
}

int gw_log_owner_mark(const struct gw_log_owner *owner, struct gw_error *err)
{
    int fd = open_file(owner->domid, GW_LOG_MARK_SUFFIX, err);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

void gw_log_owner_unmark(const struct gw_log_owner *owner)
{
    char path[PATH_MAX];

    path_of(owner->domid, GW_LOG_MARK_SUFFIX, path, sizeof(path));
    unlink(path);
}

bool gw_log_owner_is_marked(uint32_t domid)
{
    char path[PATH_MAX];

    path_of(domid, GW_LOG_MARK_SUFFIX, path, sizeof(path));
    return access(path, F_OK) == 0;
}
