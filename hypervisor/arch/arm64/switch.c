/* SPDX-License-Identifier: MIT */
/*
 * The world switch. A guest's EL1 and EL0 registers stay in the CPU from arch_vcpu_load to
 * arch_vcpu_save; exits in between cost only the general registers.
 */
#include "trap.h"

#include <barrier.h>
#include <core/s2.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <port/arm64.h>
#include <sysreg.h>

#define HCR_SWIO  (UINT64_C(1) << 1)
#define HCR_FMO   (UINT64_C(1) << 3)
#define HCR_IMO   (UINT64_C(1) << 4)
#define HCR_AMO   (UINT64_C(1) << 5)
#define HCR_VSE   (UINT64_C(1) << 8)
#define HCR_TWI   (UINT64_C(1) << 13)
#define HCR_TID1  (UINT64_C(1) << 16)
#define HCR_TID2  (UINT64_C(1) << 17)
#define HCR_TID3  (UINT64_C(1) << 18)
#define HCR_TSC   (UINT64_C(1) << 19)
#define HCR_TIDCP (UINT64_C(1) << 20)
#define HCR_TACR  (UINT64_C(1) << 21)
#define HCR_TSW   (UINT64_C(1) << 22)
#define HCR_RW    (UINT64_C(1) << 31)
#define HCR_TLOR  (UINT64_C(1) << 35)
#define HCR_TERR  (UINT64_C(1) << 36)
#define HCR_TEA   (UINT64_C(1) << 37)
#define HCR_APK   (UINT64_C(1) << 40)
#define HCR_API   (UINT64_C(1) << 41)

/* What every guest runs under, besides port_hcr_bits(). */
#define HCR_GUEST                                                                                  \
    (HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_TWI | HCR_TID1 | HCR_TID2 | HCR_TID3 | HCR_TSC | \
     HCR_TIDCP | HCR_TACR | HCR_TSW | HCR_RW | HCR_TLOR | HCR_TERR | HCR_TEA)
/* No guest: physical interrupts still wake this CPU, nothing is translated by a guest's tables. */
#define HCR_IDLE (HCR_FMO | HCR_IMO | HCR_AMO | HCR_RW)

/* SVE, SME, trace and activity monitors trap; FP and SIMD do not. RES1 bits included. */
#define CPTR_GUEST (UINT64_C(0x33ff) | (UINT64_C(1) << 20) | (UINT64_C(1) << 30))

#define MDCR_HPMN_MASK UINT64_C(0x1f)
#define MDCR_TPMCR     (UINT64_C(1) << 5)
#define MDCR_TPM       (UINT64_C(1) << 6)
#define MDCR_TDA       (UINT64_C(1) << 9)
#define MDCR_TDOSA     (UINT64_C(1) << 10)
#define MDCR_TDRA      (UINT64_C(1) << 11)
#define MDCR_TPMS      (UINT64_C(1) << 14)
#define MDCR_TTRF      (UINT64_C(1) << 19)
#define MDCR_GUEST                                                                                 \
    (MDCR_TPM | MDCR_TPMCR | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA | MDCR_TPMS | MDCR_TTRF)

#define HCRX_TALLINT         (UINT64_C(1) << 6)
#define MPAM2_TRAPS          (UINT64_C(3) << 48) /* of MPAM0_EL1 and MPAM1_EL1 */
#define MPAMIDR_HAS_HCR      (UINT64_C(1) << 17)
#define MPAMHCR_TRAP_MPAMIDR (UINT64_C(1) << 31)

/* AArch32 programs cannot reach implementation-defined CP15 registers. */
#define HSTR_T15 (UINT64_C(1) << 15)

/* Registers that a v8.0 assembler has no names for. */
#define SYSREG_VDISR_EL2   S3_4_C12_C1_1 /* what EL1 finds in DISR_EL1, as HCR_EL2.AMO is 1 */
#define SYSREG_TPIDR2_EL0  S3_3_C13_C0_5
#define SYSREG_HCRX_EL2    S3_4_C1_C2_2
#define SYSREG_VSESR_EL2   S3_4_C5_C2_3
#define SYSREG_MPAM2_EL2   S3_4_C10_C5_0
#define SYSREG_MPAMHCR_EL2 S3_4_C10_C4_0
#define SYSREG_MPAMIDR_EL1 S3_0_C10_C4_4
#define SYSREG_HFGRTR_EL2  S3_4_C1_C1_4
#define SYSREG_HFGWTR_EL2  S3_4_C1_C1_5
#define SYSREG_HFGITR_EL2  S3_4_C1_C1_6
#define SYSREG_HDFGRTR_EL2 S3_4_C3_C1_4
#define SYSREG_HDFGWTR_EL2 S3_4_C3_C1_5

