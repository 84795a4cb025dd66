/* SPDX-License-Identifier: MIT */
/* System registers of a CPU that the test plays; stands in for the arm64 ones. */
#ifndef TESTS_TIME_SYSREG_H
#define TESTS_TIME_SYSREG_H

#include <stdint.h>

struct fake_registers {
    uint64_t cntpct_el0, cntfrq_el0, cnthp_ctl_el2, cnthp_cval_el2;
    uint64_t cntv_ctl_el0, cntv_cval_el0, cntvoff_el2, cnthctl_el2;
};

extern struct fake_registers fake_registers;

#define READ_SYSREG(name)         (fake_registers.name)
#define WRITE_SYSREG(value, name) (fake_registers.name = (value))

#endif
