/* SPDX-License-Identifier: MIT */
/* The linker sends every call of NAME in the code under test to __wrap_NAME. */
#include "faults.h"

#include "migrate/migrate_step.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

struct faults *faults;
enum fault_side faults_side = FAULT_SIDES;
struct fake_world *faults_world;
unsigned faults_host;

/* In this process, from the step of the plan on. */
static _Atomic bool cut_next_write, fail_writes;

void *__real_mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset);

struct faults *faults_make(const char *dir)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/faults", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct faults)))
        return NULL;
    void *page =
        __real_mmap64(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

/* --- allocations --------------------------------------------------------------------------------
 */

static bool allocation_fails(void)
{
    if (!faults || faults_side == FAULT_SIDES)
        return false;
    unsigned n = 1 + atomic_fetch_add(&faults->allocations[faults_side], 1);
    if (n != faults->fail_allocation[faults_side])
        return false;
    faults->happened = true;
    errno = ENOMEM;
    return true;
}

#define WRAP_POINTER(name, declaration, call)                                                      \
    void *__real_##name declaration;                                                               \
    void *__wrap_##name declaration;                                                               \
    void *__wrap_##name declaration                                                                \
    {                                                                                              \
        return allocation_fails() ? NULL : __real_##name call;                                     \
    }

WRAP_POINTER(malloc, (size_t n), (n))
WRAP_POINTER(calloc, (size_t count, size_t n), (count, n))
WRAP_POINTER(realloc, (void *old, size_t n), (old, n))
WRAP_POINTER(strdup, (const char *text), (text))
WRAP_POINTER(strndup, (const char *text, size_t n), (text, n))
WRAP_POINTER(ZSTD_createCCtx, (void), ())
WRAP_POINTER(ZSTD_createDCtx, (void), ())

#define WRAP_NUMBER(type, failure, name, declaration, call)                                        \
    type __real_##name declaration;                                                                \
    type __wrap_##name declaration;                                                                \
    type __wrap_##name declaration                                                                 \
    {                                                                                              \
        return allocation_fails() ? (failure) : __real_##name call;                                \
    }

WRAP_NUMBER(pid_t, -1, fork, (void), ())
WRAP_NUMBER(int, -1, pipe2, (int *fds, int flags), (fds, flags))
WRAP_NUMBER(int, ENOMEM, pthread_create,
            (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
            (thread, attributes, run, arg))

void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return allocation_fails() ? MAP_FAILED : __real_mmap64(at, n, protection, flags, fd, offset);
}

/* --- writes --------------------------------------------------------------------------------------
 */

static bool is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* A call that a full disk may refuse, at the source: a parser may not ask what a descriptor is. */
static bool disk_is_full(int fd)
{
    if (!faults || faults_side != FAULT_SOURCE || !faults->count_writes || !is_file(fd))
        return false;
    unsigned n = 1 + atomic_fetch_add(&faults->writes, 1);
    if (faults->fail_write == 0 || n < faults->fail_write)
        return false;
    faults->happened = true;
    errno = ENOSPC;
    return true;
}

static uint32_t next_random(void)
{
    static _Atomic uint32_t state = 1;

    return atomic_fetch_add(&state, 2654435761u) >> 7;
}

/* How many of n > 0 bytes a write may carry; 0: it fails. */
static size_t room_for(size_t n)
{
    if (!faults || faults_side == FAULT_SIDES)
        return n;
    if (fail_writes) {
        errno = EIO;
        return 0;
    }
    if (atomic_exchange(&cut_next_write, false)) {
        fail_writes = true;
        faults->happened = true;
        return 1 + n / 2 < n ? 1 + n / 2 : 1;
    }
    return faults->short_writes ? 1 + next_random() % n : n;
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    if (disk_is_full(fd))
        return -1;
    size_t room = n ? room_for(n) : 0;
    return room || n == 0 ? __real_write(fd, data, room) : -1;
}

ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
    size_t bytes = 0;

    if (disk_is_full(fd))
        return -1;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    size_t room = bytes ? room_for(bytes) : 0;
    if (room == bytes)
        return __real_writev(fd, iov, n);
    if (room == 0)
        return -1;
    return __real_write(fd, iov->iov_base, room < iov->iov_len ? room : iov->iov_len);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return disk_is_full(fd) ? -1 : __real_fsync(fd);
}

int __real_ftruncate64(int fd, off64_t length);
int __wrap_ftruncate64(int fd, off64_t length);
int __wrap_ftruncate64(int fd, off64_t length)
{
    return disk_is_full(fd) ? -1 : __real_ftruncate64(fd, length);
}

/* --- time ----------------------------------------------------------------------------------------
 */

static bool hurries(void)
{
    return faults && faults_side != FAULT_SIDES && faults->hurry;
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    return __real_poll(fds, n, timeout_ms > 1 && hurries() ? 1 : timeout_ms);
}

int __real_nanosleep(const struct timespec *time, struct timespec *ret_left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left)
{
    const struct timespec moment = {.tv_nsec = 200000};

    return __real_nanosleep(hurries() ? &moment : time, ret_left);
}

/* --- steps ---------------------------------------------------------------------------------------
 */

static void strike_guest(void)
{
    struct fake_host *host = &faults_world->hosts[faults_host];
    struct fake_guest *guest = fake_guest_find(host, "web");

    if (!guest)
        guest = fake_guest_find(host, "web--incoming");
    if (!guest)
        return;
    faults->happened = true;
    if (faults->kind == FAULT_TAKE_NAME) {
        fake_guest_add(host, "web")->config.uuid[0] = 'X';
        return;
    }
    if (faults->kind == FAULT_SHUT_DOWN) {
        guest->shut_down = true;
        return;
    }
    fake_guest_remove(host, guest);
    if (faults->kind == FAULT_RESTART)
        fake_guest_add(host, "web");
}

int __real_migrate_step(const char *step, struct gw_error *err);
int __wrap_migrate_step(const char *step, struct gw_error *err);
int __wrap_migrate_step(const char *step, struct gw_error *err)
{
    if (faults && faults_side != FAULT_SIDES && !faults->happened && !strcmp(step, faults->step)) {
        if (faults->kind == FAULT_CUT_WRITE)
            cut_next_write = true;
        else
            strike_guest();
    }
    return __real_migrate_step(step, err);
}
