/* SPDX-License-Identifier: MIT */
#include "state_registers.h"

#include <stddef.h>

#define PATTERN UINT64_C(0xa5c396781e2d4bf0)

/* docs/design/state.md names the record of each. */
const struct state_register state_registers[] = {
    {ANY_SYSREG(3, 0, 1, 0, 0), 1, STATE_XOR, "SCTLR_EL1", UINT64_C(1) << 14}, /* DZE */
    {ANY_SYSREG(3, 0, 1, 0, 2), 1, STATE_XOR, "CPACR_EL1", UINT64_C(1) << 16},
    {ANY_SYSREG(3, 0, 2, 0, 0), 1, STATE_XOR, "TTBR0_EL1", UINT64_C(0x5a) << 48},
    {ANY_SYSREG(3, 0, 2, 0, 1), 1, STATE_FILL, "TTBR1_EL1", UINT64_C(0x00c3000012345000)},
    {ANY_SYSREG(3, 0, 2, 0, 2), 1, STATE_XOR, "TCR_EL1", UINT64_C(0x15) << 16},
    {ANY_SYSREG(3, 0, 2, 1, 0), 1, STATE_FILL, "APIAKeyLo_EL1", PATTERN ^ 1},
    {ANY_SYSREG(3, 0, 2, 1, 1), 1, STATE_FILL, "APIAKeyHi_EL1", PATTERN ^ 2},
    {ANY_SYSREG(3, 0, 2, 1, 2), 1, STATE_FILL, "APIBKeyLo_EL1", PATTERN ^ 3},
    {ANY_SYSREG(3, 0, 2, 1, 3), 1, STATE_FILL, "APIBKeyHi_EL1", PATTERN ^ 4},
    {ANY_SYSREG(3, 0, 2, 2, 0), 1, STATE_FILL, "APDAKeyLo_EL1", PATTERN ^ 5},
    {ANY_SYSREG(3, 0, 2, 2, 1), 1, STATE_FILL, "APDAKeyHi_EL1", PATTERN ^ 6},
    {ANY_SYSREG(3, 0, 2, 2, 2), 1, STATE_FILL, "APDBKeyLo_EL1", PATTERN ^ 7},
    {ANY_SYSREG(3, 0, 2, 2, 3), 1, STATE_FILL, "APDBKeyHi_EL1", PATTERN ^ 8},
    {ANY_SYSREG(3, 0, 2, 3, 0), 1, STATE_FILL, "APGAKeyLo_EL1", PATTERN ^ 9},
    {ANY_SYSREG(3, 0, 2, 3, 1), 1, STATE_FILL, "APGAKeyHi_EL1", PATTERN ^ 10},
    {ANY_SYSREG(3, 0, 4, 0, 0), 1, STATE_OWN, "SPSR_EL1", 0},
    {ANY_SYSREG(3, 0, 4, 0, 1), 1, STATE_OWN, "ELR_EL1", 0},
    {ANY_SYSREG(3, 0, 4, 1, 0), 1, STATE_FILL, "SP_EL0", PATTERN ^ 0xff},
    {ANY_SYSREG(3, 0, 4, 2, 0), 1, STATE_LEAVE, "SPSel", 0},
    {ANY_SYSREG(3, 0, 4, 2, 3), 1, STATE_XOR, "PAN", UINT64_C(1) << 22},
    {ANY_SYSREG(3, 0, 4, 2, 4), 1, STATE_LEAVE, "UAO", 0},
    {ANY_SYSREG(3, 0, 4, 3, 0), 1, STATE_LEAVE, "ALLINT", 0},
    {ANY_SYSREG(3, 0, 4, 6, 0), 1, STATE_LEAVE, "ICC_PMR_EL1", 0},
    {ANY_SYSREG(3, 0, 5, 1, 0), 1, STATE_FILL, "AFSR0_EL1", PATTERN},
    {ANY_SYSREG(3, 0, 5, 1, 1), 1, STATE_FILL, "AFSR1_EL1", PATTERN},
    {ANY_SYSREG(3, 0, 5, 2, 0), 1, STATE_OWN, "ESR_EL1", 0},
    {ANY_SYSREG(3, 0, 6, 0, 0), 1, STATE_OWN, "FAR_EL1", 0},
    {ANY_SYSREG(3, 0, 7, 4, 0), 1, STATE_FILL, "PAR_EL1", UINT64_C(0xff00005a5a5a5b80)},
    {ANY_SYSREG(3, 0, 10, 2, 0), 1, STATE_XOR, "MAIR_EL1", UINT64_C(0x44bb) << 32},
    {ANY_SYSREG(3, 0, 10, 3, 0), 1, STATE_FILL, "AMAIR_EL1", PATTERN},
    {ANY_SYSREG(3, 0, 12, 0, 0), 1, STATE_LEAVE, "VBAR_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 8, 3), 1, STATE_LEAVE, "ICC_BPR0_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 8, 4), 1, STATE_LEAVE, "ICC_AP0R0_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 8, 5), 1, STATE_LEAVE, "ICC_AP0R1_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 8, 6), 1, STATE_LEAVE, "ICC_AP0R2_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 8, 7), 1, STATE_LEAVE, "ICC_AP0R3_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 9, 0), 1, STATE_LEAVE, "ICC_AP1R0_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 9, 1), 1, STATE_LEAVE, "ICC_AP1R1_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 9, 2), 1, STATE_LEAVE, "ICC_AP1R2_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 9, 3), 1, STATE_LEAVE, "ICC_AP1R3_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 12, 0), 1, STATE_OWN, "ICC_IAR1_EL1", 0}, /* a read acknowledges */
    {ANY_SYSREG(3, 0, 12, 8, 0), 1, STATE_OWN, "ICC_IAR0_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 12, 3), 1, STATE_LEAVE, "ICC_BPR1_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 12, 4), 1, STATE_LEAVE, "ICC_CTLR_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 12, 6), 1, STATE_LEAVE, "ICC_IGRPEN0_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 12, 7), 1, STATE_LEAVE, "ICC_IGRPEN1_EL1", 0},
    {ANY_SYSREG(3, 0, 12, 1, 1), 1, STATE_FILL, "DISR_EL1", 0x81000015},
    {ANY_SYSREG(3, 0, 13, 0, 1), 1, STATE_FILL, "CONTEXTIDR_EL1", 0xa5c39678},
    {ANY_SYSREG(3, 0, 13, 0, 4), 1, STATE_FILL, "TPIDR_EL1", PATTERN ^ 0x10},
    {ANY_SYSREG(3, 0, 14, 1, 0), 1, STATE_FILL, "CNTKCTL_EL1", 0xf3},
    {ANY_SYSREG(3, 2, 0, 0, 0), 1, STATE_FILL, "CSSELR_EL1", 2},
    {ANY_SYSREG(3, 3, 4, 2, 0), 1, STATE_OWN, "NZCV", 0},
    {ANY_SYSREG(3, 3, 4, 2, 1), 1, STATE_LEAVE, "DAIF", 0},
    {ANY_SYSREG(3, 3, 4, 2, 5), 1, STATE_XOR, "DIT", UINT64_C(1) << 24},
    {ANY_SYSREG(3, 3, 4, 2, 6), 1, STATE_XOR, "SSBS", UINT64_C(1) << 12},
    {ANY_SYSREG(3, 3, 4, 2, 7), 1, STATE_LEAVE, "TCO", 0},
    {ANY_SYSREG(3, 3, 4, 4, 0), 1, STATE_FILL, "FPCR", 0x07c00000},
    {ANY_SYSREG(3, 3, 4, 4, 1), 1, STATE_FILL, "FPSR", 0x0800001f},
    {ANY_SYSREG(3, 3, 13, 0, 2), 1, STATE_FILL, "TPIDR_EL0", PATTERN ^ 0x20},
    {ANY_SYSREG(3, 3, 13, 0, 3), 1, STATE_FILL, "TPIDRRO_EL0", PATTERN ^ 0x30},
    {ANY_SYSREG(3, 3, 13, 0, 5), 1, STATE_FILL, "TPIDR2_EL0", PATTERN ^ 0x40},
    {ANY_SYSREG(3, 3, 14, 2, 0), 1, STATE_OWN, "CNTP_TVAL_EL0", 0},
    {ANY_SYSREG(3, 3, 14, 2, 1), 1, STATE_OWN, "CNTP_CTL_EL0", 0},
    {ANY_SYSREG(3, 3, 14, 2, 2), 1, STATE_OWN, "CNTP_CVAL_EL0", 0},
    {ANY_SYSREG(3, 3, 14, 3, 0), 1, STATE_OWN, "CNTV_TVAL_EL0", 0},
    {ANY_SYSREG(3, 3, 14, 3, 1), 1, STATE_OWN, "CNTV_CTL_EL0", 0},
    {ANY_SYSREG(3, 3, 14, 3, 2), 1, STATE_OWN, "CNTV_CVAL_EL0", 0},
    {ANY_SYSREG(2, 0, 0, 0, 4), 16, STATE_FILL, "DBGBVR_EL1", UINT64_C(0x00001234567890a4)},
    {ANY_SYSREG(2, 0, 0, 0, 5), 16, STATE_FILL, "DBGBCR_EL1", 0x1e4},
    {ANY_SYSREG(2, 0, 0, 0, 6), 16, STATE_FILL, "DBGWVR_EL1", UINT64_C(0x0000234567890a48)},
    {ANY_SYSREG(2, 0, 0, 0, 7), 16, STATE_FILL, "DBGWCR_EL1", 0x1ffc},
    {ANY_SYSREG(2, 0, 0, 2, 0), 1, STATE_FILL, "MDCCINT_EL1", 0x60000000},
    {ANY_SYSREG(2, 0, 0, 2, 2), 1, STATE_XOR, "MDSCR_EL1", UINT64_C(1) << 12},
    {ANY_SYSREG(2, 0, 1, 1, 4), 1, STATE_LEAVE, "OSLSR_EL1", 0},
};
const unsigned state_registers_count = sizeof(state_registers) / sizeof(state_registers[0]);

const struct state_register *state_register_find(uint32_t reg)
{
    for (unsigned i = 0; i < state_registers_count; i++) {
        uint32_t distance = reg - state_registers[i].reg;

        if (distance % 8 == 0 && distance / 8 < state_registers[i].copies) {
            return &state_registers[i];
        }
    }
    return NULL;
}
