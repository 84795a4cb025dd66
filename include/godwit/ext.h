/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls of Godwit's own, beside Xen's: `hvc #0xEA1` with x16 = GODWIT_HYPERCALL, x0 = op,
 * x1 = pointer to the op's structure. Control domain only (-EPERM). Unknown op: -ENOSYS.
 */
#ifndef GODWIT_EXT_H
#define GODWIT_EXT_H

#include <stdint.h>

#define GODWIT_HYPERCALL 55 /* __HYPERVISOR_arch_7 */

enum godwit_op {
    GODWIT_OP_VERSION = 0,       /* x1 unused; returns GODWIT_ABI_VERSION */
    GODWIT_OP_POWER_KEY = 1,     /* struct godwit_domain_op: presses the guest's power key */
    GODWIT_OP_STATS = 2,         /* struct godwit_stats: counters of a domain */
    GODWIT_OP_HOST_INFO = 3,     /* struct godwit_host_info */
    GODWIT_OP_DIRTY_RANGES = 4,  /* struct godwit_dirty_ranges: which pages a guest wrote */
    GODWIT_OP_READONLY = 5,      /* struct godwit_readonly: where a domain has read-only memory */
    GODWIT_OP_LOGDIRTY = 6,      /* struct godwit_logdirty: how writes are noticed */
    GODWIT_OP_VCPU_STATS = 7,    /* struct godwit_vcpu_stats: what logging costs a vCPU */
    GODWIT_OP_VCPU_THROTTLE = 8, /* struct godwit_vcpu_throttle: takes CPU time from a vCPU */
    GODWIT_OP_WRITER_SAMPLE =
        9,                /* struct godwit_writer_sample: who writes, when the MMU notes it */
    GODWIT_OP_PAGES = 10, /* struct godwit_pages: contents of a guest's pages */
};

#define GODWIT_ABI_VERSION 3

/*
 * Guests never get the last of the memory: Linux as control domain does not survive a
 * decrease_reservation that fails because a block could not be split.
 */
#define GODWIT_RESERVED_PAGES 1024u

/* Indices into id_aa64, the registers as guests see them. The stream keeps this order for ever. */
enum godwit_id_register {
    GODWIT_ID_PFR0 = 0,
    GODWIT_ID_PFR1 = 1,
    GODWIT_ID_ZFR0 = 2,
    GODWIT_ID_SMFR0 = 3,
    GODWIT_ID_DFR0 = 4,
    GODWIT_ID_DFR1 = 5,
    GODWIT_ID_ISAR0 = 6,
    GODWIT_ID_ISAR1 = 7,
    GODWIT_ID_ISAR2 = 8,
    GODWIT_ID_MMFR0 = 9,
    GODWIT_ID_MMFR1 = 10,
    GODWIT_ID_MMFR2 = 11,
    GODWIT_ID_CTR_EL0 = 12,
    GODWIT_ID_DCZID_EL0 = 13,
    GODWIT_ID_MIDR = 14, /* index 15 is reserved, 0 */
    GODWIT_ID_COUNT = 16,
};

struct godwit_domain_op {
    uint16_t domid;
    uint16_t pad[3]; /* 0 */
};

/* Indices into godwit_stats.bits_set: who set bits of the dirty log. New ones go to the end. */
enum godwit_writer {
    GODWIT_WRITER_VCPU = 0,      /* a vCPU's first write to a page, noticed by a fault */
    GODWIT_WRITER_HARDWARE = 1,  /* a vCPU's write, noticed by the MMU */
    GODWIT_WRITER_HYPERCALL = 2, /* output of a hypercall */
    GODWIT_WRITER_SHARED = 3,    /* vcpu_info, runstate */
    GODWIT_WRITER_DEVICE = 4,    /* an emulated device */
    GODWIT_WRITER_FOREIGN = 5,   /* a writable mapping in the control domain */
    GODWIT_WRITER_MODEL = 6,     /* a device model, by dm_op */
    GODWIT_WRITER_MAPPING = 7,   /* no write: the page was mapped while logging was on */
    GODWIT_WRITER_BLOCK = 8,     /* no write: neighbours in a block that was opened as a whole */
    GODWIT_WRITERS = 16,         /* room in the structure */
};

/*
 * bytes: in, the size of the caller's structure (-EINVAL: less than the first 8 bytes); out, how
 * many bytes the hypervisor has written. A later version appends fields.
 */
