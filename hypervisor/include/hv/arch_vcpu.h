/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU owns beyond its general registers. All of it is in the CPU while the vCPU is loaded
 * and in these structures while it is not; arch/arm64/switch.c moves it.
 */
#ifndef HV_ARCH_VCPU_H
#define HV_ARCH_VCPU_H

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

#define ARCH_BREAKPOINTS_MAX 16

struct vcpu_sysregs {
    uint64_t sp_el0, sp_el1, elr_el1, spsr_el1;
    uint64_t sctlr_el1, cpacr_el1;
    uint64_t ttbr0_el1, ttbr1_el1, tcr_el1, mair_el1, amair_el1;
    uint64_t esr_el1, far_el1, afsr0_el1, afsr1_el1, par_el1;
    uint64_t vbar_el1, contextidr_el1;
    uint64_t tpidr_el0, tpidrro_el0, tpidr_el1;
    uint64_t cntkctl_el1;
    uint64_t csselr_el1; /* emulated */
};

/* Pointer-authentication keys, low half then high half: APIA, APIB, APDA, APDB, APGA. */
#define ARCH_PAUTH_KEY_WORDS 10

/*
 * State of extensions that guests are not told of, but could reach all the same: so it is each
 * vCPU's own. 0 where the CPU has no such register.
 */
struct vcpu_hidden {
    uint64_t disr_el1;   /* FEAT_RAS */
    uint64_t tpidr2_el0; /* FEAT_SME */
};

struct vcpu_fp {
    uint64_t v[64]; /* V0..V31, low half first. Assembler: offset 0 */
    uint64_t fpsr;  /* offset 512 */
    uint64_t fpcr;  /* offset 520 */
} __attribute__((aligned(16)));

struct vcpu_debug {
    uint64_t mdscr_el1, mdccint_el1;
    uint64_t bvr[ARCH_BREAKPOINTS_MAX], bcr[ARCH_BREAKPOINTS_MAX];
    uint64_t wvr[ARCH_BREAKPOINTS_MAX], wcr[ARCH_BREAKPOINTS_MAX];
    bool os_lock; /* it and MDCCINT_EL1 are emulated */
};

struct vcpu_arch {
    struct vcpu_fp fp;
    struct vcpu_sysregs sys;
    uint64_t pauth_keys[ARCH_PAUTH_KEY_WORDS];
    struct vcpu_debug debug;
    struct vcpu_hidden hidden;
    bool serror_pending; /* a virtual SError waits to be taken */
};

/* Once on the boot CPU, before any domain exists: ID registers and features of the host. */
void arch_vcpu_init(void);
/* On every CPU, the boot CPU too: vectors, traps, no guest loaded. */
void arch_vcpu_init_cpu(void);

/* Moves registers of v into this CPU, or back. EL1 of this CPU is v's between the two. */
void arch_vcpu_load(struct vcpu *v);
void arch_vcpu_save(struct vcpu *v);

/* Empties this CPU's stack and enters v, which is loaded. */
_Noreturn void arch_enter_guest(struct vcpu *v);

/*
 * An ID register (op0 3, op1 0, CRn 0) as the guests of d see it; d NULL: as a new guest would.
 * Reserved encodings give 0.
 */
uint64_t arch_id_register(const struct domain *d, unsigned crm, unsigned op2);

#endif
