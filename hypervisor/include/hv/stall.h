/* SPDX-License-Identifier: MIT */
/*
 * What logging costs a vCPU: its write faults, the pages that it was the first to write, and the
 * time that it lost. Since logging was switched on last. docs/design/scheduler.md.
 */
#ifndef HV_STALL_H
#define HV_STALL_H

#include <hv/spinlock.h>
#include <stdint.h>

struct domain;
struct vcpu;

/* Write faults are counted per CPU and VM: a vCPU's are those since it was loaded there. */
struct stall_counts {
    uint64_t faults;      /* write faults of all kinds */
    uint64_t dirty_pages; /* first writes among them */
};

struct stall_vcpu {
    struct spinlock lock;           /* leaf */
    int cpu;                        /* where it is loaded, -1: nowhere */
    struct stall_counts base, done; /* of that CPU when it was loaded; of the times before */
    uint64_t long_faults;           /* of the faults, those that were timed one by one */
    uint64_t fault_ticks, wait_ticks;
};

struct stall_report {
    uint64_t faults, dirty_pages;
    uint64_t fault_ns; /* the short ones: their number times the mean of a sample of all of them */
    uint64_t wait_ns;  /* for the lock of the VM's tables, held to protect, split or open memory */
};

void stall_vcpu_init(struct vcpu *v);
/* v's registers are being loaded on, or have been taken off, this CPU. */
void stall_vcpu_load(struct vcpu *v);
void stall_vcpu_unload(struct vcpu *v);

/* A write fault of the running v took the long way, in these counts of time_counter(). */
void stall_long_fault(struct vcpu *v, uint64_t began, uint64_t locked, uint64_t ended);

/* All of d's vCPUs start again from 0: logging is being switched on. */
void stall_domain_reset(struct domain *d);
/* At any time, on any CPU. */
void stall_vcpu_read(struct vcpu *v, struct stall_report *ret_report);

#endif
