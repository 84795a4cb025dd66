/* SPDX-License-Identifier: MIT */
#include "migrate_join.h"

#include "migrate_step.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SLICE_MS 100
#define ANSWER_S 5 /* a process that connects must say at once what it wants */

/* --- what comes first ------------------------------------------------------------------------ */

/* Copies the first bytes of what is in a pipe, and leaves them there. */
static ssize_t peek_pipe(int fd, void *ret_data, size_t n)
{
    int fds[2];
    ssize_t got;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    got = tee(fd, fds[1], n, SPLICE_F_NONBLOCK);
    if (got > 0)
        got = read(fds[0], ret_data, (size_t)got);
    close(fds[0]);
    close(fds[1]);
    return got;
}

/* Does a message come first? What is neither pipe nor socket cannot be asked: then it does not. */
static int has_message(struct handover_io *io, bool *ret_has, struct gw_error *err)
{
    uint32_t magic = 0;

    for (unsigned waited_ms = 0; waited_ms < io->stall_ms; waited_ms += SLICE_MS) {
        struct pollfd fd = {.fd = io->in_fd, .events = POLLIN};

        if (io->cancelled && *io->cancelled)
            return gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
        if (poll(&fd, 1, SLICE_MS) <= 0)
            continue;
        ssize_t got = recv(io->in_fd, &magic, sizeof(magic), MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && errno == ENOTSOCK)
            got = peek_pipe(io->in_fd, &magic, sizeof(magic));
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        *ret_has = got == sizeof(magic) && magic == HANDOVER_MAGIC;
        if (got <= 0 || got == sizeof(magic))
            return 0;
        usleep(1000); /* a part of it is there */
    }
    return gw_error_set(err, GW_EXIT_TIMEOUT, "%s did not say anything", io->peer);
}

static socklen_t make_address(const uint8_t token[HANDOVER_TOKEN_BYTES], struct sockaddr_un *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    int n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "godwit-join-");

    for (unsigned i = 0; i < HANDOVER_TOKEN_BYTES / 2; i++) /* the other half stays secret */
        n += snprintf(ret->sun_path + 1 + n, sizeof(ret->sun_path) - 1 - (size_t)n, "%02x",
                      token[i]);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* --- the main connection --------------------------------------------------------------------- */

/* What a joining process sends, with its two descriptors. */
static int receive_join(int fd, struct handover_join *ret_join, int ret_fds[2])
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = ret_join, .iov_len = sizeof(*ret_join)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    const struct timeval limit = {.tv_sec = ANSWER_S};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
        return -1;
    memcpy(ret_fds, CMSG_DATA(c), 2 * sizeof(int));
    if (got == (ssize_t)sizeof(*ret_join))
        return 0;
    close(ret_fds[0]);
    close(ret_fds[1]);
    return -1;
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.uid == geteuid();
}

static bool tokens_are_equal(const uint8_t *a, const uint8_t *b)
{
    uint8_t difference = 0;

    for (unsigned i = 0; i < HANDOVER_TOKEN_BYTES; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

/* One process that wants to join: taken, or turned away. Returns whether it was taken. */
static bool take_join(int fd, const uint8_t *token, struct migrate_joined *joined)
{
    struct handover_join join;
    int fds[2];

    if (!is_ours(fd) || receive_join(fd, &join, fds))
        return false;
    if (tokens_are_equal(join.token, token) && join.index >= 1 && join.index <= joined->n &&
        joined->in_fd[join.index - 1] < 0 && send(fd, "Y", 1, MSG_NOSIGNAL) == 1) {
        joined->in_fd[join.index - 1] = fds[0];
        joined->out_fd[join.index - 1] = fds[1];
        joined->control_fd[join.index - 1] = fd;
        return true;
    }
    close(fds[0]);
    close(fds[1]);
    return false;
}

static int gather(struct handover_io *io, int listener, const uint8_t *token,
                  struct migrate_joined *joined, struct gw_error *err)
{
    struct pollfd fds[2] = {{.fd = listener, .events = POLLIN},
                            {.fd = io->in_fd, .events = POLLIN}};
    unsigned missing = joined->n;

    for (unsigned waited_ms = 0; missing > 0; waited_ms += SLICE_MS) {
        if (io->cancelled && *io->cancelled)
            return gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
        if (waited_ms >= io->stall_ms)
            return gw_error_set(err, GW_EXIT_TIMEOUT, "%u of %u connections did not join", missing,
                                joined->n);
        if (poll(fds, 2, SLICE_MS) <= 0)
            continue;
        if (fds[1].revents) /* it has to wait for us: this is its end */
            return gw_error_set(err, GW_EXIT_FAILED, "%s gave up while its connections joined",
                                io->peer);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && take_join(fd, token, joined))
            missing--;
        else if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int await_joins(struct handover_io *io, struct migrate_joined *joined, struct gw_error *err)
{
    uint8_t token[HANDOVER_TOKEN_BYTES];
    struct sockaddr_un address;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    if (listener < 0 || getrandom(token, sizeof(token), 0) != (ssize_t)sizeof(token) ||
        bind(listener, (struct sockaddr *)&address, make_address(token, &address)) < 0 ||
        listen(listener, STREAM_STREAMS_MAX) < 0)
        rc = gw_error_errno(err, errno, "cannot make a socket for further connections");
    else
        rc = handover_send(io, HANDOVER_TOKEN, token, sizeof(token), err) ||
             gather(io, listener, token, joined, err);
    if (listener >= 0)
        close(listener);
    return rc ? -1 : 0;
}

/* --- a side connection ----------------------------------------------------------------------- */

static int send_join(int fd, const struct handover_join *join, const struct handover_io *io)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)join, .iov_len = sizeof(*join)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    const int fds[2] = {io->in_fd, io->out_fd};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*join) ? 0 : -1;
}

