/* SPDX-License-Identifier: MIT */
/* What a guest may not have is hidden or refused with the exception that hardware without it gives.
 */
#include <guest/exception.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/sysreg.h>

#define EC_UNKNOWN   0x00u
#define EC_DATA_SAME 0x25u
#define NOWHERE      0x01000000ul
#define ABOVE_RAM    0x3fc0000000ul

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
    test_undefined();
    test_nowhere();
    test_hypercalls();
}
