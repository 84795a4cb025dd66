/* SPDX-License-Identifier: MIT */
/* The identity of the host's CPUs as it travels in save records and streams. */
#include <hv/arch_vcpu.h>
#include <hv/save.h>
#include <stddef.h>
#include <sysreg.h>

#define DCZID_BLOCK_SIZE 15u /* the other bit says what the current EL may do */

static const struct {
    uint8_t index, crm, op2;
} id_registers[] = {
    {GODWIT_ID_PFR0, 4, 0},  {GODWIT_ID_PFR1, 4, 1},  {GODWIT_ID_ZFR0, 4, 4},
    {GODWIT_ID_SMFR0, 4, 5}, {GODWIT_ID_DFR0, 5, 0},  {GODWIT_ID_DFR1, 5, 1},
    {GODWIT_ID_ISAR0, 6, 0}, {GODWIT_ID_ISAR1, 6, 1}, {GODWIT_ID_ISAR2, 6, 2},
    {GODWIT_ID_MMFR0, 7, 0}, {GODWIT_ID_MMFR1, 7, 1}, {GODWIT_ID_MMFR2, 7, 2},
};

void hv_id_registers(uint64_t ret_id[GODWIT_ID_COUNT])
{
    for (unsigned i = 0; i < GODWIT_ID_COUNT; i++) {
        ret_id[i] = 0;
    }
    for (size_t i = 0; i < sizeof(id_registers) / sizeof(id_registers[0]); i++) {
        ret_id[id_registers[i].index] =
            arch_id_register(NULL, id_registers[i].crm, id_registers[i].op2);
    }
    ret_id[GODWIT_ID_CTR_EL0] = READ_SYSREG(ctr_el0);
    ret_id[GODWIT_ID_DCZID_EL0] = READ_SYSREG(dczid_el0) & DCZID_BLOCK_SIZE;
    ret_id[GODWIT_ID_MIDR] = READ_SYSREG(midr_el1);
}
