/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU. Its registers are in the struct whenever it is not loaded on a CPU; whoever reads
 * or writes them pauses it first and waits (sched_wait_stopped). States: docs/design/scheduler.md.
 */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include <hv/arch_vcpu.h> /* arch/arm64: struct vcpu_arch (sysregs, FP, pointer-auth keys, debug) */
#include <hv/regs.h>
#include <hv/stall.h>
#include <hv/time.h>
#include <hv/vgic.h>
#include <hv/vtimer.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <xen/vcpu.h>
#include <xen/xen.h>

struct domain;

enum vcpu_state {
    VCPU_OFF,      /* PSCI: not started, or powered off */
    VCPU_BLOCKED,  /* in WFI or SCHEDOP_block/poll, waits for an interrupt */
    VCPU_RUNNABLE, /* wants a CPU: in the run queue, or kept out of it by a pause */
    VCPU_RUNNING,  /* chosen by CPU last_cpu: loaded there, or about to be */
    VCPU_STATES,
};

/* Why a vCPU that wants to run is not in the run queue. */
enum vcpu_hold {
    VCPU_HOLD_NONE, /* it does not want to, or it is in there, or its domain has ended */
    VCPU_HOLD_PAUSE,
    VCPU_HOLD_THROTTLE,
    VCPU_HOLDS,
};

/* See domain/throttle_budget.h. */
struct vcpu_throttle {
    unsigned percent;  /* of each period in which it may not run; 0: it is not throttled */
    uint64_t began_ns; /* of the running period */
    uint64_t used_ns;  /* of its window */
    uint64_t until_ns; /* it may not run until then; 0: it may */
};

struct vcpu {
    struct cpu_regs regs; /* first: the entry code addresses it */
    struct vcpu_arch arch;
    struct domain *domain;
    uint32_t id;
    uint64_t vmpidr;

    /* Scheduler; protected by the scheduler lock. */
    enum vcpu_state state;
    bool initialised;     /* context set (setvcpucontext, boot or PSCI CPU_ON) */
    uint32_t pause_count; /* own pauses; the domain's count comes on top */
    _Atomic int cpu;      /* CPU that has its registers loaded, -1: none */
    int last_cpu;
    uint64_t vruntime_ns;
    uint64_t run_time_ns; /* total up to charged_at_ns; see sched_run_time_ns */
    uint64_t charged_at_ns;
    uint64_t state_entry_ns;
    uint64_t state_time_ns[VCPU_STATES]; /* spent in each state before the present one began */
    bool queued;
    struct vcpu *queue_next;
    struct vcpu_throttle throttle;
    struct timer
        throttle_end; /* ends its wait; armed under the scheduler lock, for lack of another */
    enum vcpu_hold hold;
    uint64_t hold_began_ns;
    uint64_t held_ns[VCPU_HOLDS]; /* before hold began; since logging was switched on last */

    struct stall_vcpu stall;

    struct vgic_vcpu vgic;
    struct vtimer_vcpu vtimer;

    /* Xen-aware vCPUs (the control domain): where vcpu_info and runstate are. */
    pa_t vcpu_info_pa; /* 0: not registered; holds a frame reference */
    ipa_t vcpu_info_ipa;
    uint64_t runstate_gva;            /* 0: not registered */
    _Atomic bool evtchn_upcall_check; /* recompute the upcall line on entry */

    struct timer singleshot; /* VCPUOP_set_singleshot_timer, SCHEDOP_poll timeout */
    void *hypercall_state;   /* progress of a continued call; see hypercall/ */
    char crash_reason[96];
};

/* The vCPU this CPU runs; NULL in idle. */
struct vcpu *vcpu_current(void);

/*
 * Allocates a vCPU in state VCPU_OFF and enters it into d->vcpus. id is below d->max_vcpus and
 * free. The vGIC of d is initialised. NULL: no memory.
 */
struct vcpu *vcpu_create(struct domain *d, uint32_t id);
/* v is stopped for good and out of the run queue; takes it out of its domain. */
void vcpu_free(struct vcpu *v);
/* Registers to their values at PSCI CPU_ON: pc, x0 = context_id, EL1h, MMU off. */
void vcpu_reset(struct vcpu *v, uint64_t pc, uint64_t context_id);

/* Delivers a synchronous abort / undefined exception to the running vCPU (ESR as EL1 would see it).
 */
void vcpu_inject_data_abort(struct vcpu *v, uint64_t far, bool external);
void vcpu_inject_instruction_abort(struct vcpu *v, uint64_t far);
void vcpu_inject_undefined(struct vcpu *v);

#endif
