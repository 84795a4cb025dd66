/* SPDX-License-Identifier: MIT */
#include "transport_tls.h"

#include "transport_verify.h"
#include <errno.h>
#include <string.h>

/* TLS 1.3 alone, with forward secrecy in either mode; nothing that is not named here is offered. */
#define COMMON                                                                                     \
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:"                        \
    "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+SIGN-ALL:+CTYPE-X509:"                       \
    "%PROFILE_MEDIUM:%SERVER_PRECEDENCE:"
#define BY_CERTIFICATE COMMON "+ECDHE-ECDSA:+ECDHE-RSA"
#define BY_SHARED_KEY  COMMON "+ECDHE-PSK"

#define RECORD_BYTES   16384u
#define RECORD_ROOM    (RECORD_BYTES + 512u) /* with header, tag and whatever padding */
#define TLS_FIRST_BYTE 0x14                  /* change of cipher, alert, handshake: 0x14 to 0x16 */
#define TLS_LAST_BYTE  0x16

static const char protocol[] = "godwit/1";

/* --- between the library and the queues ---------------------------------------------------------
 */

static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t n)
{
    struct transport_tls *tls = arg;
    struct transport_queue *out = &tls->wire->out;

    if (transport_queue_room(out) < n) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    memcpy(transport_queue_back(out, n), data, n);
    transport_queue_grow(out, n);
    return (ssize_t)n;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *ret_data, size_t n)
{
    struct transport_tls *tls = arg;
    struct transport_queue *in = &tls->wire->in;
    size_t used = transport_queue_used(in);

    if (used == 0 && tls->wire->in_ended)
        return 0;
    if (used == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    n = n < used ? n : used;
    memcpy(ret_data, transport_queue_front(in), n);
    transport_queue_drop(in, n);
    return (ssize_t)n;
}

/* The library only asks this while it waits, which it never does here. */
static int pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
    struct transport_tls *tls = arg;

    return transport_queue_used(&tls->wire->in) > 0 || tls->wire->in_ended;
}

static int verify(gnutls_session_t session)
{
    return transport_verify_peer(gnutls_session_get_ptr(session));
}

/* An unknown name gets no key. */
static int find_psk(gnutls_session_t session, const char *name, gnutls_datum_t *ret_key)
{
    struct transport_tls *tls = gnutls_session_get_ptr(session);
    char shown[TRANSPORT_WHO_BYTES];

    for (unsigned i = 0; i < tls->keys->psk_count; i++) {
        const struct transport_psk *psk = &tls->keys->psk[i];

        if (strcmp(psk->name, name) != 0)
            continue;
        ret_key->data = gnutls_malloc(psk->key_bytes);
        if (!ret_key->data)
            return -1;
        memcpy(ret_key->data, psk->key, psk->key_bytes);
        ret_key->size = psk->key_bytes;
        gw_error_show_bytes(tls->who, sizeof(tls->who), name, strlen(name));
        return 0;
    }
    tls->alert = GNUTLS_A_DECRYPT_ERROR; /* as for a wrong key: a stranger learns no names */
    gw_error_show_bytes(shown, sizeof(shown), name, strlen(name));
    gw_error_set(tls->err, GW_EXIT_DENIED, "%s has a key named \"%s\", which is not known here",
                 tls->peer, shown);
    return -1;
}

/* --- a session ----------------------------------------------------------------------------------
 */

static int set_psk(struct transport_tls *tls)
{
    const struct transport_psk *psk = tls->keys->psk;
    gnutls_datum_t key = {.data = (unsigned char *)(uintptr_t)psk->key, .size = psk->key_bytes};
    int rc;

    if (tls->server) {
        rc = gnutls_psk_allocate_server_credentials(&tls->psk_server);
        if (rc < 0)
            return rc;
        gnutls_psk_set_server_credentials_function(tls->psk_server, find_psk);
        return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->psk_server);
    }
    rc = gnutls_psk_allocate_client_credentials(&tls->psk_client);
    if (rc == 0)
        rc =
            gnutls_psk_set_client_credentials(tls->psk_client, psk->name, &key, GNUTLS_PSK_KEY_RAW);
    if (rc == 0)
        rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->psk_client);
    gw_error_show_bytes(tls->who, sizeof(tls->who), psk->name, strlen(psk->name));
    return rc;
}

static int set_certificate(struct transport_tls *tls)
{
    gnutls_session_set_verify_function(tls->session, verify);
    if (tls->server)
        gnutls_certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
    return gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->keys->certificate);
}

