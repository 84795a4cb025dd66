/* SPDX-License-Identifier: MIT */
#include "transport_pump.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES ((size_t)256 << 10)
#define PIECE_BYTES ((size_t)64 << 10)
#define LINGER_MS   2000 /* for the other side to take our last words */
#define SLICE_MS    500  /* limits are looked at so often */

enum { SOCKET, IN, OUT, SOURCES };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int transport_pump_make(struct transport_pump *pump)
{
    struct transport_queue *queues[] = {&pump->wire.in, &pump->wire.out, &pump->to_seal,
                                        &pump->opened};

    for (unsigned i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        if (transport_queue_make(queues[i], QUEUE_BYTES))
            return -1;
    return 0;
}

/* The first reason counts. What was already received is handed on, nothing more is sent. */
static void fail(struct transport_pump *p, const struct gw_error *why)
{
    if (!p->failed)
        *p->err = *why;
    p->failed = true;
    if (p->alone_ms == 0)
        p->alone_ms = now_ms();
}

static void deafen(struct transport_pump *p)
{
    if (p->out_fd >= 0)
        close(p->out_fd);
    p->out_fd = -1;
}

/* --- between the queues ---------------------------------------------------------------------- */

static void greet(struct transport_pump *p)
{
    struct gw_error why = {0};
    int rc = p->codec.greet(p->codec.ctx, &why);

    if (rc < 0)
        fail(p, &why);
    if (rc <= 0)
        return;
    p->greeted = true;
    snprintf(p->who, TRANSPORT_WHO_BYTES, "%s", p->codec.who(p->codec.ctx));
    if (p->ready_fd >= 0) {
        if (write(p->ready_fd, "", 1) != 1)
            deafen(p); /* nobody waits any more: the pipes have ended, too */
        close(p->ready_fd);
        p->ready_fd = -1;
    }
}

static void move(struct transport_pump *p)
{
    struct gw_error why = {0};

    if (!p->finished && p->codec.seal(p->codec.ctx, &p->to_seal, &why))
        fail(p, &why);
    if (!p->finished && p->in_ended && transport_queue_used(&p->to_seal) == 0) {
        p->codec.finish(p->codec.ctx);
        p->finished = true;
    }
    if (!p->peer_done && p->codec.open(p->codec.ctx, &p->opened, &p->peer_done, &why)) {
        p->peer_done = true;
        if (!p->finished) /* else it left without a word, which is fine after ours */
            fail(p, &why);
    }
    if (p->out_fd < 0)
        transport_queue_drop(&p->opened, transport_queue_used(&p->opened));
    if (p->peer_done && p->alone_ms == 0)
        p->alone_ms = now_ms();
    if (p->peer_done && transport_queue_used(&p->opened) == 0)
        deafen(p);
}

/* --- descriptors ----------------------------------------------------------------------------- */

static bool may_wait(ssize_t rc)
{
    return rc < 0 && (errno == EAGAIN || errno == EINTR);
}

static void cut(struct transport_pump *p, int error)
{
    struct gw_error why = {0};

    gw_error_set(&why, GW_EXIT_FAILED, "the connection to %s was cut: %s", p->peer,
                 strerror(error));
    p->wire.in_ended = true;
    fail(p, &why);
}

/* How much to read: all that fits behind what is there, or a piece for which that must be moved. */
static size_t read_size(const struct transport_queue *queue)
{
    size_t room = transport_queue_room(queue), behind = queue->capacity - queue->end;

    if (behind >= PIECE_BYTES)
        return behind;
    return room < PIECE_BYTES ? room : PIECE_BYTES;
}

static void read_socket(struct transport_pump *p)
{
    size_t n = read_size(&p->wire.in);
    ssize_t got = recv(p->socket, transport_queue_back(&p->wire.in, n), n, 0);

    if (got > 0)
        transport_queue_grow(&p->wire.in, (size_t)got);
    else if (got == 0)
        p->wire.in_ended = true;
    else if (!may_wait(got))
        cut(p, errno);
}

/* A side that goes away may have said why before: that is taken first. */
static void take_last_words(struct transport_pump *p)
{
    size_t before;

    do {
        before = transport_queue_used(&p->wire.in);
        if (!p->wire.in_ended && transport_queue_room(&p->wire.in) > 0)
            read_socket(p);
    } while (transport_queue_used(&p->wire.in) > before);
}

static void write_socket(struct transport_pump *p)
{
    struct transport_queue *out = &p->wire.out;
    ssize_t done =
        send(p->socket, transport_queue_front(out), transport_queue_used(out), MSG_NOSIGNAL);

    if (done > 0) {
        transport_queue_drop(out, (size_t)done);
        p->moved_ms = now_ms();
    } else if (!may_wait(done)) {
        int error = errno;

        transport_queue_drop(out, transport_queue_used(out));
        take_last_words(p);
        cut(p, error);
    }
}

static void read_in(struct transport_pump *p)
{
    size_t n = read_size(&p->to_seal);
    ssize_t got = read(p->in_fd, transport_queue_back(&p->to_seal, n), n);

    if (got > 0)
        transport_queue_grow(&p->to_seal, (size_t)got);
    else if (!may_wait(got))
        p->in_ended = true;
}

static void write_out(struct transport_pump *p)
{
    ssize_t done =
        write(p->out_fd, transport_queue_front(&p->opened), transport_queue_used(&p->opened));

    if (done > 0) {
        transport_queue_drop(&p->opened, (size_t)done);
        p->taken_ms = now_ms();
    } else if (!may_wait(done)) {
        deafen(p);
    }
}

/* Descriptors that nothing is wanted of are left out: they would report their end for ever. */
static void choose(const struct transport_pump *p, struct pollfd fds[SOURCES])
{
    short socket_events = 0;

    if (!p->wire.in_ended && transport_queue_room(&p->wire.in) > 0)
        socket_events |= POLLIN;
    if (transport_queue_used(&p->wire.out) > 0)
        socket_events |= POLLOUT;
    if (p->alone_ms == 0)
        socket_events |= POLLRDHUP; /* also while our side takes nothing */
    fds[SOCKET] = (struct pollfd){.fd = socket_events ? p->socket : -1, .events = socket_events};
    fds[IN] = (struct pollfd){.fd = p->greeted && !p->failed && !p->in_ended &&
                                            transport_queue_room(&p->to_seal) > 0
                                        ? p->in_fd
                                        : -1,
                              .events = POLLIN};
    fds[OUT] = (struct pollfd){.fd = transport_queue_used(&p->opened) > 0 ? p->out_fd : -1,
                               .events = POLLOUT};
}

static void wait_and_transfer(struct transport_pump *p, int64_t most_ms)
{
    struct timespec limit = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * 1000000};
    struct pollfd fds[SOURCES];

