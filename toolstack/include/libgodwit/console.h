/* SPDX-License-Identifier: MIT */
/*
 * The console ring (xencons_interface) as its reader sees it. The other side is the hypervisor's
 * PL011, but the page belongs to the guest: every index is taken as hostile. One thread per ring.
 */
#ifndef LIBGODWIT_CONSOLE_H
#define LIBGODWIT_CONSOLE_H

#include <libgodwit/xen_abi.h>
#include <stddef.h>

/* Takes up to max bytes of guest output. ret_notify: tell the other side that there is room. */
size_t gw_console_ring_read(struct xencons_interface *ring, char *ret_data, size_t max,
                            int *ret_notify);
/* Bytes of input that the ring takes now. */
size_t gw_console_ring_room(struct xencons_interface *ring);
/* Puts up to n bytes of input; returns how many fitted. */
size_t gw_console_ring_write(struct xencons_interface *ring, const char *data, size_t n);

#define GW_CONSOLE_SOCKET "godwitd.sock" /* in gw_registry_dir() */

/*
 * Connects to the daemon and asks for the console of a guest: recent output and then what follows
 * comes out of the socket, what goes in is input. Returns the socket, or -1.
 */
struct gw_error;
int gw_console_connect(const char *name, struct gw_error *err);

#endif