/* Until the main process ends: it has what we had. */
static void wait_for_end(int fd, const struct handover_io *io)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    while (!(io->cancelled && *io->cancelled) && poll(&poll_fd, 1, SLICE_MS) <= 0)
        ;
}

static int join_main(struct handover_io *io, const struct handover_join *join, struct gw_error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = -1;
    struct sockaddr_un address;
    socklen_t bytes = make_address(join->token, &address);
    char answer;

    if (migrate_step("dest-join", err))
        rc = -1;
    else if (fd < 0 || connect(fd, (struct sockaddr *)&address, bytes) < 0 ||
             send_join(fd, join, io) || recv(fd, &answer, 1, 0) != 1)
        gw_error_set(err, GW_EXIT_FAILED, "there is no migration that this connection belongs to");
    else
        rc = handover_send(io, HANDOVER_JOINED, NULL, 0, err);
    if (rc == 0)
        wait_for_end(fd, io);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* --- both ------------------------------------------------------------------------------------ */

static int answer(struct handover_io *io, const struct handover_message *message,
                  struct migrate_joined *joined, enum migrate_role *ret_role, struct gw_error *err)
{
    struct handover_begin begin;
    struct handover_join join;

    if (message->type == HANDOVER_BEGIN && message->length == sizeof(begin)) {
        memcpy(&begin, message->body, sizeof(begin));
        if (begin.streams < 1 || begin.streams > STREAM_STREAMS_MAX ||
            (begin.flags & ~HANDOVER_BEGIN_TRY))
            return gw_error_set(err, GW_EXIT_FAILED, "%s wants %u connections, flags 0x%x",
                                io->peer, begin.streams, begin.flags);
        joined->only_try = begin.flags & HANDOVER_BEGIN_TRY;
        joined->n = begin.streams - 1;
        return await_joins(io, joined, err);
    }
    if (message->type == HANDOVER_JOIN && message->length == sizeof(join)) {
        memcpy(&join, message->body, sizeof(join));
        *ret_role = MIGRATE_SIDE;
        return join_main(io, &join, err);
    }
    if (message->type == HANDOVER_ASK && message->length == sizeof(joined->ask)) {
        memcpy(&joined->ask, message->body, sizeof(joined->ask));
        *ret_role = MIGRATE_ASKED;
        return 0;
    }
    return gw_error_set(err, GW_EXIT_FAILED, "%s sent message %u of %u bytes out of turn", io->peer,
                        message->type, message->length);
}

int migrate_join(struct handover_io *io, struct migrate_joined *joined, enum migrate_role *ret_role,
                 struct gw_error *err)
{
    struct handover_message message = {0};
    bool has = false;

    memset(joined, 0, sizeof(*joined));
    for (unsigned i = 0; i < STREAM_STREAMS_MAX - 1; i++)
        joined->in_fd[i] = joined->out_fd[i] = joined->control_fd[i] = -1;
    *ret_role = MIGRATE_MAIN;
    if (has_message(io, &has, err))
        return -1;
    if (!has)
        return 0;
    return handover_receive(io, &message, err) || answer(io, &message, joined, ret_role, err) ? -1
                                                                                              : 0;
}

void migrate_join_close(struct migrate_joined *joined)
{
    for (unsigned i = 0; i < joined->n; i++) {
        if (joined->in_fd[i] < 0)
            continue;
        close(joined->in_fd[i]);
        close(joined->out_fd[i]);
        close(joined->control_fd[i]);
    }
    joined->n = 0;
}
