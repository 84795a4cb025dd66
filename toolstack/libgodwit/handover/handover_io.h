/* SPDX-License-Identifier: MIT */
/*
 * Writing to and reading from the other side (or a file) without ever waiting for ever: each call
 * gives up when nothing moves for stall_ms, when the user cancels, or when the other side has
 * something to say instead of listening.
 */
#ifndef HANDOVER_IO_H
#define HANDOVER_IO_H

#include <libgodwit/error.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct handover_io {
    int out_fd;
    int in_fd; /* -1: a file, nobody answers */
    unsigned stall_ms;
    const volatile sig_atomic_t *cancelled; /* NULL: cannot be cancelled */
    /* NULL, or set by another thread: give up. Relaxed: it says nothing but this. */
    const _Atomic bool *given_up;
    const char *peer; /* for messages: "south", or the file's name */
    /* NULL, or set when the connection has ended. Relaxed, as above. */
    _Atomic bool *lost;
    uint32_t refusal; /* what the other side gave as enum gw_exit when it refused; 0: it did not */
};

enum handover_wait {
    HANDOVER_OK = 0,
    HANDOVER_PEER_SPEAKS = 1, /* only from writes: there is input (or its end) to read */
    HANDOVER_ERROR = -1, /* err is filled in; the code is GW_EXIT_MIGRATE_CANCELLED if cancelled */
};

/* Writes all parts; changes iov. */
enum handover_wait handover_io_write(struct handover_io *io, struct iovec *iov, int n,
                                     struct gw_error *err);

/* Reads exactly n bytes. The end of the input is an error. *ret_done (may be NULL): how many came.
 */
int handover_io_read(struct handover_io *io, void *ret_data, size_t n, size_t *ret_done,
                     struct gw_error *err);

/* Waits until something (or the end of the input) can be read. -1: err is filled in. */
int handover_io_wait(struct handover_io *io, struct gw_error *err);

/* Something (or the end of the input) can be read without waiting. */
bool handover_io_has_input(struct handover_io *io);

/* Makes a descriptor of our own non-blocking, as both functions need for pipes and sockets. */
int handover_io_unblock(int fd);

/* A pipe that carries pages holds many of them, if the system allows: each time it is full or empty
 * costs a switch between processes. */
void handover_io_widen(int pipe_fd);

#endif
