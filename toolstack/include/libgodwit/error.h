/* SPDX-License-Identifier: MIT */
/*
 * Errors of libgodwit. A function that takes a struct gw_error returns 0, or -1 after it filled the
 * structure in: an exit code for the command, and one sentence that says what failed and why. The
 * library never prints and never exits.
 */
#ifndef LIBGODWIT_ERROR_H
#define LIBGODWIT_ERROR_H

#include <stddef.h>

/* Exit codes of every command; stable, documented in godwit(1). */
enum gw_exit {
    GW_EXIT_OK = 0,
    GW_EXIT_FAILED = 1,      /* anything without a code of its own */
    GW_EXIT_USAGE = 2,       /* wrong command line */
    GW_EXIT_UNSUPPORTED = 3, /* this hypervisor or CPU cannot do it */
    GW_EXIT_DENIED = 4,      /* permission */
    GW_EXIT_UNAVAILABLE = 5, /* hypervisor or daemon not there */
    GW_EXIT_CONFIG = 6,      /* configuration file invalid */
    GW_EXIT_STATE = 7,       /* guest is not in the needed state */
    GW_EXIT_NO_GUEST = 8,    /* no guest of that name */
    GW_EXIT_TIMEOUT = 9,
    GW_EXIT_MIGRATE_FAILED = 10,    /* guest still runs at the source */
    GW_EXIT_MIGRATE_CANCELLED = 11, /* by the user; guest still runs at the source */
    GW_EXIT_MIGRATE_DIVERGED = 12,  /* did not converge; guest still runs at the source */
    GW_EXIT_MIGRATE_UNKNOWN = 13,   /* past the point of no return: guest held paused */
    GW_EXIT_DETACHED = 130,         /* ^C twice: the rest is done in the background */
};

struct gw_error {
    enum gw_exit code; /* GW_EXIT_OK: nothing happened yet */
    char message[512]; /* one sentence, no newline at the end */
};

/* Fills err in, over what it held before. Returns -1, so that callers can `return gw_error_set()`.
 */
int gw_error_set(struct gw_error *err, enum gw_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed hypercall or system call: the code follows from error (an errno value,
 * either sign) and its text is appended after a colon. */
int gw_error_errno(struct gw_error *err, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "format: " in front of the message that err holds; keeps the code. Returns -1. */
int gw_error_prefix(struct gw_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes of somebody else's, made harmless for a terminal: as many as fit, others become dots. */
void gw_error_show_bytes(char *ret_text, size_t room, const void *bytes, size_t n);

#endif
