/* SPDX-License-Identifier: MIT */
/* How two hosts reach each other: URLs and the options that migrate and migrate-receive share. */
#ifndef CLI_TRANSPORT_OPTIONS_H
#define CLI_TRANSPORT_OPTIONS_H

#include <libgodwit/migrate.h>

#include "cli.h"

enum { CLI_OPT_TLS_DIR = CLI_OPT_OWN + 1000, CLI_OPT_TLS_PSK, CLI_OPT_TLS_NAME, CLI_OPT_INSECURE };

#define CLI_TRANSPORT_OPTIONS                                                                      \
    {"tls-dir", required_argument, NULL, CLI_OPT_TLS_DIR},                                         \
        {"tls-psk", required_argument, NULL, CLI_OPT_TLS_PSK},                                     \
    {                                                                                              \
        "insecure", no_argument, NULL, CLI_OPT_INSECURE                                            \
    }

struct cli_transport {
    struct gw_transport how;
    const char *command; /* -s; NULL: ssh */
    bool insecure;
    char host[256], port[16]; /* of a URL */
    char script[1024];
    const char *argv[6];
};

/* Takes one of the options above, with its argument in optarg; false: it is another one. */
bool cli_transport_take(struct cli_transport *transport, int option);

/* tls://HOST:PORT or tcp://HOST:PORT. */
bool cli_transport_is_url(const char *where);

/*
 * Fills in transport->how. where: a URL, or a host for the command. 0, or GW_EXIT_USAGE with the
 * message printed for `command`. Prints the warning that belongs to tcp://.
 */
int cli_transport_resolve(struct cli_transport *transport, const char *command, const char *where);

#endif
