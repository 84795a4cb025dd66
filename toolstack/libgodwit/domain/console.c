/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgodwit/console.h>
#include <libgodwit/error.h>
#include <libgodwit/registry.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t load_index(const XENCONS_RING_IDX *index)
{
    return atomic_load_explicit((const _Atomic uint32_t *)index, memory_order_acquire);
}

static void store_index(XENCONS_RING_IDX *index, uint32_t value)
{
    atomic_store_explicit((_Atomic uint32_t *)index, value, memory_order_release);
}

size_t gw_console_ring_read(struct xencons_interface *ring, char *ret_data, size_t max,
                            int *ret_notify)
{
    /* Acquire pairs with the release store of out_prod by the hypervisor's PL011. */
    uint32_t prod = load_index(&ring->out_prod);
    uint32_t cons = load_index(&ring->out_cons);
    uint32_t used = prod - cons;
    size_t n = 0;

    *ret_notify = 0;
    if (used > sizeof(ring->out)) {
        /* The guest scribbled over the indices: what is there cannot be trusted, start anew. */
        store_index(&ring->out_cons, prod);
        return 0;
    }
    while (n < max && n < used) {
        ret_data[n] = ring->out[MASK_XENCONS_IDX(cons + n, ring->out)];
        n++;
    }
    /* Release: the bytes were read before the hypervisor may overwrite them. */
    store_index(&ring->out_cons, cons + (uint32_t)n);
    *ret_notify = n > 0;
    return n;
}

size_t gw_console_ring_room(struct xencons_interface *ring)
{
    /* Acquire pairs with the release store of in_cons by the hypervisor's PL011. */
    uint32_t used = load_index(&ring->in_prod) - load_index(&ring->in_cons);

    /* Indices that the guest scribbled over count as an empty ring: the next write sets them right.
     */
    return used > sizeof(ring->in) ? sizeof(ring->in) : sizeof(ring->in) - used;
}

size_t gw_console_ring_write(struct xencons_interface *ring, const char *data, size_t n)
{
    uint32_t cons = load_index(&ring->in_cons); /* acquire: as in gw_console_ring_room() */
    uint32_t prod = load_index(&ring->in_prod);
    size_t room, done;

    if (prod - cons > sizeof(ring->in))
        prod = cons;
    room = sizeof(ring->in) - (prod - cons);
    for (done = 0; done < n && done < room; done++)
        ring->in[MASK_XENCONS_IDX(prod + done, ring->in)] = data[done];
    /* Release pairs with the hypervisor's acquire load of in_prod: bytes before index. */
    store_index(&ring->in_prod, prod + (uint32_t)done);
    return done;
}

static int read_line(int fd, char *ret_line, size_t bytes)
{
    size_t n = 0;

    while (n + 1 < bytes) {
        ssize_t got = read(fd, &ret_line[n], 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        if (ret_line[n] == '\n')
            break;
        n++;
    }
    ret_line[n] = '\0';
    return 0;
}

int gw_console_connect(const char *name, struct gw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char line[256];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" GW_CONSOLE_SOCKET,
             gw_registry_dir());
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        gw_error_errno(err, errno, "cannot reach godwitd, which serves consoles (%s)",
                       address.sun_path);
        if (err->code != GW_EXIT_DENIED)
            err->code = GW_EXIT_UNAVAILABLE;
        goto fail;
    }
    if (dprintf(fd, "console %s\n", name) < 0 || read_line(fd, line, sizeof(line)) < 0) {
        gw_error_set(err, GW_EXIT_UNAVAILABLE, "godwitd did not answer");
        goto fail;
    }
    if (strcmp(line, "ok") != 0) {
        gw_error_set(err, GW_EXIT_STATE, "godwitd: %s", line);
        goto fail;
    }
    return fd;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}
