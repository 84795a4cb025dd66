/* SPDX-License-Identifier: MIT */
#include "transport_direct.h"

#include "transport_tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINGER_MS 2000 /* for the other side to take our last words */
#define ALONE_S   4    /* a worker that works has ended by then */

union passed_fd {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

/* --- connecting ------------------------------------------------------------------------------ */

static void send_result(int channel, int fd, struct gw_error *why)
{
    union passed_fd control = {0};
    struct iovec part = {.iov_base = why, .iov_len = sizeof(*why)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    sendmsg(channel, &message, MSG_NOSIGNAL);
}

/* Answers of name servers are read here, where nothing but the channel is open. */
static _Noreturn void run_child(const struct gw_transport *how, unsigned connect_ms, int channel)
{
    struct gw_error why = {0};

    signal(SIGINT, SIG_IGN); /* ^C is for the worker, who then ends this one */
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(channel, 0) == 0 && close_range(1, ~0u, 0) == 0)
        send_result(0, transport_tcp_connect(how->host, how->port, connect_ms, &why), &why);
    _exit(0);
}

static int receive_result(int channel, struct gw_error *err)
{
    union passed_fd control = {0};
    struct gw_error why = {0};
    struct iovec part = {.iov_base = &why, .iov_len = sizeof(why)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got == (ssize_t)sizeof(why) ? CMSG_FIRSTHDR(&message) : NULL;
    int fd;

    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd))) {
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
    }
    if (got == (ssize_t)sizeof(why) && why.code)
        *err = why;
    else
        gw_error_set(err, GW_EXIT_FAILED, "the process that connects has died");
    return -1;
}

int transport_direct_connect(const struct gw_transport *how, const struct handover_io *io,
                             unsigned connect_ms, struct gw_error *err)
{
    struct handover_io waiting = *io;
    int channel[2], fd = -1;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        return gw_error_errno(err, errno, "cannot make a socket");
    pid = fork();
    if (pid == 0)
        run_child(how, connect_ms, channel[1]);
    if (pid < 0)
        gw_error_errno(err, errno, "cannot start the process that connects");
    close(channel[1]);
    waiting.in_fd = channel[0];
    if (pid > 0 && handover_io_wait(&waiting, err) == 0)
        fd = receive_result(channel[0], err);
    close(channel[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (fd >= 0)
        transport_tcp_watch(fd, io->stall_ms);
    return fd;
}

/* --- the other side's ------------------------------------------------------------------------ */

int transport_direct_accept(int socket, unsigned stall_ms, struct gw_error *err)
{
    int flags = fcntl(socket, F_GETFL);

    if (flags < 0 || fcntl(socket, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return gw_error_errno(err, errno, "cannot use the socket");
    transport_tcp_watch(socket, stall_ms);
    return 0;
}

void transport_direct_close(int socket)
{
    const int64_t until_ms = transport_tcp_now_ms() + LINGER_MS;
    struct pollfd fd = {.fd = socket, .events = POLLIN};
    char unread[4096];

    shutdown(socket, SHUT_WR);
    for (;;) {
        int64_t left_ms = until_ms - transport_tcp_now_ms();
        int ready = left_ms > 0 ? poll(&fd, 1, (int)left_ms) : 0;

        if (ready == 0 || (ready < 0 && errno != EINTR))
            break;
        ssize_t got = recv(socket, unread, sizeof(unread), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            break;
    }
    close(socket);
}

/* --- a worker that hangs --------------------------------------------------------------------- */

static struct {
    int socket;
    unsigned stall_s, alone_s, untaken_s;
    uint64_t taken;
    const char *why;
} watched;

/* Whether bytes lie there, as many as the last time, and nobody has taken one of them. */
static bool is_left_lying(void)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    int waiting = 0;

    /* NOLINTNEXTLINE(bugprone-signal-handler): a system call and nothing else */
    if (ioctl(watched.socket, SIOCINQ, &waiting) < 0 || waiting <= 0 ||
        getsockopt(watched.socket, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false;
    uint64_t taken = info.tcpi_bytes_received - (uint64_t)waiting, before = watched.taken;
    watched.taken = taken;
    return taken == before;
}

static void on_tick(int signal_number)
{
    struct pollfd fd = {.fd = watched.socket, .events = POLLRDHUP};
    int error = errno; /* NOLINT(bugprone-signal-handler) */

    watched.alone_s = poll(&fd, 1, 0) > 0 ? watched.alone_s + 1 : 0;
    watched.untaken_s = is_left_lying() ? watched.untaken_s + 1 : 0;
    if (watched.alone_s > ALONE_S)
        watched.why = "the other side has gone, and nobody here noticed";
    else if (watched.untaken_s > watched.stall_s)
        watched.why = "nobody here took what came";
    if (watched.why)
        raise(SIGTERM); /* the guard hands it to the worker, who takes it for ^C */
    else
        alarm(1);
    errno = error; /* NOLINT(bugprone-signal-handler) */
}

void transport_direct_watch(int socket, unsigned stall_ms)
{
    memset(&watched, 0, sizeof(watched));
    watched.socket = socket;
    watched.stall_s = (stall_ms + 999) / 1000;
    signal(SIGALRM, on_tick);
    alarm(1);
}

const char *transport_direct_unwatch(void)
{
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    return watched.why;
}
