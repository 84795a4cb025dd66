/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor for host tests: it stands in for libxencall, libxenforeignmemory and libxenevtchn at
 * link time, so everything above the hypercall is the real code. Guest memory is a memory file per
 * domain, and mappings of it are real mappings.
 */
#ifndef TESTS_FAKE_XEN_H
#define TESTS_FAKE_XEN_H

#include <godwit/ext.h>
#include <libgodwit/xen_abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_DOMAINS_MAX 16
#define FAKE_VCPUS_MAX   64
#define FAKE_EXTENTS_MAX 8192

struct fake_extent {
    uint64_t gfn;
    unsigned order;
    uint64_t offset; /* in the memory file */
};

struct fake_domain {
    bool used, dying;
    uint32_t domid;
    uint8_t uuid[16];
    uint32_t max_vcpus, vcpus;
    uint32_t pause_count;
    bool shut_down;
    uint32_t shutdown_code;
    uint64_t max_pages, tot_pages, mempool_bytes;
    int memory_fd;
    uint64_t memory_bytes;
    struct fake_extent extents[FAKE_EXTENTS_MAX];
    unsigned extents_n;
    struct vcpu_guest_context contexts[FAKE_VCPUS_MAX];
    bool context_set[FAKE_VCPUS_MAX];
    uint64_t vuart_gfn;
    uint32_t vuart_port; /* 0: none */
    unsigned power_key_presses;
    uint64_t stats_calls;
    uint64_t readonly_gfn, readonly_pages; /* one range */
    uint64_t flushed_pages;
    bool logdirty;
    uint64_t log_epoch;
    uint32_t tracking, split; /* as asked for with GODWIT_OP_LOGDIRTY */
    uint8_t *dirty;           /* one byte per gfn below dirty_n */
    uint64_t dirty_n;
    uint8_t state[65536]; /* hvm context */
    uint32_t state_bytes;
};

struct fake_host {
    uint64_t free_pages;
    unsigned max_order; /* populate gives nothing above this order */
    unsigned calls;     /* hypercalls so far */
    unsigned fail_at;   /* the call with this number fails (1 is the first; 0: none) */
    int fail_errno;
    void (*on_call)(void); /* what others do right before each call; may be NULL */
    unsigned windows;      /* foreign mappings that exist */
    bool absent;           /* opening the devices fails */
    bool no_ranges;        /* a hypervisor without GODWIT_OP_DIRTY_RANGES */
    bool hardware_dirty;   /* the CPUs note writes */
    unsigned ranges_room;  /* of the caller's that it uses at most */
    unsigned pages_faults; /* calls for pages that find the caller's memory gone, from now on */
};

extern struct fake_host fake_host;
extern struct fake_domain fake_domains[FAKE_DOMAINS_MAX];

/* An empty host with a control domain and this much free memory. */
void fake_reset(uint64_t free_pages);
/* NULL if there is none. */
struct fake_domain *fake_domain(uint32_t domid);
unsigned fake_domains_n(void); /* with the control domain */

/* The guest's own accesses. false: not mapped. A write marks the log. */
bool fake_guest_read(struct fake_domain *d, uint64_t ipa, void *ret_data, size_t bytes);
bool fake_guest_write(struct fake_domain *d, uint64_t ipa, const void *data, size_t bytes);
void fake_mark_dirty(struct fake_domain *d, uint64_t gfn);

/* The guest shuts down: what its PSCI call or its crash does. Raises VIRQ_DOM_EXC. */
void fake_guest_shutdown(struct fake_domain *d, uint32_t code);

/* Event channels: raises whatever is bound to this guest port or VIRQ. */
void fake_evtchn_raise_virq(unsigned virq);
void fake_evtchn_raise_guest(uint32_t domid, uint32_t guest_port);
unsigned fake_evtchn_notifies(void); /* xenevtchn_notify() calls so far */
void fake_evtchn_reset(void);

/* Memory calls, for fake_xen.c. They return 0 or -errno. */
long fake_memory_op(unsigned cmd, void *argument);
void fake_memory_free(struct fake_domain *d);
/* GODWIT_OP_PAGES: three pages in a call, and sometimes none. */
long fake_pages(struct fake_domain *d, struct godwit_pages *request);
int fake_memory_has(struct fake_domain *d, uint64_t gfn);

#endif
