/* SPDX-License-Identifier: MIT */
/* What a guest may not have is hidden or refused with the exception that hardware without it gives.
 */
#include <guest/exception.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/sysreg.h>

#define EC_UNKNOWN    0x00u
#define EC_DATA_SAME  0x25u
#define EC_WATCH_SAME 0x35u
#define MDSCR_KDE     (UINT64_C(1) << 13)
#define MDSCR_MDE     (UINT64_C(1) << 15)
#define NOWHERE       0x01000000ul
#define ABOVE_RAM     0x3fc0000000ul

static unsigned field(uint64_t value, unsigned shift)
{
    return (unsigned)(value >> shift & 0xf);
}

static void test_id_registers(void)
{
    uint64_t pfr0 = read_sysreg(id_aa64pfr0_el1);
    unsigned pmu = field(read_sysreg(id_aa64dfr0_el1), 8);

    report((read_sysreg(CurrentEL) >> 2) == 1, "runs at EL1");
    report(field(pfr0, 32) == 0, "no SVE in ID_AA64PFR0_EL1");
    report(field(pfr0, 28) == 0, "no RAS in ID_AA64PFR0_EL1");
    report(field(pfr0, 8) == 0, "no EL2 in ID_AA64PFR0_EL1");
    report(field(pfr0, 44) == 0, "no AMU in ID_AA64PFR0_EL1");
    report(field(pfr0, 24) == 1, "GICv3 system registers in ID_AA64PFR0_EL1");
    report(field(read_sysreg(id_aa64pfr1_el1), 8) == 0, "no MTE in ID_AA64PFR1_EL1");
    report(pmu == 0 || pmu == 15, "no PMU in ID_AA64DFR0_EL1");
    report(field(read_sysreg(S3_0_C0_C7_2), 24) == 0,
           "no nested virtualisation in ID_AA64MMFR2_EL1");
    report(field(read_sysreg(id_aa64mmfr1_el1), 8) == 0, "no VHE in ID_AA64MMFR1_EL1");
}

/* They follow from CTR_EL0, which is compared before a move, and are the same on each such host. */
static void test_caches(void)
{
    uint64_t ctr = read_sysreg(ctr_el0), line[2];
    bool must_clean = (ctr >> 28 & 1) == 0;

    for (unsigned instruction = 0; instruction < 2; instruction++) {
        write_sysreg(csselr_el1, instruction);
        isb();
        line[instruction] = read_sysreg(ccsidr_el1);
    }
    report(read_sysreg(clidr_el1) == (must_clean ? 0x09200003 : 0x01000003),
           "one level of caches: CLIDR_EL1 %lx", read_sysreg(clidr_el1));
    report(line[0] == (ctr >> 16 & 15) - 2 && line[1] == (ctr & 15) - 2,
           "of one line each: CCSIDR_EL1 %lx and %lx, CTR_EL0 %lx", line[0], line[1], ctr);
    write_sysreg(csselr_el1, 0xfff2);
    isb();
    report(read_sysreg(csselr_el1) == 2, "CSSELR_EL1 keeps the bits that it has");
    report(read_sysreg(revidr_el1) == 0 && read_sysreg(S3_1_C0_C0_7) == 0, "no REVIDR, no AIDR");
}

static void check_undefined(const char *what)
{
    struct fault fault = fault_taken();

    report(fault.taken && ESR_EC(fault.esr) == EC_UNKNOWN, "%s is undefined (esr %lx)", what,
           fault.esr);
}

static void test_undefined(void)
{
    fault_expect();
    __asm__ volatile("hvc #0x1234" ::: "memory");
    check_undefined("hvc with an unknown number");
    fault_expect();
    (void)read_sysreg(pmcr_el0);
    check_undefined("the PMU");
    fault_expect();
    __asm__ volatile(".inst 0x04e0e3e0" ::: "x0"); /* cntd x0 */
    check_undefined("SVE");
    fault_expect();
    (void)read_sysreg(S3_4_C1_C1_0); /* HCR_EL2 */
    check_undefined("an EL2 register");
    fault_expect();
    write_sysreg(S2_0_C0_C15_4, 1); /* DBGBVR15_EL1: no CPU of ours has so many */
    check_undefined("a breakpoint too many");
}

/* Debug registers trap, but what is written there has its effect. */
static void test_watchpoint(void)
{
    static volatile uint64_t watched;
    struct fault fault;

    write_sysreg(dbgwvr0_el1, (uintptr_t)&watched);
    write_sysreg(dbgwcr0_el1, 0xff << 5 | 2 << 3 | 1 << 1 | 1); /* 8 bytes, stores, EL1 */
    write_sysreg(mdscr_el1, read_sysreg(mdscr_el1) | MDSCR_MDE | MDSCR_KDE);
    fault_expect();
    __asm__ volatile("msr daifclr, #8\n isb\n str xzr, [%0]\n msr daifset, #8" ::"r"(&watched)
                     : "memory");
    fault = fault_taken();
    report(fault.taken && ESR_EC(fault.esr) == EC_WATCH_SAME, "a watchpoint is hit (esr %lx)",
           fault.esr);
    write_sysreg(dbgwcr0_el1, 0);
    write_sysreg(mdscr_el1, 0);
}

static void check_abort(const char *what)
{
    struct fault fault = fault_taken();

    report(fault.taken && ESR_EC(fault.esr) == EC_DATA_SAME, "%s aborts (esr %lx)", what,
           fault.esr);
}

static void test_nowhere(void)
{
    fault_expect();
    (void)mmio_read32(NOWHERE);
    check_abort("a read from nowhere");
    fault_expect();
    mmio_write32(NOWHERE, 1);
    check_abort("a write to nowhere");
    fault_expect();
    (void)mmio_read32(ABOVE_RAM);
    check_abort("a read above RAM");
    fault_expect();
    __asm__ volatile("stp xzr, xzr, [%0]" ::"r"(NOWHERE) : "memory");
    check_abort("a store pair to nowhere");
}

static void test_hypercalls(void)
{
    int64_t rc = hypercall(__HYPERVISOR_domctl, GUEST_RAM0_BASE, 0, 0, 0, 0);

    report(rc < 0, "a guest cannot manage: domctl gives %ld", rc);
    rc = hypercall(__HYPERVISOR_sysctl, GUEST_RAM0_BASE, 0, 0, 0, 0);
    report(rc < 0, "a guest cannot manage: sysctl gives %ld", rc);
    rc = hypercall(63, 0, 0, 0, 0, 0);
    report(rc == -38, "an unknown hypercall gives ENOSYS: %ld", rc);
    rc = hypercall(1u << 31, 0, 0, 0, 0, 0);
    report(rc == -38, "a huge hypercall number gives ENOSYS: %ld", rc);
}

void guest_main(const void *dtb)
{
    test_id_registers();
    test_caches();
    test_undefined();
    test_watchpoint();
    test_nowhere();
    test_hypercalls();
}
