/* SPDX-License-Identifier: MIT */
/* Clients on the unix socket: one line says what they want, then bytes go both ways. */
#include <errno.h>
#include <libgodwit/console.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"

int clients_listen(struct daemon *d, struct gw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t old_mask;
    int rc;

    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++)
        d->clients[i].fd = -1;
    rc = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" GW_CONSOLE_SOCKET,
                  gw_registry_dir());
    if (rc < 0 || (size_t)rc >= sizeof(address.sun_path))
        return gw_error_set(err, GW_EXIT_FAILED, "the name of the socket is too long");
    d->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->listen_fd < 0)
        return gw_error_errno(err, errno, "cannot make a socket");
    unlink(address.sun_path); /* of a daemon that is gone: the lock says that we are the only one */
    old_mask = umask(0177);
    rc = bind(d->listen_fd, (struct sockaddr *)&address, sizeof(address));
    umask(old_mask);
    if (rc < 0 || listen(d->listen_fd, 16) < 0)
        return gw_error_errno(err, errno, "cannot listen on %s", address.sun_path);
    return 0;
}

void client_close(struct client *client)
{
    close(client->fd);
    *client = (struct client){.fd = -1};
}

void clients_close_console(struct daemon *d, const struct console *console)
{
    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++)
        if (d->clients[i].fd >= 0 && d->clients[i].console == console)
            client_close(&d->clients[i]);
}

void client_accept(struct daemon *d)
{
    int fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++) {
        if (d->clients[i].fd < 0) {
            d->clients[i] = (struct client){.fd = fd};
            return;
        }
    }
    dprintf(fd, "too many clients\n");
    close(fd);
}

static void answer(struct client *client, const char *text)
{
    /* A few bytes into an empty socket buffer; a client that cannot take them is beyond help. */
    if (write(client->fd, text, strlen(text)) < 0)
        client_close(client);
}

static void handle_request(struct daemon *d, struct client *client)
{
    static const char verb[] = "console ";
    struct console *console;

    if (strncmp(client->line, verb, sizeof(verb) - 1) != 0) {
        answer(client, "unknown request\n");
        client_close(client);
        return;
    }
    console = console_find(d, client->line + sizeof(verb) - 1);
    if (!console) {
        /* Registered a moment ago: the notification is still on its way. */
        lifecycle_sync(d);
        console = console_find(d, client->line + sizeof(verb) - 1);
    }
    if (!console) {
        answer(client, "there is no console of that guest\n");
        client_close(client);
        return;
    }
    client->console = console;
    client->position = backlog_oldest(&console->backlog);
    answer(client, "ok\n");
}

static void read_request(struct daemon *d, struct client *client)
{
    char c;
    ssize_t n = 0;

    while (!client->console && (n = read(client->fd, &c, 1)) == 1) {
        if (c == '\n') {
            client->line[client->line_n] = '\0';
            handle_request(d, client);
            return;
        }
        if (client->line_n + 1 >= sizeof(client->line))
            break;
        client->line[client->line_n++] = c;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    client_close(client);
}

void client_read(struct daemon *d, struct client *client)
{
    char data[512];
    ssize_t n;
    size_t done;

    if (!client->console) {
        read_request(d, client);
        return;
    }
    /* Only what the ring takes is removed from the socket: the rest waits there. */
    n = recv(client->fd, data, sizeof(data), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_close(client);
        return;
    }
    done = console_input(d, client->console, data, (size_t)n);
    if (done && read(client->fd, data, done) < 0)
        client_close(client);
}

void client_write(struct daemon *d, struct client *client)
{
    const char *data;
    size_t n;

    (void)d;
    while ((n = backlog_peek(&client->console->backlog, &client->position, &data)) > 0) {
        ssize_t done = send(client->fd, data, n, MSG_NOSIGNAL);

        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (done < 0) {
            client_close(client);
            return;
        }
        client->position += (uint64_t)done;
    }
}
