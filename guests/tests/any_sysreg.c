/* SPDX-License-Identifier: MIT */
/* The number of a register is a part of the instruction: so the instruction is made. */
#include "any_sysreg.h"

#include <guest/exception.h>
#include <guest/sysreg.h>

#define MRS_X0 0xd5300000u
#define MSR_X0 0xd5100000u
#define RET    0xd65f03c0u

/* The test guests' memory is writable and executable alike. One CPU at a time. */
static uint32_t code[2] __attribute__((aligned(64)));

static uint64_t execute(uint32_t instruction, uint64_t x0)
{
    uint64_t (*function)(uint64_t) = (uint64_t(*)(uint64_t))(uintptr_t)code;

    code[0] = instruction;
    code[1] = RET;
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(code) : "memory");
    return function(x0);
}

bool any_sysreg_read(uint32_t reg, uint64_t *ret_value)
{
    fault_expect();
    *ret_value = execute(MRS_X0 | reg << 5, 0);
    return !fault_taken().taken;
}

bool any_sysreg_write(uint32_t reg, uint64_t value)
{
    fault_expect();
    execute(MSR_X0 | reg << 5, value);
    isb();
    return !fault_taken().taken;
}