    choose(p, fds);
    if (ppoll(fds, SOURCES, &limit, NULL) <= 0)
        return;
    if (fds[SOCKET].revents && (fds[SOCKET].events & POLLOUT))
        write_socket(p);
    if (fds[SOCKET].revents && (fds[SOCKET].events & POLLIN))
        read_socket(p);
    if ((fds[SOCKET].revents & (POLLRDHUP | POLLHUP | POLLERR)) && p->alone_ms == 0)
        p->alone_ms = now_ms();
    if (fds[IN].revents)
        read_in(p);
    if (fds[OUT].revents)
        write_out(p);
}

/* --- limits and the end ---------------------------------------------------------------------- */

static void check_limits(struct transport_pump *p, int64_t began_ms)
{
    struct gw_error why = {0};
    int64_t now = now_ms();

    if (transport_queue_used(&p->wire.out) == 0)
        p->moved_ms = now;
    if (transport_queue_used(&p->opened) == 0)
        p->taken_ms = now;
    if (!p->greeted && now - began_ms > p->greet_ms)
        gw_error_set(&why, GW_EXIT_TIMEOUT, "%s did not show who it is within %u s", p->peer,
                     (p->greet_ms + 999) / 1000);
    else if (now - p->moved_ms > p->stall_ms)
        gw_error_set(&why, GW_EXIT_TIMEOUT, "%s took nothing for %u s", p->peer,
                     (p->stall_ms + 999) / 1000);
    else if (now - p->taken_ms > p->stall_ms)
        gw_error_set(&why, GW_EXIT_TIMEOUT, "nobody here took what %s sent for %u s", p->peer,
                     (p->stall_ms + 999) / 1000);
    if (why.code)
        fail(p, &why);
}

/* Everything has been sent: says so to the socket, once. */
static void close_output(struct transport_pump *p)
{
    if (p->linger_ms == 0 && p->finished && transport_queue_used(&p->wire.out) == 0) {
        shutdown(p->socket, SHUT_WR);
        p->linger_ms = now_ms();
    }
}

static bool is_over(const struct transport_pump *p)
{
    int64_t now = now_ms();

    if (p->alone_ms && now - p->alone_ms > LINGER_MS)
        return true; /* our side has had the time to take what came, and to end: it hangs */
    if (p->failed)
        return p->out_fd < 0 || transport_queue_used(&p->opened) == 0;
    return p->linger_ms && (p->peer_done || now - p->linger_ms > LINGER_MS);
}

/*
 * After a refusal: lets our alert arrive. A socket that is closed with unread input throws away
 * what the other side has not yet taken.
 */
static void part(struct transport_pump *p)
{
    int64_t until_ms = now_ms() + LINGER_MS;

    deafen(p);
    p->finished = true;
    while (!p->wire.in_ended && now_ms() < until_ms) {
        close_output(p);
        wait_and_transfer(p, SLICE_MS);
        transport_queue_drop(&p->wire.in, transport_queue_used(&p->wire.in));
    }
}

void transport_pump_run(struct transport_pump *p)
{
    int64_t began_ms = now_ms();

    p->moved_ms = p->taken_ms = began_ms;

    while (!p->greeted && !p->failed) {
        greet(p);
        check_limits(p, began_ms);
        if (!p->greeted && !p->failed)
            wait_and_transfer(p, SLICE_MS);
    }
    while (!p->failed || p->greeted) {
        move(p);
        close_output(p);
        check_limits(p, began_ms);
        if (is_over(p))
            break;
        wait_and_transfer(p, SLICE_MS);
    }
    if (p->failed && !p->wire.in_ended)
        part(p);
}
