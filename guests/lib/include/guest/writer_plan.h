/* SPDX-License-Identifier: MIT */
/*
 * What the `writer` guest and its control domain agree on: a mailbox page through which the guest
 * is told to do one thing at a time, each of which writes certain pages of a region and no others.
 */
#ifndef GUEST_WRITER_PLAN_H
#define GUEST_WRITER_PLAN_H

#include <guest/layout.h>
#include <stdatomic.h>
#include <stdint.h>
#include <xen/xen.h>

#define WRITER_MAILBOX_IPA  (GUEST_RAM0_BASE + GUEST_MAILBOX_OFFSET)
#define WRITER_REGION_IPA   (GUEST_RAM0_BASE + 0x800000)
#define WRITER_REGION_PAGES 4096u

/* a and b are pages of the region, by number. */
enum walk_entry {
    WALK_OLD,     /* its access flag is clear */
    WALK_SETTLED, /* there is nothing that a table walk could update */
    WALK_CLEAN,   /* its dirty state is clear */
};

enum writer_command {
    WRITER_READ,           /* a load from a */
    WRITER_STORE,          /* a store to a */
    WRITER_STORE_ALL,      /* a store to each page of [a, b) */
    WRITER_STORE_ABORTS,   /* stores of all kinds to a; result: how many were aborts */
    WRITER_CAS_FAILS,      /* a compare-and-swap on a that finds another value */
    WRITER_STXR_FAILS,     /* a store-exclusive on a without a reservation */
    WRITER_PREFETCH,       /* a prefetch for store of a */
    WRITER_PEEK,           /* result: the first word of a */
    WRITER_WALK_MAP,       /* maps b through a table in a; c: enum walk_entry */
    WRITER_WALK_LOAD,      /* a load through that mapping, after a TLBI */
    WRITER_WALK_STORE,     /* a store */
    WRITER_WALK_FETCH,     /* a jump to it (WRITER_CODE has written b) */
    WRITER_WALK_HYPERCALL, /* a hypercall that writes there */
    WRITER_CODE,           /* writes a return instruction to a */
    WRITER_HYPERCALL_OUT,  /* a hypercall that writes 16 bytes at the end of a, the start of a+1 */
    WRITER_HYPERCALL_IN,   /* a hypercall that reads a */
    WRITER_VCPU_INFO,      /* registers vcpu_info in a, and makes a port for WRITER_EVENT */
    WRITER_EVENT_CLEAR,    /* takes the events of the vcpu_info in a */
    WRITER_EVENT,          /* an event to itself */
    WRITER_RUNSTATE,       /* registers the runstate area in a */
    WRITER_NO_RUNSTATE,    /* and takes it back */
    WRITER_SHARED_INFO,    /* maps shared_info in place of a and writes it */
    WRITER_CONSOLE,        /* a character to the console */
    WRITER_GIVE_UP,        /* decrease_reservation of a */
    WRITER_TAKE,           /* populate_physmap of a */
};

struct writer_mailbox {
    _Atomic uint32_t request; /* control: release, pairs with the guest's acquire */
    _Atomic uint32_t done;    /* guest: release, pairs with control's acquire */
    uint32_t command;         /* enum writer_command */
    uint32_t has_lse;         /* guest, before its first done: CAS exists */
    uint32_t has_af;          /* the table walker sets access flags */
    uint32_t has_dbm;         /* and dirty state */
    uint64_t a, b, c;
    int64_t result; /* of what was told: 0 or what the hypercall said */
};

#endif
