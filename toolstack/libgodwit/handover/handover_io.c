/* SPDX-License-Identifier: MIT */
#include "handover_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define PIPE_BYTES (256 << 10) /* more would only be one more place where pages wait */
#define SLICE_MS   100 /* a signal between the test and the poll waits no longer than this */

int handover_io_unblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -1 : 0;
}

void handover_io_widen(int pipe_fd)
{
    (void)fcntl(pipe_fd, F_SETPIPE_SZ, PIPE_BYTES); /* else it works as it is */
}

bool handover_io_has_input(struct handover_io *io)
{
    struct pollfd fd = {.fd = io->in_fd, .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

static bool is_cancelled(const struct handover_io *io)
{
    return io->cancelled && *io->cancelled;
}

/*
 * Waits until fds[0] is ready or fds[1] (if n is 2) has input. A regular file is always ready.
 * Returns -1 with err filled in when cancelled or stalled.
 */
static int wait_ready(struct handover_io *io, struct pollfd *fds, nfds_t n, struct gw_error *err)
{
    for (unsigned waited_ms = 0;; waited_ms += SLICE_MS) {
        if (is_cancelled(io))
            return gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
        if (io->given_up && atomic_load_explicit(io->given_up, memory_order_relaxed))
            return gw_error_set(err, GW_EXIT_FAILED, "another connection to %s failed", io->peer);
        int ready = poll(fds, n, SLICE_MS);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return gw_error_errno(err, errno, "cannot wait for %s", io->peer);
        if (waited_ms >= io->stall_ms)
            return gw_error_set(err, GW_EXIT_TIMEOUT, "%s did not answer for %u s", io->peer,
                                (io->stall_ms + 999) / 1000);
    }
}

int handover_io_wait(struct handover_io *io, struct gw_error *err)
{
    struct pollfd fd = {.fd = io->in_fd, .events = POLLIN};

    return wait_ready(io, &fd, 1, err);
}

static void note_loss(struct handover_io *io)
{
    if (io->lost)
        atomic_store_explicit(io->lost, true, memory_order_relaxed);
}

/* Drops the first n bytes of the parts. */
static void advance(struct iovec **iov, int *n, size_t bytes)
{
    while (*n > 0 && bytes >= (*iov)->iov_len) {
        bytes -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
        (*iov)->iov_len -= bytes;
    }
}

enum handover_wait handover_io_write(struct handover_io *io, struct iovec *iov, int n,
                                     struct gw_error *err)
{
    struct pollfd fds[2] = {{.fd = io->out_fd, .events = POLLOUT},
                            {.fd = io->in_fd, .events = POLLIN}};

    advance(&iov, &n, 0);
    while (n > 0) {
        if (wait_ready(io, fds, io->in_fd < 0 ? 1 : 2, err))
            return HANDOVER_ERROR;
        if (io->in_fd >= 0 && fds[1].revents)
            return HANDOVER_PEER_SPEAKS;
        ssize_t done = writev(io->out_fd, iov, n);
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (done < 0) {
            gw_error_errno(err, errno, "cannot write to %s", io->peer);
            note_loss(io);
            return HANDOVER_ERROR;
        }
        advance(&iov, &n, (size_t)done);
    }
    return HANDOVER_OK;
}

int handover_io_read(struct handover_io *io, void *ret_data, size_t n, size_t *ret_done,
                     struct gw_error *err)
{
    struct pollfd fd = {.fd = io->in_fd, .events = POLLIN};
    size_t unused;

    if (!ret_done)
        ret_done = &unused;
    for (*ret_done = 0; *ret_done < n;) {
        if (wait_ready(io, &fd, 1, err))
            return -1;
        ssize_t got = read(io->in_fd, (char *)ret_data + *ret_done, n - *ret_done);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            return gw_error_errno(err, errno, "cannot read from %s", io->peer);
        if (got == 0) {
            note_loss(io);
            return gw_error_set(err, GW_EXIT_FAILED, "the connection to %s ended", io->peer);
        }
        *ret_done += (size_t)got;
    }
    return 0;
}
