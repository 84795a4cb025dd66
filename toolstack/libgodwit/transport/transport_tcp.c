/* SPDX-License-Identifier: MIT */
#include "transport_tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 16

static struct addrinfo *resolve(const char *host, const char *port, int flags, struct gw_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &found);

    if (rc) {
        gw_error_set(err, GW_EXIT_FAILED, "cannot find the address of %s port %s: %s", host, port,
                     rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return NULL;
    }
    return found;
}

int64_t transport_tcp_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* 0, or the errno of why not. */
static int finish_connect(int fd, int64_t deadline_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof(error);

    for (;;) {
        int64_t left = deadline_ms - transport_tcp_now_ms();
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;

        if (ready == 0)
            return ETIMEDOUT;
        if (ready > 0)
            break;
        if (errno != EINTR)
            return errno;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

int transport_tcp_connect(const char *host, const char *port, unsigned timeout_ms,
                          struct gw_error *err)
{
    int64_t deadline_ms = transport_tcp_now_ms() + timeout_ms;
    struct addrinfo *found = resolve(host, port, 0, err);
    int error = 0, fd = -1;

    if (!found)
        return -1;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
        error = fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? errno : 0;
        if (fd >= 0 && error == EINPROGRESS)
            error = finish_connect(fd, deadline_ms);
        if (!error)
            break;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        gw_error_set(err, GW_EXIT_FAILED, "no connection to %s port %s: %s", host, port,
                     strerror(error));
    return fd;
}

int transport_tcp_listen(const char *host, const char *port, struct gw_error *err)
{
    struct addrinfo *a = resolve(host, port, AI_PASSIVE, err);
    int on = 1, fd;

    if (!a)
        return -1;
    fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        gw_error_errno(err, errno, "cannot listen on %s port %s", *host ? host : "any address",
                       port);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(a);
    return fd;
}

void transport_tcp_watch(int fd, unsigned timeout_ms)
{
    int on = 1, third_s = (int)(timeout_ms / 3000) + 1, probes = 2;

    /* Only help: the relay and the handover have limits of their own. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &third_s, sizeof(third_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &third_s, sizeof(third_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* *go* must not wait for more */
}

static void name_address(const struct sockaddr *address, socklen_t length,
                         char ret_name[TRANSPORT_NAME_BYTES])
{
    char host[64], port[8];

    if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(ret_name, TRANSPORT_NAME_BYTES, "an unknown address");
    else
        snprintf(ret_name, TRANSPORT_NAME_BYTES, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                 port);
}

void transport_tcp_local_name(int fd, char ret_name[TRANSPORT_NAME_BYTES])
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    getsockname(fd, (struct sockaddr *)&address, &length);
    name_address((struct sockaddr *)&address, length, ret_name);
}

void transport_tcp_peer_name(int fd, char ret_name[TRANSPORT_NAME_BYTES])
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    getpeername(fd, (struct sockaddr *)&address, &length);
    name_address((struct sockaddr *)&address, length, ret_name);
}