extern const char el2_vectors[];
void arch_fp_save(struct vcpu_fp *fp);
void arch_fp_load(const struct vcpu_fp *fp);

/*
 * For both directions: FIELD(member of struct vcpu_sysregs), named like the register. CSSELR_EL1 is
 * not here, as it is emulated (trap_caches.c).
 */
#define FOR_EACH_SYSREG(FIELD)                                                                     \
    FIELD(sp_el0)                                                                                  \
    FIELD(sp_el1)                                                                                  \
    FIELD(elr_el1)                                                                                 \
    FIELD(spsr_el1)                                                                                \
    FIELD(sctlr_el1)                                                                               \
    FIELD(cpacr_el1)                                                                               \
    FIELD(ttbr0_el1)                                                                               \
    FIELD(ttbr1_el1)                                                                               \
    FIELD(tcr_el1)                                                                                 \
    FIELD(mair_el1)                                                                                \
    FIELD(amair_el1)                                                                               \
    FIELD(esr_el1)                                                                                 \
    FIELD(far_el1)                                                                                 \
    FIELD(afsr0_el1)                                                                               \
    FIELD(afsr1_el1)                                                                               \
    FIELD(par_el1)                                                                                 \
    FIELD(vbar_el1)                                                                                \
    FIELD(contextidr_el1)                                                                          \
    FIELD(tpidr_el0)                                                                               \
    FIELD(tpidrro_el0)                                                                             \
    FIELD(tpidr_el1)                                                                               \
    FIELD(cntkctl_el1)

#define FOR_EACH_PAUTH_WORD(WORD)                                                                  \
    WORD(0, S3_0_C2_C1_0)                                                                          \
    WORD(1, S3_0_C2_C1_1)                                                                          \
    WORD(2, S3_0_C2_C1_2)                                                                          \
    WORD(3, S3_0_C2_C1_3)                                                                          \
    WORD(4, S3_0_C2_C2_0)                                                                          \
    WORD(5, S3_0_C2_C2_1)                                                                          \
    WORD(6, S3_0_C2_C2_2)                                                                          \
    WORD(7, S3_0_C2_C2_3)                                                                          \
    WORD(8, S3_0_C2_C3_0)                                                                          \
    WORD(9, S3_0_C2_C3_1)

static void sysregs_save(struct vcpu_sysregs *sys)
{
#define FIELD(name) sys->name = READ_SYSREG_(name);
    FOR_EACH_SYSREG(FIELD)
#undef FIELD
}

static void sysregs_load(const struct vcpu_sysregs *sys)
{
#define FIELD(name) WRITE_SYSREG_(sys->name, name);
    FOR_EACH_SYSREG(FIELD)
#undef FIELD
}

static void pauth_save(uint64_t *words)
{
#define WORD(index, name) words[index] = READ_SYSREG_(name);
    FOR_EACH_PAUTH_WORD(WORD)
#undef WORD
}

static void pauth_load(const uint64_t *words)
{
#define WORD(index, name) WRITE_SYSREG_(words[index], name);
    FOR_EACH_PAUTH_WORD(WORD)
#undef WORD
}

static void hidden_save(struct vcpu_hidden *hidden)
{
    if (host_features.ras) {
        hidden->disr_el1 = READ_SYSREG(SYSREG_VDISR_EL2);
    }
    if (host_features.sme) {
        hidden->tpidr2_el0 = READ_SYSREG(SYSREG_TPIDR2_EL0);
    }
}

static void hidden_load(const struct vcpu_hidden *hidden)
{
    if (host_features.ras) {
        WRITE_SYSREG(hidden->disr_el1, SYSREG_VDISR_EL2);
    }
    if (host_features.sme) {
        WRITE_SYSREG(hidden->tpidr2_el0, SYSREG_TPIDR2_EL0);
    }
}

