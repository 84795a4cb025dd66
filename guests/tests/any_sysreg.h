/* SPDX-License-Identifier: MIT */
/* System registers by number: for programs that go through all of them. */
#ifndef ANY_SYSREG_H
#define ANY_SYSREG_H

#include <stdbool.h>
#include <stdint.h>

/* A register's place in the encoding space, as S<op0>_<op1>_C<crn>_C<crm>_<op2>; op0 is 2 or 3. */
#define ANY_SYSREG(op0, op1, crn, crm, op2)                                                        \
    ((uint32_t)(((op0)&1) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))
#define ANY_SYSREGS (1u << 15)

/* Both return false if the CPU, or who traps it, says that there is no such register. */
bool any_sysreg_read(uint32_t reg, uint64_t *ret_value);
bool any_sysreg_write(uint32_t reg, uint64_t value);

#endif
