/* SPDX-License-Identifier: MIT */
/*
 * What breaks in a test, and when: calls of the C library, allocations and steps of the protocol
 * are bent by the linker (--wrap), and a page of memory that all processes of a test share says
 * which of them fails.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "fake_host.h"
#include <libgodwit/error.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_CUT_WRITE, /* the process's next write is short, and all later ones fail */
    FAULT_DESTROY,   /* somebody destroys the guest, on the side of the step */
    FAULT_SHUT_DOWN, /* the guest ends by itself */
    FAULT_RESTART,   /* it is destroyed and another of its name is made */
    FAULT_TAKE_NAME, /* another guest of its name is made */
};

enum fault_side { FAULT_SOURCE, FAULT_DESTINATION, FAULT_SIDES };

struct faults {
    /* The plan. */
    char step[32]; /* where `kind` happens, once; "": nowhere */
    enum fault_kind kind;
    unsigned fail_allocation[FAULT_SIDES]; /* counted from 1; 0: none */
    bool count_writes;                     /* of files, at the source */
    unsigned fail_write;                   /* from this one on: ENOSPC; 0: none */
    bool short_writes;                     /* no write carries all */
    _Atomic bool hurry;                    /* time flies: what waits for somebody gives up soon */
    /* What was seen. */
    _Atomic bool happened;
    _Atomic unsigned allocations[FAULT_SIDES], writes;
    _Atomic uint64_t carried[2]; /* by the wire, there and back */
    struct gw_error err;         /* of the last migration that ran in a process of its own */
};

/* NULL: nothing breaks. Inherited by children. */
extern struct faults *faults;
/* What this process works for; FAULT_SIDES: for the test, and nothing breaks in it. */
extern enum fault_side faults_side;
extern struct fake_world *faults_world;
extern unsigned faults_host; /* that this side is at */

/* A page in the folder, new or the one that is there. */
struct faults *faults_make(const char *dir);

#endif