struct godwit_stats {
    uint16_t domid;
    uint16_t pad; /* 0 */
    uint32_t bytes;
    uint64_t leaves[4]; /* mapped leaves by level (1: 1 GiB, 2: 2 MiB, 3: 4 KiB) */
    uint64_t tables;    /* stage-2 table pages in use */
    uint64_t tables_prepaid;
    uint64_t faults_first_write;
    uint64_t faults_spurious;
    uint64_t faults_split;
    uint64_t splits;
    uint64_t merges;
    uint64_t invalidations;
    uint64_t hv_bytes; /* hypervisor memory that this domain costs */
    uint64_t console_dropped_bytes;
    uint32_t logdirty; /* 1: logging is on */
    uint32_t pad2;
    uint64_t faults_walk; /* of the faults above, those that the guest's own table walks took */
    uint64_t harvested;   /* pages that CLEAN took from the log */
    uint64_t returned;    /* and those that went back because the CLEAN failed */
    uint64_t bits_set[GODWIT_WRITERS];
    uint32_t tracking;      /* enum godwit_tracking, never DEFAULT: in use, or of the next ENABLE */
    uint32_t split;         /* enum godwit_split, the same */
    uint32_t host_tracking; /* enum godwit_tracking: the best that all CPUs of the host can do */
    uint32_t pad3;
};

/* How writes to pages of a logged domain are noticed. */
enum godwit_tracking {
    GODWIT_TRACKING_DEFAULT = 0,  /* as the hypervisor's command line says, or the best there is */
    GODWIT_TRACKING_FAULT = 1,    /* a fault for the first write to each page */
    GODWIT_TRACKING_HARDWARE = 2, /* the MMU notes it */
};

/* When blocks of memory become pages that can be logged one by one. */
enum godwit_split {
    GODWIT_SPLIT_DEFAULT = 0, /* as the hypervisor's command line says, or lazy */
    GODWIT_SPLIT_LAZY = 1,    /* on the first write */
    GODWIT_SPLIT_EAGER = 2,   /* while logging is being enabled */
};

/*
 * What a domain's log does from the next ENABLE on. -EINVAL: no such value; -EBUSY: logging is on;
 * -EOPNOTSUPP: GODWIT_TRACKING_HARDWARE, and not all CPUs of the host note writes.
 */
struct godwit_logdirty {
    uint16_t domid;
    uint8_t tracking; /* enum godwit_tracking */
    uint8_t split;    /* enum godwit_split */
    uint32_t pad;     /* 0 */
};

/*
 * What a vCPU did and lost since logging was switched on last. bytes as in godwit_stats, but at
 * least the first 16. -ENOENT: there is no such vCPU. The times overlap where the vCPU would have
 * been stopped for two reasons.
 */
struct godwit_vcpu_stats {
    uint16_t domid;
    uint16_t pad; /* 0 */
    uint32_t bytes;
    uint32_t vcpu;
    uint32_t pad2;        /* 0 */
    uint64_t faults;      /* write faults */
    uint64_t dirty_pages; /* of them, first writes to a page: see pages_per_count */
    uint64_t fault_ns;
    uint64_t throttle_ns; /* kept from running by the throttle while it had work */
    uint64_t harvest_ns;  /* waited for a lock that a harvest held */
    uint64_t pause_ns;    /* kept from running by a pause while it had work */
    uint32_t throttle_percent;
    uint32_t pages_per_count; /* 1: dirty_pages is exact; N: it counts a sample of one page in N;
                                 0: the MMU notes writes, and nobody has asked for a sample */
};

/*
 * Takes a share of its CPU time from a vCPU, or from all: it does not run for percent (0 to 99) of
 * each period, even on a CPU that is idle. Ends with the logging: -EINVAL when that is off, or for
 * another percent; -ENOENT: there is no such vCPU.
 */
#define GODWIT_VCPU_ALL UINT32_MAX

struct godwit_vcpu_throttle {
    uint16_t domid;
    uint16_t pad[3]; /* 0 */
    uint32_t vcpu;   /* or GODWIT_VCPU_ALL */
    uint32_t percent;
};

/*
 * Where the MMU notes writes nobody knows which vCPU made them. enable 1: from the next harvest on
 * one page in GODWIT_SAMPLE_PAGES takes a fault for its first write instead, each round another
 * one. 0: no longer. Where each first write is a fault anyway this does nothing. Ends with the
 * logging: -EINVAL when that is off, or for another value.
 */
#define GODWIT_SAMPLE_PAGES 64u

struct godwit_writer_sample {
    uint16_t domid;
    uint16_t pad; /* 0 */
    uint32_t enable;
};

struct godwit_host_info {
    uint64_t id_aa64[16]; /* ID registers as guests see them, see enum godwit_id_register */
    uint64_t cntfrq_hz;
    uint64_t free_pages;
    uint64_t hv_pages; /* frames in use by the hypervisor's own allocations */
    uint32_t cpus;
    uint32_t lr_count;
};

