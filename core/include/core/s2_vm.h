/* SPDX-License-Identifier: MIT */
/*
 * The state of one VM's stage 2 and dirty log. Embed it by value in whatever a
 * VM is; only core/ looks inside. Needs 64-byte alignment.
 */
#ifndef CORE_S2_VM_H
#define CORE_S2_VM_H

#include <core/addr.h>
#include <stdatomic.h>

#define S2_CPUS_MAX 64

/* Who set a bit of the dirty log. */
enum dirty_log_writer {
    DIRTY_WRITER_VCPU,      /* a vCPU's first write to a page, or its table walker's, by a fault */
    DIRTY_WRITER_HARDWARE,  /* a vCPU, noticed by the MMU and found by a harvest */
    DIRTY_WRITER_HYPERCALL, /* output of a hypercall */
    DIRTY_WRITER_SHARED,    /* vcpu_info, runstate: what the hypervisor keeps telling the guest */
    DIRTY_WRITER_DEVICE,    /* an emulated device */
    DIRTY_WRITER_FOREIGN,   /* a writable mapping in another VM: pins */
    DIRTY_WRITER_MODEL,     /* a device model outside the hypervisor said so */
    DIRTY_WRITER_MAPPING,   /* no write: the page was mapped while logging was on */
    DIRTY_WRITER_BLOCK,     /* no write: neighbours in a block that had to be opened as a whole */
    DIRTY_WRITERS,
};

/*
 * One CPU's lines: nobody else writes them, so a fault touches no shared counter. A first write
 * touches the first line only.
 */
struct s2_cpu_line {
    _Alignas(64) _Atomic uint32_t reading; /* this CPU holds the read lock */
    _Atomic uint64_t faults_reopened; /* opened a page that was marked already, or is not logged */
    _Atomic uint64_t faults_spurious;
    _Atomic uint64_t faults_split;
    _Atomic uint64_t faults_walk;             /* of any kind, by the guest's own table walker */
    _Atomic uint64_t bits_set[DIRTY_WRITERS]; /* zero to one; the first shares the first line */
    _Atomic uint64_t harvested, returned;     /* bits taken, and those put back */
};

/* Reader-writer lock: readers write only their own line, writers take tickets. Does not nest. */
struct s2_rwlock {
    _Atomic uint32_t writing;
    _Atomic uint32_t ticket_next;
    _Atomic uint32_t ticket_owner;
    struct s2_cpu_line cpu[S2_CPUS_MAX];
};

struct s2_spinlock {
    _Atomic uint32_t held;
};

/* Prepaid table pages, a list of runs. */
struct s2_pool {
    struct s2_spinlock lock;
    struct s2_pool_run *first;
    uint64_t pages;
};

struct dirty_log_options {
    bool hardware;    /* the CPU notes first writes in the descriptors: no faults */
    bool eager_split; /* blocks become pages while logging is being enabled, not on first write */
};

/* In the order in which they are gone through; each but OFF and ON takes many bounded steps. */
enum dirty_log_state {
    DIRTY_LOG_OFF,     /* no bitmap; every S2_RAM_RW leaf is writable */
    DIRTY_LOG_PREPARE, /* enabling: bitmaps and prepaid tables are being allocated */
    DIRTY_LOG_PROTECT, /* enabling: leaves are being write-protected, faults mark */
    DIRTY_LOG_ON,      /* faults mark */
    DIRTY_LOG_MERGE,   /* turning off: tables become open blocks, nothing is marked any more */
    DIRTY_LOG_OPEN,    /* turning off: the leaves that are left are being opened */
    DIRTY_LOG_FREE,    /* turning off: bitmaps and prepaid tables are being freed */
};

/* The log of 32768 pages (128 MiB), the unit in which bitmaps are allocated. */
#define DIRTY_LOG_CHUNK_WORDS   512u
#define DIRTY_LOG_SUMMARY_WORDS 8u

