/* SPDX-License-Identifier: MIT */
/* Sockets of a migration: names, connecting, listening. */
#ifndef TRANSPORT_TCP_H
#define TRANSPORT_TCP_H

#include <libgodwit/error.h>
#include <stdint.h>

#define TRANSPORT_NAME_BYTES 80 /* of an address and a port, for messages */

/* A connected socket, non-blocking; gives up after timeout_ms. -1: err is filled in. */
int transport_tcp_connect(const char *host, const char *port, unsigned timeout_ms,
                          struct gw_error *err);

/* A listening socket, non-blocking. An empty host is every address, port 0 is any that is free. */
int transport_tcp_listen(const char *host, const char *port, struct gw_error *err);

/* Makes a socket notice within about timeout_ms that the other machine is gone. */
void transport_tcp_watch(int fd, unsigned timeout_ms);

/* "192.0.2.1:7700": our end of a socket, or the other one. */
void transport_tcp_local_name(int fd, char ret_name[TRANSPORT_NAME_BYTES]);
void transport_tcp_peer_name(int fd, char ret_name[TRANSPORT_NAME_BYTES]);

/* Of a clock that only goes forward. */
int64_t transport_tcp_now_ms(void);

#endif
