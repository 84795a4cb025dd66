/* SPDX-License-Identifier: MIT */
#include "transport_verify.h"

#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

/* --- the other side's certificate --------------------------------------------------------------
 */

static const struct {
    unsigned status;
    gnutls_alert_description_t alert;
    const char *why;
} faults[] = {
    {GNUTLS_CERT_REVOKED, GNUTLS_A_CERTIFICATE_REVOKED, "has been revoked"},
    {GNUTLS_CERT_SIGNER_NOT_FOUND, GNUTLS_A_UNKNOWN_CA, "is not signed by the CA in ca.pem"},
    {GNUTLS_CERT_SIGNER_NOT_CA, GNUTLS_A_UNKNOWN_CA, "is not signed by the CA in ca.pem"},
    {GNUTLS_CERT_SIGNATURE_FAILURE, GNUTLS_A_UNKNOWN_CA, "is not signed by the CA in ca.pem"},
    {GNUTLS_CERT_EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED, "has expired"},
    {GNUTLS_CERT_NOT_ACTIVATED, GNUTLS_A_CERTIFICATE_EXPIRED, "is not valid yet"},
    {GNUTLS_CERT_PURPOSE_MISMATCH, GNUTLS_A_BAD_CERTIFICATE, "is not made for this purpose"},
    {GNUTLS_CERT_INSECURE_ALGORITHM, GNUTLS_A_BAD_CERTIFICATE, "uses a weak algorithm"},
};

static int refuse(struct transport_tls *tls, gnutls_alert_description_t alert, const char *why)
{
    tls->alert = alert;
    gw_error_set(tls->err, GW_EXIT_DENIED, "the certificate of %s %s", tls->peer, why);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int refuse_status(struct transport_tls *tls, unsigned status)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (status & faults[i].status)
            return refuse(tls, faults[i].alert, faults[i].why);
    return refuse(tls, GNUTLS_A_BAD_CERTIFICATE, "is not valid");
}

static bool has_name(gnutls_x509_crt_t crt, const char *name)
{
    return gnutls_x509_crt_check_hostname2(crt, name, GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS) != 0;
}

/* The first DNS name in it, or else its subject. */
static void note_name(struct transport_tls *tls, gnutls_x509_crt_t crt)
{
    char name[TRANSPORT_WHO_BYTES] = "";
    size_t length = sizeof(name) - 1;

    if (gnutls_x509_crt_get_subject_alt_name(crt, 0, name, &length, NULL) != GNUTLS_SAN_DNSNAME) {
        length = sizeof(name) - 1;
        if (gnutls_x509_crt_get_dn(crt, name, &length) < 0)
            length = 0;
    }
    gw_error_show_bytes(tls->who, sizeof(tls->who), name, strnlen(name, length));
}

static int check_names(struct transport_tls *tls, gnutls_x509_crt_t crt)
{
    char why[TRANSPORT_NAME_MAX + 64];

    note_name(tls, crt);
    if (tls->expected && !has_name(crt, tls->expected)) {
        snprintf(why, sizeof(why), "is made out to \"%.100s\", not to %.128s", tls->who,
                 tls->expected);
        return refuse(tls, GNUTLS_A_BAD_CERTIFICATE, why);
    }
    if (!tls->server || !tls->keys->peers)
        return 0;
    for (unsigned i = 0; i < tls->keys->peer_count; i++)
        if (has_name(crt, tls->keys->peers[i]))
            return 0;
    snprintf(why, sizeof(why), "is made out to \"%.100s\", a name that the file `peers` lacks",
             tls->who);
    return refuse(tls, GNUTLS_A_ACCESS_DENIED, why);
}

int transport_verify_peer(struct transport_tls *tls)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data =
            (unsigned char *)(tls->server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER),
    };
    const gnutls_datum_t *chain;
    gnutls_x509_crt_t crt;
    unsigned status = 0, n = 0;
    int rc = gnutls_certificate_verify_peers(tls->session, &purpose, 1, &status);

    if (rc < 0)
        return rc;
    if (status)
        return refuse_status(tls, status);
    chain = gnutls_certificate_get_peers(tls->session, &n);
    if (!chain || n == 0)
        return GNUTLS_E_NO_CERTIFICATE_FOUND;
    rc = gnutls_x509_crt_init(&crt);
    if (rc < 0)
        return rc;
    rc = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER);
    if (rc == 0)
        rc = check_names(tls, crt);
    gnutls_x509_crt_deinit(crt);
    return rc;
}

