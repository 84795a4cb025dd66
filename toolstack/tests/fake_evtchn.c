/* SPDX-License-Identifier: MIT */
/* Event channels of the fake hypervisor: a pipe of port numbers per handle; one handle at a time.
 */
#include "fake_xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <xenevtchn.h>

#define PORTS_MAX 64

struct xenevtchn_handle {
    int read_fd, write_fd;
};

struct port {
    bool bound, masked;
    int virq; /* -1: interdomain */
    uint32_t domid, guest_port;
};

static struct port ports[PORTS_MAX];
static xenevtchn_handle *handle;
static unsigned notifies;

void fake_evtchn_reset(void)
{
    for (unsigned i = 0; i < PORTS_MAX; i++)
        ports[i].bound = false;
    notifies = 0;
}

unsigned fake_evtchn_notifies(void)
{
    return notifies;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    int fds[2];

    (void)logger;
    (void)flags;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return NULL;
    handle = calloc(1, sizeof(*handle));
    handle->read_fd = fds[0];
    handle->write_fd = fds[1];
    return handle;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    for (unsigned i = 0; i < PORTS_MAX; i++)
        ports[i].bound = false;
    close(xce->read_fd);
    close(xce->write_fd);
    free(xce);
    handle = NULL;
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    return xce->read_fd;
}

static int bind_port(const struct port *port)
{
    for (unsigned i = 1; i < PORTS_MAX; i++) {
        if (ports[i].bound)
            continue;
        ports[i] = *port;
        ports[i].bound = true;
        return (int)i;
    }
    errno = ENOSPC;
    return -1;
}

int xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    (void)xce;
    return bind_port(&(struct port){.virq = (int)virq});
}

int xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
    const struct fake_domain *d = fake_domain(domid);

    (void)xce;
    if (!d || d->vuart_port != remote_port) {
        errno = EINVAL;
        return -1;
    }
    return bind_port(&(struct port){.virq = -1, .domid = domid, .guest_port = remote_port});
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    ports[port].bound = false;
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    notifies += ports[port].bound;
    return ports[port].bound ? 0 : -1;
}

int xenevtchn_pending(xenevtchn_handle *xce)
{
    uint32_t port;

    if (read(xce->read_fd, &port, sizeof(port)) != sizeof(port))
        return -1;
    ports[port].masked = true;
    return (int)port;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    ports[port].masked = false;
    return 0;
}

static void raise_port(uint32_t port)
{
    if (handle && write(handle->write_fd, &port, sizeof(port)) != sizeof(port))
        abort(); /* a test that fills the pipe is wrong */
}

void fake_evtchn_raise_virq(unsigned virq)
{
    for (uint32_t i = 1; i < PORTS_MAX; i++)
        if (ports[i].bound && ports[i].virq == (int)virq)
            raise_port(i);
}

void fake_evtchn_raise_guest(uint32_t domid, uint32_t guest_port)
{
    for (uint32_t i = 1; i < PORTS_MAX; i++)
        if (ports[i].bound && ports[i].virq < 0 && ports[i].domid == domid &&
            ports[i].guest_port == guest_port)
            raise_port(i);
}