struct godwit_range {
    uint64_t first_gfn, pages;
};

/*
 * Pages that the guest wrote since the last call (or CLEAN), in ascending order, whole ranges only.
 * As CLEAN it takes them from the log, protects them again and invalidates before it returns; on
 * any error all of them go back. It ends where the room ends: it is to be repeated until first_gfn
 * is end_gfn, and what the caller has got by then is his, whatever the next call says. Logging is
 * off: -EINVAL. Somebody else's call is unfinished: -EBUSY.
 */
#define GODWIT_DIRTY_PEEK  1u /* take nothing from the log */
#define GODWIT_DIRTY_FINAL 2u /* pages the hypervisor may write at any time count as written */

struct godwit_dirty_ranges {
    uint16_t domid;
    uint16_t pad;       /* 0 */
    uint32_t flags;     /* GODWIT_DIRTY_* */
    uint64_t first_gfn; /* in: a multiple of 64; out: where to go on */
    uint64_t end_gfn;   /* only pages below it */
    uint64_t ranges;    /* address of an array of struct godwit_range */
    uint32_t count;     /* in: room in it, at least 64; out: how many were stored, perhaps none */
    uint32_t pad2;      /* 0 */
    uint64_t pages;     /* out: pages in these ranges */
    /*
     * The log's epoch, not 0: another number after each ENABLE, OFF and call that has taken pages,
     * CLEAN included; no number comes twice while the host runs. In: 0, or the only epoch in which
     * the call may take anything; else -EILSEQ, since somebody has touched the log. Out: as it is
     * after this call. To ask only: PEEK of no pages.
     */
    uint64_t epoch;
};

/*
 * Pages that the guest may only read (HVMMEM_ram_ro), in ascending order; ranges that touch may be
 * given in pieces. A call does a bounded piece of work: it is to be repeated until first_gfn is
 * UINT64_MAX.
 */
struct godwit_readonly {
    uint16_t domid;
    uint16_t pad[3];    /* 0 */
    uint64_t first_gfn; /* in: look from here on; out: where to go on */
    uint64_t ranges;    /* address of an array of struct godwit_range */
    uint32_t count;     /* in: room in it, not 0; out: how many were stored, perhaps none */
    uint32_t pad2;      /* 0 */
};

/*
 * Copies whole pages of another domain to the caller's memory, or from there. A page of zeros takes
 * no room there: reading sets GODWIT_PAGE_ZERO in its frame number, writing looks for it. What is
 * read is as it was at some moment of the call, byte by byte; what is written is marked in the
 * domain's dirty log before the call returns, and is where the domain finds it, with caches or
 * without.
 *
 * A call does a bounded piece of work, at least one page if there is no error, and ends early where
 * the room ends: it is to be repeated with what is left. -EINVAL: the domain is the caller, or a
 * frame is not RAM (for writing: RAM that it may write); -ENOBUFS: no room for even one page. After
 * an error too, count and room say what was done before it; frame numbers from count on may have
 * the bit set or not.
 */
#define GODWIT_PAGES_READ  0u
#define GODWIT_PAGES_WRITE 1u
#define GODWIT_PAGE_ZERO   (UINT64_C(1) << 63)

struct godwit_pages {
    uint16_t domid;
    uint16_t pad;    /* 0 */
    uint32_t flags;  /* GODWIT_PAGES_READ or GODWIT_PAGES_WRITE */
    uint64_t frames; /* address of an array of frame numbers */
    uint64_t data;   /* address of the contents, one page after the other; best aligned to one */
    uint32_t count;  /* in: frames; out: how many of them are done */
    uint32_t room;   /* in: pages at data; out: how many of them were used */
};

_Static_assert(sizeof(struct godwit_domain_op) == 8, "ABI");
_Static_assert(sizeof(struct godwit_pages) == 32, "ABI");
_Static_assert(sizeof(struct godwit_readonly) == 32, "ABI");
_Static_assert(sizeof(struct godwit_logdirty) == 8, "ABI");
_Static_assert(sizeof(struct godwit_vcpu_stats) == 16 + 8 * 6 + 8, "ABI");
_Static_assert(sizeof(struct godwit_vcpu_throttle) == 16, "ABI");
_Static_assert(sizeof(struct godwit_writer_sample) == 8, "ABI");
_Static_assert(sizeof(struct godwit_stats) == 8 + 32 + 8 * 10 + 8 + 8 * (5 + GODWIT_WRITERS),
               "ABI");
_Static_assert(sizeof(struct godwit_dirty_ranges) == 56, "ABI");
_Static_assert(sizeof(struct godwit_host_info) == 128 + 24 + 8, "ABI");

#endif
