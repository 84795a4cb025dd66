/* SPDX-License-Identifier: MIT */
/*
 * The process that reads a stream. A stream is hostile, and a descriptor of privcmd is
 * all-powerful: so records are taken apart and checked in a child that has neither privcmd nor any
 * system call but read, write and exit (seccomp's strict mode). It hands checked records over a
 * pipe to the process that builds the guest.
 */
#ifndef STREAM_PARSER_H
#define STREAM_PARSER_H

#include "handover/handover_io.h"
#include "stream_read.h"
#include <sys/types.h>

/*
 * Pages do not go through the pipe: child and builder share some slots, and the child reads the
 * stream into them. Lists of pages do, so that what the builder has checked stays as it was; what
 * contents are is for the stream to say anyway, whenever the builder looks.
 */
#define STREAM_PARSER_SLOTS 3u

struct stream_parser {
    pid_t pid;               /* 0: not running */
    uint8_t *slots;          /* NULL: everything comes through the pipe */
    int returned_fd;         /* eventfd: how many slots the builder is done with */
    bool in_slot;            /* the last record's contents are in one */
    const uint8_t *contents; /* of the last record: what is behind the list of pages; or NULL */
    uint32_t list_bytes;     /* of that list */
    struct handover_io io;   /* in_fd: records and refusals */
    uint8_t *body;           /* STREAM_BODY_MAX bytes: the record's body */
    char message[256];       /* of a refusal */
};

/*
 * Starts the child on stream_fd, of which it reads up to the END record and not a byte more. Start
 * it before anything privileged is opened. origin names the stream in messages.
 */
int stream_parser_start(struct stream_parser *parser, int stream_fd, const char *origin,
                        unsigned stall_ms, const volatile sig_atomic_t *cancelled,
                        struct gw_error *err);

/*
 * The same with a chain of saved guests, the full one first: their records come as those of one
 * stream (stream_merge.h). paths are for messages. At most STREAM_CHAIN_MAX.
 */
int stream_parser_start_chain(struct stream_parser *parser, const int *fds,
                              const char *const *paths, unsigned n, unsigned stall_ms,
                              const volatile sig_atomic_t *cancelled, struct gw_error *err);

/*
 * The next checked record that is not to be skipped; the last is END. Its length is bounded by
 * STREAM_BODY_MAX whatever the child does. A refusal becomes the error (GW_EXIT_CONFIG).
 */
int stream_parser_next(struct stream_parser *parser, struct stream_record *ret_record,
                       struct gw_error *err);

/*
 * View of a PAGE_DATA record that stream_parser_next() has just returned, checked as by
 * stream_view_pages(). The contents may change meanwhile, if the child was taken over.
 */
int stream_parser_view_pages(const struct stream_parser *parser, const struct stream_record *record,
                             const struct stream_memory *memory, struct stream_pages *ret_pages,
                             const char **ret_why);

/* Ends the child. Idempotent; fine on a zeroed structure. */
void stream_parser_stop(struct stream_parser *parser);

#endif
