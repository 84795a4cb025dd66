/* SPDX-License-Identifier: MIT */
/*
 * The architected timer of a guest: the virtual timer is the CPU's own with a hardware-linked PPI,
 * the physical one (and CNTPCT) is trapped and emulated with the domain's offset.
 */
#ifndef HV_VTIMER_H
#define HV_VTIMER_H

#include <hv/time.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

struct vtimer_vcpu {
    uint64_t cntv_cval;
    uint32_t cntv_ctl;
    uint64_t cntp_cval; /* in the guest's time: CNTPCT - cntvoff */
    uint32_t cntp_ctl;
    struct timer wake; /* stands in for CNTV while the vCPU is not loaded */
    struct timer phys; /* emulated CNTP */
    /* One timer may fire on the CPU where it was set while the vCPU runs on another and sets it. */
    struct spinlock lock;
    bool stopped; /* lock: no timer is set any more */
};

/* Once on the boot CPU, then on every CPU (after gic_init_cpu). */
void vtimer_init_host(void);
void vtimer_init_host_cpu(void);

void vtimer_vcpu_init(struct vcpu *v);
/* v will not run again: none of its host timers fires after the return. */
void vtimer_vcpu_stop(struct vcpu *v);

/* v, which is loaded here, is powered off: as after reset its timers are disabled. */
void vtimer_off_current(struct vcpu *v);

/* World switch. Load before vgic_load, save after vgic_save. */
void vtimer_load(struct vcpu *v);
void vtimer_save(struct vcpu *v);

/* Trapped accesses to CRn 14, op1 3; iss as in ESR_EL2, v is loaded here. False: undefined. */
bool vtimer_trap_sysreg(struct vcpu *v, uint32_t iss, uint64_t *value, bool write);

/*
 * After a load from a save record, and when the domain's clock starts again, v not loaded on a CPU:
 * lines and timers from the registers.
 */
void vtimer_recompute(struct vcpu *v);

#endif