/* --- what the library says, in sentences --------------------------------------------------------
 */

static const struct {
    gnutls_alert_description_t alert;
    bool shared; /* means this only where keys are shared */
    const char *what;
} alerts[] = {
    {GNUTLS_A_CERTIFICATE_EXPIRED, false,
     "our certificate: it has expired, or is not valid yet by that side's clock"},
    {GNUTLS_A_CERTIFICATE_REVOKED, false, "our certificate: it has been revoked"},
    {GNUTLS_A_UNKNOWN_CA, false, "our certificate: it is not signed by the CA of that side"},
    {GNUTLS_A_ACCESS_DENIED, false,
     "our certificate: its name is not in the file `peers` of that side"},
    {GNUTLS_A_BAD_CERTIFICATE, false, "our certificate: it has not the expected name or purpose"},
    {GNUTLS_A_CERTIFICATE_REQUIRED, false, "to go on without a certificate from us"},
    {GNUTLS_A_PROTOCOL_VERSION, false, "TLS 1.3"},
    {GNUTLS_A_HANDSHAKE_FAILURE, false,
     "our TLS 1.3: it may have a shared key where we have a certificate, or the reverse"},
    {GNUTLS_A_MISSING_EXTENSION, false,
     "our TLS 1.3: it may have a shared key where we have a certificate, or the reverse"},
    {GNUTLS_A_DECRYPT_ERROR, true, "our key: it has another key for that name, or none"},
};

static int explain_alert(struct transport_tls *tls, struct gw_error *err)
{
    gnutls_alert_description_t alert = gnutls_alert_get(tls->session);
    const char *name = gnutls_alert_get_name(alert);

    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
        if (alerts[i].alert == alert && (tls->keys->shared || !alerts[i].shared))
            return gw_error_set(err, GW_EXIT_DENIED, "%s refused %s", tls->peer, alerts[i].what);
    return gw_error_set(err, GW_EXIT_DENIED, "%s refused TLS: %s", tls->peer,
                        name ? name : "unknown alert");
}

/* The library's names for "the proof that the other side has the key is wrong". */
static bool is_wrong_key(const struct transport_tls *tls, int rc)
{
    return tls->keys->shared &&
           (rc == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER || rc == GNUTLS_E_INSUFFICIENT_CREDENTIALS);
}

int transport_verify_explain(struct transport_tls *tls, int rc, struct gw_error *err)
{
    if (is_wrong_key(tls, rc))
        return gw_error_set(err, GW_EXIT_DENIED, "%s has another key than we have, or none",
                            tls->peer);
    switch (rc) {
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
    case GNUTLS_E_WARNING_ALERT_RECEIVED:
        return explain_alert(tls, err);
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_NO_CIPHER_SUITES:
    case GNUTLS_E_NO_COMMON_KEY_SHARE:
        return gw_error_set(err, GW_EXIT_DENIED,
                            "%s does not offer TLS 1.3 of our kind (certificate or shared key)",
                            tls->peer);
    case GNUTLS_E_NO_CERTIFICATE_FOUND:
    case GNUTLS_E_CERTIFICATE_REQUIRED:
        return gw_error_set(err, GW_EXIT_DENIED, "%s has shown no certificate", tls->peer);
    case GNUTLS_E_PREMATURE_TERMINATION:
        return gw_error_set(err, GW_EXIT_FAILED, "the connection to %s was cut", tls->peer);
    case GNUTLS_E_NO_APPLICATION_PROTOCOL:
        return gw_error_set(err, GW_EXIT_DENIED, "%s speaks TLS, but is not Godwit", tls->peer);
    default:
        return gw_error_set(err, GW_EXIT_FAILED, "TLS with %s failed: %s", tls->peer,
                            gnutls_strerror(rc));
    }
}
