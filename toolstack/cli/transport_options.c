/* SPDX-License-Identifier: MIT */
#include "transport_options.h"

#include <stdio.h>
#include <string.h>

bool cli_transport_take(struct cli_transport *t, int option)
{
    switch (option) {
    case CLI_OPT_TLS_DIR:
        t->how.tls.dir = optarg;
        return true;
    case CLI_OPT_TLS_PSK:
        t->how.tls.psk_file = optarg;
        return true;
    case CLI_OPT_TLS_NAME:
        t->how.tls.name = optarg;
        return true;
    case CLI_OPT_INSECURE:
        t->insecure = true;
        return true;
    default:
        return false;
    }
}

bool cli_transport_is_url(const char *where)
{
    return strstr(where, "://") != NULL;
}

/* HOST:PORT or [ADDRESS]:PORT. */
static int split(struct cli_transport *t, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    unsigned long number;

    if (!colon || cli_parse_number(colon + 1, 0, 65535, &number) < 0)
        return -1;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    } else if (memchr(text, ':', length)) {
        return -1;
    }
    if (length >= sizeof(t->host))
        return -1;
    memcpy(t->host, text, length);
    snprintf(t->port, sizeof(t->port), "%lu", number);
    t->how.host = t->host;
    t->how.port = t->port;
    return 0;
}

static int resolve_url(struct cli_transport *t, const char *command, const char *url)
{
    bool tls = !strncmp(url, "tls://", 6);

    if (!tls && strncmp(url, "tcp://", 6) != 0)
        return cli_usage(command, "'%s' begins with neither tls:// nor tcp://", url);
    if (t->command)
        return cli_usage(command, "-s and '%s' exclude each other", url);
    if (split(t, url + 6))
        return cli_usage(command, "'%s' has not the form tls://HOST:PORT or tls://[ADDRESS]:PORT",
                         url);
    t->how.kind = tls ? GW_TRANSPORT_TLS : GW_TRANSPORT_TCP;
    if (tls)
        return 0;
    if (!t->insecure)
        return cli_usage(command, "tcp:// neither encrypts nor asks who is there: use tls://, or "
                                  "add --insecure");
    fprintf(stderr,
            "godwit %s: warning: whoever can reach the network can read and change the guest\n",
            command);
    return 0;
}

/*
 * The shell splits COMMAND, as xl's -s does, but never looks into HOST. An empty COMMAND makes HOST
 * a command of its own.
 */
static int resolve_command(struct cli_transport *t, const char *name, const char *host)
{
    const char *command = t->command ? t->command : "ssh";
    int n =
        snprintf(t->script, sizeof(t->script), "exec %s \"$1\" godwit migrate-receive", command);

    if (host[0] == '-')
        return cli_usage(name, "'%s' is not the name of a host", host);
    if (n < 0 || (size_t)n >= sizeof(t->script))
        return cli_usage(name, "the command of -s is too long");
    t->argv[0] = "sh";
    t->argv[1] = "-c";
    t->argv[2] = *command ? t->script : host;
    t->argv[3] = "godwit-migrate";
    t->argv[4] = host;
    t->how.command = (char *const *)t->argv;
    return 0;
}

int cli_transport_resolve(struct cli_transport *t, const char *command, const char *where)
{
    /* With an empty -s the host is a command, which may hold anything. */
    if (cli_transport_is_url(where) && !(t->command && !*t->command))
        return resolve_url(t, command, where);
    return resolve_command(t, command, where);
}