void arch_vcpu_save(struct vcpu *v)
{
    v->arch.serror_pending = (READ_SYSREG(hcr_el2) & HCR_VSE) != 0;
    sysregs_save(&v->arch.sys);
    if (host_features.pauth) {
        pauth_save(v->arch.pauth_keys);
    }
    debug_save(&v->arch.debug);
    hidden_save(&v->arch.hidden);
    arch_fp_save(&v->arch.fp);
    WRITE_SYSREG(HCR_IDLE, hcr_el2);
    WRITE_SYSREG(0, vttbr_el2);
    isb(); /* nothing is walked with the guest's tables from here on */
    /* Its stores, and what its walks noted in descriptors, are visible before it counts as stopped.
     */
    dsb(ish);
}

/* Entries of another vCPU of this VM may be left here: they have its VMID but other tables. */
static void forget_other_vcpu(struct vcpu *v)
{
    uint8_t *last = &v->domain->last_vcpu[this_cpu()->id];

    if (*last != v->id + 1) {
        *last = (uint8_t)(v->id + 1);
        port_tlb_flush_local_stage1();
    }
}

void arch_vcpu_load(struct vcpu *v)
{
    uint64_t hcr = HCR_GUEST | port_hcr_bits();

    if (host_features.pauth) {
        hcr |= HCR_API | HCR_APK;
        pauth_load(v->arch.pauth_keys);
    }
    if (v->arch.serror_pending) {
        hcr |= HCR_VSE;
    }
    uint64_t midr = READ_SYSREG(midr_el1);
    WRITE_SYSREG(midr, vpidr_el2);
    WRITE_SYSREG(v->vmpidr, vmpidr_el2);
    sysregs_load(&v->arch.sys);
    debug_load(&v->arch.debug);
    hidden_load(&v->arch.hidden);
    arch_fp_load(&v->arch.fp);
    WRITE_SYSREG(s2_control_register(&v->domain->s2), vtcr_el2);
    isb(); /* the guest's stage 1 is complete before its tables are in place */
    WRITE_SYSREG(s2_root_register(&v->domain->s2), vttbr_el2);
    this_cpu()->s2 = &v->domain->s2;
    WRITE_SYSREG(hcr, hcr_el2);
    isb(); /* the TLBI below means this VMID */
    forget_other_vcpu(v);
}

void arch_vcpu_init(void)
{
    port_init();
    sysreg_id_init();
}

/* Fine-grained traps exist to trap more; what matters is trapped already. */
static void init_newer_traps(void)
{
    if (host_features.fgt) {
        WRITE_SYSREG(0, SYSREG_HFGRTR_EL2);
        WRITE_SYSREG(0, SYSREG_HFGWTR_EL2);
        WRITE_SYSREG(0, SYSREG_HFGITR_EL2);
        WRITE_SYSREG(0, SYSREG_HDFGRTR_EL2);
        WRITE_SYSREG(0, SYSREG_HDFGWTR_EL2);
    }
    if (host_features.hcx) {
        WRITE_SYSREG(HCRX_TALLINT, SYSREG_HCRX_EL2);
    }
    if (host_features.ras) {
        WRITE_SYSREG(0, SYSREG_VSESR_EL2); /* the syndrome of every virtual SError */
    }
    if (host_features.mpam) {
        WRITE_SYSREG(MPAM2_TRAPS, SYSREG_MPAM2_EL2);
        if (READ_SYSREG(SYSREG_MPAMIDR_EL1) & MPAMIDR_HAS_HCR) {
            WRITE_SYSREG(MPAMHCR_TRAP_MPAMIDR, SYSREG_MPAMHCR_EL2);
        }
    }
}

void arch_vcpu_init_cpu(void)
{
    sysreg_id_check();
    port_init_cpu();
    WRITE_SYSREG((uintptr_t)el2_vectors, vbar_el2);
    WRITE_SYSREG(HCR_IDLE, hcr_el2);
    WRITE_SYSREG(0, vttbr_el2);
    WRITE_SYSREG(CPTR_GUEST, cptr_el2);
    WRITE_SYSREG(HSTR_T15, hstr_el2);
    uint64_t counters = READ_SYSREG(mdcr_el2) & MDCR_HPMN_MASK;
    WRITE_SYSREG(counters | MDCR_GUEST, mdcr_el2);
    init_newer_traps();
    /* The OS lock of guests is emulated; the real one would silence their debug exceptions. */
    WRITE_SYSREG(0, oslar_el1);
    isb(); /* traps are in force */
}
