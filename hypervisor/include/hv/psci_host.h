/* SPDX-License-Identifier: MIT */
/* The firmware below us: PSCI by smc. */
#ifndef HV_PSCI_HOST_H
#define HV_PSCI_HOST_H

#include <core/addr.h>
#include <stdint.h>

/* 0, or a negative PSCI error. */
int32_t psci_host_cpu_on(uint64_t mpidr, pa_t entry, uint64_t context);

/* Switches the machine off, or resets it; other CPUs are stopped first. */
_Noreturn void host_power_off(void);
_Noreturn void host_reset(void);

#endif
