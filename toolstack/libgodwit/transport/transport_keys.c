/* SPDX-License-Identifier: MIT */
#include "transport_keys.h"

#include <ctype.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

static int check_private(const char *path, struct gw_error *err)
{
    struct stat facts;

    if (stat(path, &facts) < 0)
        return gw_error_errno(err, errno, "cannot read the key %s", path);
    if (facts.st_mode & (S_IRWXG | S_IRWXO))
        return gw_error_set(err, GW_EXIT_DENIED,
                            "the key %s may be read or written by others; run `chmod 600 %s`", path,
                            path);
    return 0;
}

/* --- files of lines: shared keys, names ------------------------------------------------------- */

typedef int (*take_line_fn)(struct transport_keys *keys, char *line, const char *path, unsigned n,
                            struct gw_error *err);

/* Calls take for each line that is not empty and no comment, without the white space around it. */
static int read_lines(struct transport_keys *keys, const char *path, take_line_fn take,
                      struct gw_error *err)
{
    char line[LINE_MAX_BYTES];
    unsigned n = 0;
    int rc = 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return gw_error_errno(err, errno, "cannot read %s", path);
    while (rc == 0 && fgets(line, sizeof(line), file)) {
        size_t length = strlen(line);

        n++;
        if (length == sizeof(line) - 1)
            rc = gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: the line is too long", path, n);
        while (length > 0 && isspace((unsigned char)line[length - 1]))
            line[--length] = '\0';
        if (rc == 0 && line[0] && line[0] != '#')
            rc = take(keys, line, path, n, err);
    }
    if (rc == 0 && ferror(file))
        rc = gw_error_set(err, GW_EXIT_FAILED, "cannot read %s", path);
    fclose(file);
    explicit_bzero(line, sizeof(line));
    return rc;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* NAME:HEX, as psktool(1) writes it. */
static int take_psk(struct transport_keys *keys, char *line, const char *path, unsigned n,
                    struct gw_error *err)
{
    struct transport_psk *psk = &keys->psk[keys->psk_count];
    char *colon = strchr(line, ':'), *hex = colon ? colon + 1 : "";
    size_t digits = strlen(hex);

    if (!colon || colon == line || colon - line > TRANSPORT_NAME_MAX || digits % 2)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: this is not NAME:KEY, KEY in hexadecimal",
                            path, n);
    if (digits < 2 * TRANSPORT_KEY_MINIMUM || digits > 2 * TRANSPORT_PSK_BYTES)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: a key has %d to %d bytes, this one %zu",
                            path, n, TRANSPORT_KEY_MINIMUM, TRANSPORT_PSK_BYTES, digits / 2);
    if (keys->psk_count == TRANSPORT_PSK_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: more than %d keys", path, TRANSPORT_PSK_MAX);
    for (size_t i = 0; i < digits / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: the key is not hexadecimal", path, n);
        psk->key[i] = (uint8_t)(high * 16 + low);
    }
    *colon = '\0';
    snprintf(psk->name, sizeof(psk->name), "%s", line);
    psk->key_bytes = (unsigned)digits / 2;
    keys->psk_count++;
    return 0;
}

static int load_psk(struct transport_keys *keys, const char *path, struct gw_error *err)
{
    keys->shared = true;
    keys->psk = calloc(TRANSPORT_PSK_MAX, sizeof(*keys->psk));
    if (!keys->psk)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (check_private(path, err) || read_lines(keys, path, take_psk, err))
        return -1;
    if (keys->psk_count == 0)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: no key in it", path);
    return 0;
}

