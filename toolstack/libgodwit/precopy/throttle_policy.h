/* SPDX-License-Identifier: MIT */
/* Which vCPUs get how much less CPU time. Arithmetic only. */
#ifndef THROTTLE_POLICY_H
#define THROTTLE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_FIRST_PERCENT 20u
#define THROTTLE_STEP_PERCENT  10u
#define THROTTLE_MAX_PERCENT   99u
/* Looks in a row that must press before the first step. */
#define THROTTLE_PATIENCE      2u
/* A look is a round, or several short ones: no shorter than what the hypervisor throttles by. */
#define THROTTLE_LOOK_MS       100u
#define THROTTLE_LONG_LOOK_MS  200u /* above THROTTLE_LONG_PERCENT */
#define THROTTLE_LONG_PERCENT  90u

/* What one look measured. */
struct throttle_measure {
    uint64_t ms;                /* from the log's last taking to this one */
    uint64_t dirty_pages_per_s; /* of the whole guest */
    uint64_t send_pages_per_s; /* what the link takes: pages of this guest, not of its zeros only */
    bool sampled;              /* the rates of vCPUs are an estimate */
};

struct throttle_vcpu {
    uint64_t dirty_pages_per_s; /* its own, in this look, under the percent below */
    unsigned percent;           /* in: taken away in this look; out: in the next one */
    uint64_t free_pages_per_s;  /* of throttle_decide: what it dirtied before any was; 0 at first */
};

/*
 * The guest presses when it dirties more than half of what the link takes: rounds then shrink to
 * less than half no more. A vCPU writes when, unthrottled, it dirties more than its even share of
 * that half; nobody is taken for a faster writer than he was when he last ran freely. While the
 * guest presses, vCPUs that write get a step less each look: at least a tenth of their time, and
 * half of the way to where the guest would press no more. Others get a step more. When it does not
 * press, and would not with a step more for all, all get that step; in proportion to the time that
 * they have, whatever they did freely. pressing: looks in a row, of
 * this function's own, 0 at first. Returns whether a percent changed.
 */
bool throttle_decide(unsigned *pressing, const struct throttle_measure *measure,
                     struct throttle_vcpu *vcpus, unsigned n);

#endif
