/* SPDX-License-Identifier: MIT */
/*
 * One migration between two fake hosts in which something breaks, and what must be true afterwards
 * whatever it was: matrix_check().
 */
#ifndef MATRIX_H
#define MATRIX_H

#include "cases.h"
#include "fake_host.h"
#include "faults.h"
#include <libgodwit/migrate.h>
#include <sys/types.h>

/* How it may end. */
enum matrix_end {
    END_MOVED = 1 << 0, /* it runs there */
    END_HERE = 1 << 1,  /* it runs here, as if nothing had been tried */
    END_HELD = 1 << 2,  /* after *go*: held here, and there it runs, or is paused, or is not */
    END_GONE = 1 << 3,  /* it ended by itself, or somebody ended it */
    END_OLD = 1 << 4,   /* it runs there, and what was it here is paused and has to be destroyed */
    END_ANY = END_MOVED | END_HERE | END_HELD,
};

struct matrix {
    struct fake_world *world;
    struct migrate_opener opener;
    pid_t vcpus;
    unsigned from;
    char dir[40], fd_text[16];
    char *command[8];
    struct gw_migrate_options options;
    struct gw_error err;
};

/* Two hosts, a guest "web" that works at the first, and nothing that breaks. */
void matrix_begin(struct matrix *m);
/* Its processes, its folder and its memory are gone. */
void matrix_end(struct matrix *m);

/* The next migration begins at this host, 0 as long as nobody says. */
void matrix_aim(struct matrix *m, unsigned host);
/* A migration,  and its exit status; or one to wait for. */
int matrix_migrate(struct matrix *m);
pid_t matrix_start(struct matrix *m);
int matrix_wait(struct matrix *m, pid_t pid);

/* Waits until n processes have stopped at their steps, and returns the number of one. */
pid_t matrix_await_stop(unsigned n);
/* Waits until there are `n` processes besides the vCPUs, which are those of the source. */
void matrix_await_processes(struct matrix *m, unsigned n);

/*
 * After a migration with this exit status: it ended in one of the ways allowed; there is exactly
 * one copy that may run; none ran twice; no process, page, table, mapping or file is left; nothing
 * is logged, split or throttled; and once nothing breaks any more the guest moves and all of its
 * memory is right.
 */
enum matrix_end matrix_check(struct matrix *m, int status, unsigned allowed);

/* For main(): what a receiver's process does; -1: this is none. */
int matrix_main(int argc, char **argv);

#endif
