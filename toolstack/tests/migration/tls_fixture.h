/* SPDX-License-Identifier: MIT */
/* Two fake hosts, a listener at the second, and keys: what the tests of sockets share. */
#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include "fake_host.h"

#include <libgodwit/migrate.h>
#include <sys/types.h>

struct tls_fixture {
    struct fake_world *world;
    struct migrate_opener source, destination;
    struct fake_guest *guest, *neighbour; /* the neighbour lives at the second host */
    pid_t vcpus;                          /* a process: what forks here must have one thread */
    struct gw_migrate_options options;
    struct gw_listen_options listening;
    struct gw_error err;
    int world_fd;
    pid_t listener;            /* 0: not running */
    void (*in_listener)(void); /* called first in its process; NULL: nothing to do */
    int log_fd;                /* the listener's lines */
    char log[16384];
    char port[8];
    char dirs[4][128];
    unsigned dirs_used;
};

/* Makes the keys once for the program; group fixtures. */
int tls_keys_set_up(void **state);
int tls_keys_tear_down(void **state);

int tls_set_up(void **state);
int tls_tear_down(void **state);

/* The folder of a role: see make_keys.sh. Valid until four more were asked for. */
const char *tls_dir(struct tls_fixture *f, const char *role);

/* Listens as `role` on a free port of 127.0.0.1; kind says with what. Sets the source's port. */
void tls_listen(struct tls_fixture *f, enum gw_transport_kind kind, const char *role);
/* Stops it with SIGTERM and expects that it says so and leaves with 0. */
void tls_stop(struct tls_fixture *f);

/* Migrates with the keys of a role. */
int tls_migrate(struct tls_fixture *f, const char *role);
void tls_assert_moves(struct tls_fixture *f, const char *role);
/* It runs at the source as before, and nothing of it is at the destination. */
void tls_assert_at_source(struct tls_fixture *f);
void tls_assert_says(struct tls_fixture *f, const char *words);
/* Waits for a line of the listener with these words in it, from the n-th byte of its log on. */
void tls_wait_log(struct tls_fixture *f, const char *words);
/* Forgets what the listener has said so far. */
void tls_forget_log(struct tls_fixture *f);

/* Nobody has touched the other guest of the second host. */
void tls_assert_neighbour_is_well(struct tls_fixture *f);

/* A connected socket to the listener. */
int tls_connect(struct tls_fixture *f);

/* The same, but does not wait until it is connected. */
int tls_connect_at_once(struct tls_fixture *f);

/*
 * A process that carries one connection to the listener and cuts it after so many bytes from the
 * source. f->port is its port then; *ret_old gets the listener's.
 */
pid_t tls_cut_after(struct tls_fixture *f, size_t bytes, char ret_old[8]);

/* A listening socket on a port of its own, which becomes f->port; *ret_old gets the one before. */
int tls_open_port(struct tls_fixture *f, char ret_old[8]);

/* A field of /proc/PID/status as a number; -1: the process or the field is not there. */
int tls_status_field(pid_t pid, const char *field);

/* Names of confined processes. */
#define TLS_PARSER "godwit-parser"
#define TLS_RELAY  "godwit-relay"

/* The confined process below `ancestor` with this name; 0: there is none. The second waits long. */
pid_t tls_look_for_process(pid_t ancestor, const char *name);
pid_t tls_find_process(pid_t ancestor, const char *name);

/* It holds so many sockets, a pipe or more, perhaps an eventfd, and nothing else. */
void tls_assert_holds(pid_t pid, unsigned sockets, unsigned most_pipes);

/* A migration in a process of its own, so that it can be looked at on its way. */
struct tls_journey {
    pid_t pid;
    struct gw_error *err; /* shared */
};

void tls_begin_journey(struct tls_fixture *f, struct tls_journey *j);
int tls_end_journey(struct tls_fixture *f, struct tls_journey *j);
/* Listens with GODWIT_FAIL_AT=step, and begins: returns when the receiver has made the guest. */
void tls_begin_and_hang(struct tls_fixture *f, struct tls_journey *j, enum gw_transport_kind kind,
                        const char *step);

#endif