static int set_up(struct transport_tls *tls)
{
    const gnutls_datum_t alpn = {.data = (unsigned char *)(uintptr_t)protocol,
                                 .size = sizeof(protocol) - 1};
    bool shared = tls->keys->shared;
    int rc =
        gnutls_priority_set_direct(tls->session, shared ? BY_SHARED_KEY : BY_CERTIFICATE, NULL);

    if (rc == 0)
        rc = shared ? set_psk(tls) : set_certificate(tls);
    if (rc == 0)
        rc = gnutls_alpn_set_protocols(tls->session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
    return rc;
}

int transport_tls_start(struct transport_tls *tls, const struct transport_keys *keys,
                        struct transport_wire *wire, const char *peer, bool server,
                        const char *expected, struct gw_error *err)
{
    /* A certificate that the server's CA has not signed is shown all the same: it can say why not.
     */
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_FORCE_CLIENT_CERT;
    int rc;

    *tls = (struct transport_tls){
        .keys = keys, .wire = wire, .peer = peer, .server = server, .expected = expected};
    rc = gnutls_init(&tls->session, flags | (server ? GNUTLS_SERVER : GNUTLS_CLIENT));
    if (rc == 0)
        rc = set_up(tls);
    if (rc == 0)
        return 0;
    gw_error_set(err, GW_EXIT_FAILED, "cannot begin with TLS: %s", gnutls_strerror(rc));
    transport_tls_stop(tls);
    return -1;
}

void transport_tls_stop(struct transport_tls *tls)
{
    if (tls->session)
        gnutls_deinit(tls->session);
    if (tls->psk_client)
        gnutls_psk_free_client_credentials(tls->psk_client);
    if (tls->psk_server)
        gnutls_psk_free_server_credentials(tls->psk_server);
    memset(tls, 0, sizeof(*tls));
}

/* --- the codec -----------------------------------------------------------------------------------
 */

/* Anything but TLS is named in its own words. 1: it is TLS, 0: nothing has come yet. */
static int look_at_first_byte(struct transport_tls *tls, struct gw_error *err)
{
    const struct transport_queue *in = &tls->wire->in;
    char shown[17];

    if (tls->looked || transport_queue_used(in) == 0)
        return tls->looked;
    if (*transport_queue_front(in) < TLS_FIRST_BYTE || *transport_queue_front(in) > TLS_LAST_BYTE) {
        gw_error_show_bytes(shown, sizeof(shown), transport_queue_front(in),
                            transport_queue_used(in));
        return gw_error_set(err, GW_EXIT_DENIED, "%s sent \"%s\", which is not TLS", tls->peer,
                            shown);
    }
    tls->looked = true;
    return 1;
}

static int greet(void *ctx, struct gw_error *err)
{
    struct transport_tls *tls = ctx;
    gnutls_datum_t chosen = {0};
    int rc;

    if (look_at_first_byte(tls, err) < 0)
        return -1;
    tls->err = err;
    do
        rc = gnutls_handshake(tls->session);
    while (rc == GNUTLS_E_INTERRUPTED);
    if (rc == GNUTLS_E_AGAIN)
        return 0;
    if (rc == 0 && (gnutls_alpn_get_selected_protocol(tls->session, &chosen) < 0 ||
                    gnutls_protocol_get_version(tls->session) != GNUTLS_TLS1_3))
        rc = GNUTLS_E_NO_APPLICATION_PROTOCOL;
    if (rc == 0)
        return 1;
    if (!tls->alert)
        transport_verify_explain(tls, rc, err);
    if (tls->keys->shared && rc == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER)
        tls->alert = GNUTLS_A_DECRYPT_ERROR;
    if (tls->alert)
        gnutls_alert_send(tls->session, GNUTLS_AL_FATAL, tls->alert);
    else
        gnutls_alert_send_appropriate(tls->session, rc);
    return -1;
}

static int seal(void *ctx, struct transport_queue *plain, struct gw_error *err)
{
    struct transport_tls *tls = ctx;

    while (transport_queue_used(plain) > 0 &&
           transport_queue_room(&tls->wire->out) >= RECORD_ROOM) {
        size_t n = transport_queue_used(plain);
        ssize_t done = gnutls_record_send(tls->session, transport_queue_front(plain),
                                          n < RECORD_BYTES ? n : RECORD_BYTES);

        if (done == GNUTLS_E_AGAIN || done == GNUTLS_E_INTERRUPTED)
            return 0;
        if (done < 0)
            return transport_verify_explain(tls, (int)done, err);
        transport_queue_drop(plain, (size_t)done);
    }
    return 0;
}

static int open_records(void *ctx, struct transport_queue *plain, bool *ret_ended,
                        struct gw_error *err)
{
    struct transport_tls *tls = ctx;

    while (transport_queue_room(plain) >= RECORD_BYTES) {
        ssize_t got = gnutls_record_recv(tls->session, transport_queue_back(plain, RECORD_BYTES),
                                         RECORD_BYTES);

        if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
            return 0;
        if (got < 0)
            return transport_verify_explain(tls, (int)got, err);
        if (got == 0) {
            *ret_ended = true;
            return 0;
        }
        transport_queue_grow(plain, (size_t)got);
    }
    return 0;
}

static void finish(void *ctx)
{
    gnutls_bye(((struct transport_tls *)ctx)->session, GNUTLS_SHUT_WR);
}

static const char *who(void *ctx)
{
    return ((struct transport_tls *)ctx)->who;
}

struct transport_codec transport_tls_codec(struct transport_tls *tls)
{
    return (struct transport_codec){.greet = greet,
                                    .seal = seal,
                                    .open = open_records,
                                    .finish = finish,
                                    .who = who,
                                    .ctx = tls};
}