struct dirty_log_chunk {
    _Alignas(128) _Atomic uint64_t *bits; /* one bit per page; NULL: no RAM in this chunk */
    _Atomic uint64_t *taken;              /* reported by the open session, not committed yet */
    uint64_t taken_epoch;                 /* taken_summary is valid if this is the log's epoch */
    _Atomic uint64_t summary[DIRTY_LOG_SUMMARY_WORDS]; /* one bit per non-zero word of bits */
    uint64_t taken_summary[DIRTY_LOG_SUMMARY_WORDS];   /* one bit per valid word of taken */
    _Atomic uint64_t tracked; /* one bit per 2 MiB whose leaf table may hold tracked pages */
};

/* The records of 2 GiB, one page. */
#define DIRTY_LOG_GROUP_CHUNKS 16u

struct dirty_log_group {
    struct dirty_log_chunk chunks[DIRTY_LOG_GROUP_CHUNKS];
};

/* The same one level up: one bit per chunk, of 64 of them. */
struct dirty_log_top {
    _Atomic uint64_t marked;  /* its summary may not be zero */
    _Atomic uint64_t tracked; /* its word tracked may not be zero */
};

struct dirty_log {
    struct s2_spinlock control; /* one step of enable or off at a time; taken before s2_vm.lock */
    _Atomic uint32_t state;     /* enum dirty_log_state; changes under the write lock only */
    /* A first write is a fault that opens and marks, and nothing else: changes with state. */
    _Atomic uint32_t opens_on_fault;
    struct dirty_log_options options; /* do not change while state is not OFF */
    struct dirty_log_group **groups;  /* by gfn >> 19; NULL: no RAM in there */
    struct dirty_log_top *top;        /* one for every 64 chunks; behind groups */
    uint64_t group_count;
    unsigned groups_order;         /* pages that groups and top occupy, as a power of two */
    uint64_t first_gfn, limit_gfn; /* all RAM is between */
    uint64_t tables_needed;        /* to split every block, as last counted */
    ipa_t cursor;                  /* how far the state's steps have come */
    uint64_t epoch;                /* of the open or next harvest session */
    _Atomic uint32_t session;      /* 1: a harvest session is open */
    _Atomic uint32_t sampling;     /* asked for: who writes is to be found out. Relaxed */
    uint32_t sample;      /* the session's: 1 + which of 64 pages; LOG_SAMPLE_*, see log.h */
    uint64_t returned_to; /* the session's: pages below are put back; 0: no abort has begun */
};

/* Pages that others may write without a fault: a hash table from gfn to count. */
struct dirty_pins {
    struct s2_spinlock lock;
    uint64_t *entries; /* NULL when there are none */
    unsigned order;    /* pages that entries occupies, as a power of two */
    uint64_t occupied; /* bit i: the i-th 64th of entries may hold some */
    _Atomic uint64_t used;
};

/* One watched range, see dirty_track.h. Changes under the write lock. */
struct dirty_track {
    uint64_t first_gfn;
    uint64_t pages;            /* 0: nothing is watched */
    _Atomic uint64_t *pending; /* written and not reported */
    uint64_t *reported;        /* behind pending: taken by a call that is not over */
    unsigned order;            /* pages that both occupy, as a power of two */
};

struct s2_vm {
    pa_t root;
    uint64_t window; /* where find_linear sees the leaf tables; the port knows what it means */
    uint64_t root_register;
    uint64_t control_register;
    uint16_t vmid;
    uint8_t ipa_bits;
    uint8_t root_level;                  /* 0 or 1 */
    uint8_t root_order;                  /* concatenated root tables, as a power of two */
    uint8_t cpus;                        /* that may take the lock */
    uint64_t ram_first_gfn, ram_end_gfn; /* RAM was never mapped outside; equal: nowhere */

    struct dirty_log log;
    struct s2_pool pool;
    struct dirty_pins pins;
    struct dirty_track track;

    _Atomic uint64_t tables;
    _Atomic uint64_t splits;
    _Atomic uint64_t merges;
    _Atomic uint64_t invalidations;

    struct s2_rwlock lock; /* last: it is large, and what is before it has small offsets */
};

#endif