static int take_peer(struct transport_keys *keys, char *line, const char *path, unsigned n,
                     struct gw_error *err)
{
    if (strlen(line) > TRANSPORT_NAME_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: the name is too long", path, n);
    if (keys->peer_count == TRANSPORT_PEERS_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: more than %d names", path,
                            TRANSPORT_PEERS_MAX);
    memcpy(keys->peers[keys->peer_count++], line, strlen(line) + 1);
    return 0;
}

/* No file: no limit. An empty one lets nobody in, which is better said at once. */
static int load_peers(struct transport_keys *keys, const char *path, struct gw_error *err)
{
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    keys->peers = calloc(TRANSPORT_PEERS_MAX, sizeof(*keys->peers));
    if (!keys->peers)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (read_lines(keys, path, take_peer, err))
        return -1;
    if (keys->peer_count == 0)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: no name in it", path);
    return 0;
}

/* --- certificates ----------------------------------------------------------------------------- */

static int explain(const char *what, const char *path, int rc, struct gw_error *err)
{
    return gw_error_set(err, GW_EXIT_CONFIG, "cannot use the %s %s: %s", what, path,
                        gnutls_strerror(rc));
}

/* Why a list of revoked certificates says nothing; NULL: it is the CA's, and of now. */
static const char *fault_of_list(gnutls_x509_crl_t list, const gnutls_x509_crt_t *cas, unsigned n)
{
    unsigned status = 0;

    if (gnutls_x509_crl_verify(list, cas, n, 0, &status) < 0)
        return "cannot be checked";
    if (status & ~(unsigned)(GNUTLS_CERT_INVALID | GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
                             GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE))
        return "is not signed by the CA in ca.pem";
    if (status & GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE)
        return "is not valid yet by this host's clock";
    return status ? "is out of date: get the CA's latest" : NULL;
}

/* The library takes any list, and goes by it however old it is: whoever was revoked since gets in.
 */
static int check_lists(const char *ca, const char *crl, struct gw_error *err)
{
    gnutls_datum_t ca_text = {0}, crl_text = {0};
    gnutls_x509_crt_t *cas = NULL;
    gnutls_x509_crl_t *lists = NULL;
    unsigned cas_n = 0, lists_n = 0;
    const char *fault = NULL;
    int rc = gnutls_load_file(ca, &ca_text);

    if (rc == 0)
        rc = gnutls_load_file(crl, &crl_text);
    if (rc == 0)
        rc = gnutls_x509_crt_list_import2(&cas, &cas_n, &ca_text, GNUTLS_X509_FMT_PEM, 0);
    if (rc >= 0)
        rc = gnutls_x509_crl_list_import2(&lists, &lists_n, &crl_text, GNUTLS_X509_FMT_PEM, 0);
    for (unsigned i = 0; i < lists_n && !fault; i++)
        fault = fault_of_list(lists[i], cas, cas_n);
    for (unsigned i = 0; i < lists_n; i++)
        gnutls_x509_crl_deinit(lists[i]);
    for (unsigned i = 0; i < cas_n; i++)
        gnutls_x509_crt_deinit(cas[i]);
    gnutls_free(lists);
    gnutls_free(cas);
    gnutls_free(crl_text.data);
    gnutls_free(ca_text.data);
    if (rc < 0)
        return explain("revocation list", crl, rc, err);
    return fault ? gw_error_set(err, GW_EXIT_DENIED, "the revocation list %s %s", crl, fault) : 0;
}

static int load_certificate(struct transport_keys *keys, const char *dir, struct gw_error *err)
{
    char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX], crl[PATH_MAX];
    int rc;

    snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
    snprintf(key, sizeof(key), "%s/key.pem", dir);
    snprintf(crl, sizeof(crl), "%s/crl.pem", dir);
    if (check_private(key, err))
        return -1;
    if (gnutls_certificate_allocate_credentials(&keys->certificate) < 0)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    rc = gnutls_certificate_set_x509_trust_file(keys->certificate, ca, GNUTLS_X509_FMT_PEM);
    if (rc <= 0)
        return explain("CA certificate", ca, rc ? rc : GNUTLS_E_NO_CERTIFICATE_FOUND, err);
    if (access(crl, F_OK) == 0) {
        if (check_lists(ca, crl, err))
            return -1;
        rc = gnutls_certificate_set_x509_crl_file(keys->certificate, crl, GNUTLS_X509_FMT_PEM);
        if (rc <= 0)
            return explain("revocation list", crl, rc ? rc : GNUTLS_E_NO_CERTIFICATE_FOUND, err);
    }
    rc = gnutls_certificate_set_x509_key_file(keys->certificate, cert, key, GNUTLS_X509_FMT_PEM);
    if (rc < 0)
        return explain("certificate and key", cert, rc, err);
    return 0;
}

int transport_keys_load(struct transport_keys *keys, const struct gw_tls *where, bool server,
                        struct gw_error *err)
{
    const char *dir = where->dir ? where->dir : TRANSPORT_TLS_DIR;
    char cert[PATH_MAX], psk[PATH_MAX], peers[PATH_MAX];
    int rc;

    memset(keys, 0, sizeof(*keys));
    snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
    snprintf(psk, sizeof(psk), "%s/psk", dir);
    snprintf(peers, sizeof(peers), "%s/peers", dir);
    if (where->psk_file)
        rc = load_psk(keys, where->psk_file, err);
    else if (access(cert, F_OK) == 0)
        rc = load_certificate(keys, dir, err) || (server && load_peers(keys, peers, err)) ? -1 : 0;
    else if (access(psk, F_OK) == 0)
        rc = load_psk(keys, psk, err);
    else
        rc = gw_error_set(err, GW_EXIT_CONFIG,
                          "there is neither cert.pem nor psk in %s; godwit-migration(7) says how "
                          "to make keys",
                          dir);
    if (rc)
        transport_keys_free(keys);
    return rc;
}

void transport_keys_free(struct transport_keys *keys)
{
    if (keys->certificate)
        gnutls_certificate_free_credentials(keys->certificate);
    if (keys->psk)
        explicit_bzero(keys->psk, TRANSPORT_PSK_MAX * sizeof(*keys->psk));
    free(keys->psk);
    free(keys->peers);
    memset(keys, 0, sizeof(*keys));
}
