/* SPDX-License-Identifier: MIT */
/* What a relay gives up before it listens to the other side. */
#ifndef TRANSPORT_CONFINE_H
#define TRANSPORT_CONFINE_H

#include <libgodwit/error.h>
#include <sys/types.h>

/*
 * From here on this process can move bytes between the descriptors that it has, and allocate
 * memory: any other system call fails with EPERM (seccomp). It is nobody if it was root, leaves no
 * core file, and cannot be looked into by others. There is no way back.
 * It gets SIGTERM when its parent dies; if that has happened already, this fails.
 */
int transport_confine(pid_t parent, struct gw_error *err);

#endif
