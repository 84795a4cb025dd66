/* SPDX-License-Identifier: MIT */
/* vCPUs of a test guest, started by PSCI. */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include <guest/layout.h>
#include <stdint.h>

unsigned smp_cpu_index(void);
uint64_t smp_mpidr(unsigned cpu); /* affinity fields as Xen numbers guests: 16 per Aff1 */

/* Starts a vCPU that runs entry(index) and then sleeps. Returns PSCI's answer. */
int64_t smp_start(unsigned cpu, void (*entry)(unsigned cpu));

int64_t psci_call(uint32_t function, uint64_t a1, uint64_t a2, uint64_t a3);

#define PSCI_VERSION       0x84000000u
#define PSCI_CPU_OFF       0x84000002u
#define PSCI_CPU_ON        0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF    0x84000008u
#define PSCI_SYSTEM_RESET  0x84000009u
#define PSCI_FEATURES      0x8400000au

#endif
