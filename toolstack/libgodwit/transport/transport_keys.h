/* SPDX-License-Identifier: MIT */
/*
 * The keys of a TLS connection, read from files: certificates or a shared key. Whoever holds the
 * structure holds the keys: only a relay does.
 */
#ifndef TRANSPORT_KEYS_H
#define TRANSPORT_KEYS_H

#include <gnutls/gnutls.h>
#include <libgodwit/migrate.h>
#include <stdbool.h>

#define TRANSPORT_TLS_DIR     "/etc/godwit/tls"
#define TRANSPORT_PSK_MAX     64  /* lines of a file of shared keys */
#define TRANSPORT_PSK_BYTES   64  /* longest key */
#define TRANSPORT_PEERS_MAX   256 /* lines of the file of permitted peers */
#define TRANSPORT_NAME_MAX    253
#define TRANSPORT_KEY_MINIMUM 16 /* bytes of a shared key */

struct transport_psk {
    char name[TRANSPORT_NAME_MAX + 1];
    uint8_t key[TRANSPORT_PSK_BYTES];
    unsigned key_bytes;
};

struct transport_keys {
    bool shared; /* psk[] is in use, not the certificate */
    gnutls_certificate_credentials_t certificate;
    struct transport_psk *psk;
    unsigned psk_count;
    /* Names that the other side's certificate may have; none: any that our CA has signed. */
    char (*peers)[TRANSPORT_NAME_MAX + 1];
    unsigned peer_count;
};

/*
 * Reads what `where` names. server: the file of peers is read too. The files must be readable for
 * their owner only. On failure nothing is held.
 */
int transport_keys_load(struct transport_keys *keys, const struct gw_tls *where, bool server,
                        struct gw_error *err);
/* Overwrites shared keys. Idempotent; fine on a zeroed structure. */
void transport_keys_free(struct transport_keys *keys);

#endif
