/* SPDX-License-Identifier: MIT */
/* The guest "web" on one fake host, written to by its vCPUs, and all it takes to move it. */
#ifndef FAKE_MOVE_H
#define FAKE_MOVE_H

#include "fake_host.h"

#include <libgodwit/migrate.h>

struct fake_move {
    struct fake_world *world;
    struct migrate_opener source;
    struct fake_guest *guest; /* at host 0 */
    pthread_t vcpus;
    char *command[4]; /* this program with "--receive" and fd_text */
    char fd_text[16]; /* of the world */
    struct gw_migrate_options options;
    struct gw_error err;
};

/* vCPU 0 writes `busy` pages a step. Of the options a test may change any. NULL: no memory. */
struct fake_move *fake_move_begin(unsigned busy);
/* Stops the vCPUs; nothing of it is left. */
void fake_move_end(struct fake_move *move);

/* What `main` does with the arguments in command: host 1 takes the guest in. */
_Noreturn void fake_move_receive(const char *fd_text);

/* Host 1 has no guest. Its receiver may still be at work: it has 5 s. */
bool fake_move_left_nothing(struct fake_move *move);

#endif
