/* SPDX-License-Identifier: MIT */
/*
 * Hosts in shared memory, so that processes can be killed and what they leave behind can be
 * looked at. Guests have memory that a thread of the test writes to while they are not paused, and
 * a dirty log.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include "host/migrate_host.h"
#include <pthread.h>
#include <stdatomic.h>

#define FAKE_HOSTS        3
#define FAKE_GUESTS       10   /* of each host */
#define FAKE_RAM_PAGES    512u /* at FAKE_RAM_GFN; the last one is the table of seeds */
#define FAKE_PAGES        (FAKE_RAM_PAGES + 1)
#define FAKE_RAM_GFN      0x40000ULL
#define FAKE_CONSOLE_GFN  0x39003ULL
#define FAKE_GFN_LIMIT    (FAKE_RAM_GFN + FAKE_RAM_PAGES)
#define FAKE_STATE_BYTES  64u
/* What a guest costs while its blocks are whole. */
#define FAKE_GUEST_FRAMES (FAKE_PAGES + 1)

#define FAKE_VCPUS  2u
#define FAKE_SAMPLE 64u /* one page in so many, where the MMU notes writes */

/* Counted as a hypervisor does: first writes to each page since the log was taken. */
struct fake_vcpu {
    _Atomic uint64_t dirty_pages; /* of the sample, if there is one */
    _Atomic uint64_t throttled;   /* steps that it had to miss */
    _Atomic uint64_t written;     /* pages, ever */
    _Atomic unsigned percent;
    unsigned credit; /* of the thread that runs it: percents of a step that it may do */
};

struct fake_guest {
    _Atomic bool used;
    uint32_t domid;
    char name[STREAM_NAME_BYTES_MAX + 1];
    struct stream_config config; /* text is unused: see text */
    char text[256];
    _Atomic int pauses;
    _Atomic bool stepping; /* the vCPU is between its look at pauses and the end of its step */
    _Atomic bool logging;
    _Atomic int log_owner;   /* the process that works with the log; dead: nobody does */
    _Atomic bool log_marked; /* its owner has begun to use it */
    _Atomic bool split;      /* its blocks, for the log: a table more */
    _Atomic uint64_t log_epoch;
    bool shut_down;
    char note[1024];           /* why it is held; "": it is not */
    bool readonly[FAKE_PAGES]; /* as memory */
    _Atomic uint64_t steps;
    struct fake_vcpu vcpus[FAKE_VCPUS];
    _Atomic bool sampling;
    _Atomic uint64_t dirty[(FAKE_GFN_LIMIT + 63) / 64];
    uint8_t state[FAKE_STATE_BYTES];
    uint8_t memory[FAKE_PAGES][STREAM_PAGE_BYTES]; /* 0: the console's, 1: first of RAM */
};

struct fake_host {
    _Atomic bool creating; /* a lock: several receivers make guests at once */
    struct stream_host facts;
    uint32_t next_domid;
    /* Switches of the tests. */
    uint8_t boot_id;
    bool forget_readonly; /* says yes and does nothing */
    bool refuse_create, refuse_state, refuse_pause, corrupt_write, other_layout;
    bool no_counts; /* a hypervisor that neither counts nor throttles */
    bool hardware;  /* the MMU notes writes: a vCPU is known by the sample only */
    bool refuse_throttle;
    bool forget_unthrottle; /* the end of logging gives no time back: who took it must */
    unsigned room;          /* for so many guests; 0: for FAKE_GUESTS */
    /* The call with this number, from 1 on, finds no memory; 0: none. */
    unsigned fail_call;
    _Atomic unsigned calls;
    _Atomic unsigned frames; /* that guests and their tables have */
    _Atomic unsigned log_starts, reads;
    _Atomic unsigned strays; /* pages asked for that the guest has not */
    _Atomic unsigned log_takes, merges, throttles;
    _Atomic uint64_t pages_read, pages_written; /* with contents */
    /* The host so many further on: what it had written when this one last paused a guest. */
    unsigned peer;
    uint64_t peer_wrote;
    unsigned write_us;                      /* that a call which writes pages takes */
    _Atomic unsigned writing, writing_most; /* such calls at once: now, and at the most */
    struct fake_guest guests[FAKE_GUESTS];
};

struct fake_world {
    struct fake_host hosts[FAKE_HOSTS];
    _Atomic bool stop;    /* ends the vCPU thread */
    _Atomic bool started; /* it runs */
    /* Pages that each vCPU writes in a step; all 0: an idle guest. */
    _Atomic unsigned busy, busy_second;
    _Atomic unsigned span; /* they write to the first so many pages of RAM; 0: to all of them */
    unsigned rest_us;      /* after a step of all; 0: a moment */
    _Atomic uint64_t steps;
    _Atomic bool ran_twice; /* a guest ran on two hosts */
};

/* The file descriptor is inherited by commands. */
struct fake_world *fake_world_create(int *ret_fd);
struct fake_world *fake_world_open(int fd);
struct migrate_opener fake_opener(struct fake_world *world, unsigned host);

/* A running guest with some pages full and some zero, all as its table of seeds says. */
struct fake_guest *fake_guest_add(struct fake_host *host, const char *name);
/* Ends it: its pages and tables are free. */
void fake_guest_remove(struct fake_host *host, struct fake_guest *guest);
/* Breaks its blocks for a log, or merges them. */
void fake_guest_split(struct fake_host *host, struct fake_guest *guest, bool split);
struct fake_guest *fake_guest_find(struct fake_host *host, const char *name);

/* Every page is what the guest's table says. The guest must be paused. */
bool fake_guest_is_sound(const struct fake_guest *guest);

/* What a vCPU does: runs in a thread of the test. */
void *fake_vcpus(void *world);
/* Starts it, and returns when it runs: a fork while a thread starts hangs under a sanitizer, whose
 * allocator may be locked in the copy for good. */
pthread_t fake_vcpus_start(struct fake_world *world);
/* Pauses without a hypercall's error handling. */
void fake_guest_pause(struct fake_guest *guest);
void fake_guest_unpause(struct fake_guest *guest);

#endif
