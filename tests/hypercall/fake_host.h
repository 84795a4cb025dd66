/* SPDX-License-Identifier: MIT */
/*
 * The rest of the hypervisor, as far as hypercalls use it: two domains (the control domain and a
 * guest), frames that are host memory, a clock that the test moves, and a dirty log that is an
 * array.
 */
#ifndef TESTS_HYPERCALL_FAKE_HOST_H
#define TESTS_HYPERCALL_FAKE_HOST_H

#include <hv/domain.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_CONTROL_VCPUS 2u
#define FAKE_LOG_PAGES     40000u

enum fake_log_state { FAKE_LOG_OFF, FAKE_LOG_STARTING, FAKE_LOG_ON };

struct fake_host {
    struct domain *control, *guest;
    uint64_t now_ns;
    unsigned preempt_after; /* cpu_preempt_pending says yes from the n-th question on; 0: never */
    unsigned preempt_asked;
    unsigned allocated; /* frames of the hypervisor in use */
    bool out_of_memory;

    bool upcall_line[FAKE_CONTROL_VCPUS];
    void (*before_line)(bool level); /* once, when the line is about to change: another CPU acts */
    unsigned wakes, blocks;
    unsigned vuart_notified;

    bool may_throttle;
    unsigned resets;                               /* of what vCPUs have lost */
    unsigned throttle_percent[FAKE_CONTROL_VCPUS]; /* of the guest's */
    bool sampling;

    enum fake_log_state log_state;
    unsigned enable_steps, off_steps; /* how often -ERESTART comes first */
    uint8_t dirty[FAKE_LOG_PAGES], taken[FAKE_LOG_PAGES];
    bool harvest_open;
    unsigned aborts;                  /* steps of aborts so far */
    uint64_t abort_pages, aborted_to; /* pages that a step puts back (0: all), and how far it is */
    unsigned words_per_call;          /* that a harvest hands out at once */
    unsigned marks;
    void (*on_mark)(ipa_t ipa);        /* what a harvest would find at this moment; may be NULL */
    uint64_t track_first, track_pages; /* the watched range; 0 pages: none */
    uint8_t written[FAKE_LOG_PAGES], reported[FAKE_LOG_PAGES]; /* as the range sees it */
    unsigned track_scans, track_steps;          /* scans begun at 0; -ERESTART this often first */
    uint8_t types[FAKE_LOG_PAGES];              /* enum s2_type, as set by p2m_set_type */
    unsigned set_type_calls, set_type_fails_at; /* the n-th one fails; 0: none */

    /* Guest memory is host memory, but for [hole_start, hole_end) and what the countdown forbids.
     */
    uint64_t hole_start, hole_end;
    int copies_until_fault; /* -1: none */
};

extern struct fake_host fake;

void fake_reset(void);
void fake_end(void);
struct vcpu *fake_run_as(struct domain *d, unsigned vcpu);

/* One `hvc`, once; *ret_again: the guest would execute it again. */
int64_t fake_hvc_once(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, bool *ret_again);
/* Goes on with the last one until it has a result. */
int64_t fake_continue(void);
/* One from begin to end. */
int64_t fake_hvc(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2);

#endif
