/* SPDX-License-Identifier: MIT */
/* Why something failed: one sentence, and the exit status that goes with it. */
#ifndef MIGRATE_ERROR_H
#define MIGRATE_ERROR_H

enum mig_status {
    MIG_DONE = 0,
    MIG_FAILED = 1,
    MIG_USAGE = 2,
    MIG_UNSUPPORTED = 3,
    MIG_UNAVAILABLE = 5,
    MIG_BAD_INPUT = 6,
    MIG_WRONG_STATE = 7,
    MIG_NO_GUEST = 8,
    MIG_STILL_HERE = 10, /* failed, the guest runs on at the source */
    MIG_CANCELLED = 11,  /* by the user, the guest runs on at the source */
    MIG_UNKNOWN = 13,    /* after the point of no return: the guest is held paused */
};

struct mig_error {
    int status; /* enum mig_status */
    char text[512];
};

/*
 * Records a failure and returns -1, so that `return mig_fail(...)` reads well. The first failure
 * stays: what a clean-up runs into later does not hide the cause.
 */
int mig_fail(struct mig_error *error, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence. Returns -1. */
int mig_explain(struct mig_error *error, const char *prefix);

#endif
