/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3 as a codec: mutual, by certificates or by a shared key, nothing else and nothing older.
 * The session has no descriptor: it reads and writes the wire's queues.
 */
#ifndef TRANSPORT_TLS_H
#define TRANSPORT_TLS_H

#include "transport_codec.h"
#include "transport_keys.h"

struct transport_tls {
    gnutls_session_t session;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
    const struct transport_keys *keys;
    struct transport_wire *wire;
    bool server, looked;  /* looked: at the first byte, which tells TLS from anything else */
    const char *expected; /* client: the name that the certificate must have */
    const char *peer;     /* for messages */
    struct gw_error *err; /* of the call under way: verification fills it in */
    gnutls_alert_description_t alert; /* what verification wants to be sent; 0: nothing */
    char who[TRANSPORT_WHO_BYTES];
};

/*
 * A session on one side of wire. keys, wire and the names must outlive it. A client expects the
 * server's certificate to have the name or address `expected`.
 */
int transport_tls_start(struct transport_tls *tls, const struct transport_keys *keys,
                        struct transport_wire *wire, const char *peer, bool server,
                        const char *expected, struct gw_error *err);
struct transport_codec transport_tls_codec(struct transport_tls *tls);
/* Idempotent; fine on a zeroed structure. */
void transport_tls_stop(struct transport_tls *tls);

#endif
