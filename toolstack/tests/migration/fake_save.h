/* SPDX-License-Identifier: MIT */
/* The guest "web" on a fake host, written to by its vCPUs, and a folder to save it in. */
#ifndef FAKE_SAVE_H
#define FAKE_SAVE_H

#include "fake_host.h"

#include <libgodwit/migrate.h>
#include <sys/types.h>

#define FAKE_SAVE_FILES 4

struct fake_save {
    struct fake_world *world;
    struct migrate_opener opener;
    struct fake_guest *guest; /* the first one; NULL finds none */
    pthread_t vcpus;
    int fd; /* of the world */
    char folder[64], files[FAKE_SAVE_FILES][96];
    struct gw_error err; /* of the last save or restore; all of this is shared with children */
};

/* vCPU 0 writes `busy` pages a step. NULL: no memory, or no folder. */
struct fake_save *fake_save_begin(unsigned busy);
/* Stops the vCPUs and removes the files. False: something else was left in the folder. */
bool fake_save_end(struct fake_save *f);

/* To file i, since another one (-1: all); lets the guest run on, and leaves its log on. */
struct gw_save_options fake_save_options(struct fake_save *f, unsigned i, int since);
int fake_save_run(struct fake_save *f, const struct gw_save_options *options);
/* The same in a process of its own, whose exit status it is. */
pid_t fake_save_start(struct fake_save *f, const struct gw_save_options *options);
/* From the n files named, with a comparison; the guest is left paused. */
int fake_save_restore(struct fake_save *f, const unsigned *which, unsigned n);

/* The guest of this name, as it is now; NULL: there is none. */
struct fake_guest *fake_save_guest(struct fake_save *f);
/* The guest has done something since. */
void fake_save_let_work(struct fake_save *f);

#endif
