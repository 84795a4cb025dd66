/* SPDX-License-Identifier: MIT */
/* PSCI 1.1 for guests: starting and stopping vCPUs, power-off and reset. Source: Arm DEN 0022. */
#include <hv/domain.h>
#include <hv/psci_host.h>
#include <hv/sched.h>
#include <hv/smccc.h>
#include <stddef.h>
#include <xen/sched.h>

#define PSCI_64 0x40000000u

#define PSCI_VERSION           0x84000000u
#define PSCI_CPU_SUSPEND       0x84000001u
#define PSCI_CPU_OFF           0x84000002u
#define PSCI_CPU_ON            0x84000003u
#define PSCI_AFFINITY_INFO     0x84000004u
#define PSCI_MIGRATE_INFO_TYPE 0x84000006u
#define PSCI_SYSTEM_OFF        0x84000008u
#define PSCI_SYSTEM_RESET      0x84000009u
#define PSCI_FEATURES          0x8400000au
#define PSCI_SYSTEM_RESET2     0x84000012u
#define SMCCC_VERSION          0x80000000u /* PSCI_FEATURES is asked for it too */

#define PSCI_VERSION_1_1 0x10001u

#define PSCI_SUCCESS            0
#define PSCI_NOT_SUPPORTED      (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON         (-4)
#define PSCI_INVALID_ADDRESS    (-9)

#define PSCI_NO_TRUSTED_OS   2 /* MIGRATE_INFO_TYPE: nothing to migrate */
#define PSCI_RESET2_WARM     0
#define AFFINITY_INFO_ON     0
#define AFFINITY_INFO_OFF    1
#define MPIDR_AFFINITY       UINT64_C(0xff00ffffff)
#define MPIDR_AFFINITY_LEVEL 3u

static struct vcpu *find_vcpu(const struct domain *d, uint64_t affinity)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];
        if (v && (v->vmpidr & MPIDR_AFFINITY) == (affinity & MPIDR_AFFINITY)) {
            return v;
        }
    }
    return NULL;
}

static int64_t cpu_on(struct domain *d, uint64_t target, uint64_t entry, uint64_t context)
{
    struct vcpu *v = find_vcpu(d, target);

    if (!v) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (entry & 3) {
        return PSCI_INVALID_ADDRESS;
    }
    return sched_vcpu_start(v, entry, context) ? PSCI_SUCCESS : PSCI_ALREADY_ON;
}

static int64_t affinity_info(const struct domain *d, uint64_t target, uint64_t level)
{
    int64_t result = PSCI_INVALID_PARAMETERS;
    uint64_t mask = MPIDR_AFFINITY;

    if (level > MPIDR_AFFINITY_LEVEL) {
        return PSCI_INVALID_PARAMETERS;
    }
    /* Affinity fields below the level do not take part; Aff3 lies apart, in bits 39:32. */
    mask &= ~((UINT64_C(1) << (8 * level)) - 1);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpus[i];
        if (!v || (v->vmpidr & mask) != (target & mask)) {
            continue;
        }
        if (!sched_vcpu_is_off(v)) {
            return AFFINITY_INFO_ON;
        }
        result = AFFINITY_INFO_OFF;
    }
    return result;
}

static int64_t features(uint32_t function)
{
    return function == SMCCC_VERSION || vpsci_has(function) ? PSCI_SUCCESS : PSCI_NOT_SUPPORTED;
}

static void system_stop(struct vcpu *v, uint32_t code)
{
    /* The control domain's machine is the host. */
    if (!v->domain->is_control) {
        domain_shutdown(v->domain, code);
    } else if (code == SHUTDOWN_reboot) {
        host_reset();
    } else {
        host_power_off();
    }
}

static int64_t system_reset2(struct vcpu *v, uint64_t type)
{
    if (type != PSCI_RESET2_WARM) {
        return PSCI_INVALID_PARAMETERS;
    }
    system_stop(v, SHUTDOWN_reboot);
    return PSCI_SUCCESS;
}

bool vpsci_has(uint32_t function)
{
    switch (function) {
    case PSCI_VERSION:
    case PSCI_CPU_OFF:
    case PSCI_MIGRATE_INFO_TYPE:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_FEATURES:
    case PSCI_CPU_SUSPEND:
    case PSCI_CPU_SUSPEND | PSCI_64:
    case PSCI_CPU_ON:
    case PSCI_CPU_ON | PSCI_64:
    case PSCI_AFFINITY_INFO:
    case PSCI_AFFINITY_INFO | PSCI_64:
    case PSCI_SYSTEM_RESET2:
    case PSCI_SYSTEM_RESET2 | PSCI_64:
        return true;
    default:
        return false;
    }
}

static int64_t run(struct vcpu *v, uint32_t function, const uint64_t args[3])
{
    switch (function & ~PSCI_64) {
    case PSCI_VERSION:
        return PSCI_VERSION_1_1;
    case PSCI_CPU_SUSPEND:
        /* All states are standby: the call returns when an interrupt is pending. */
        sched_block_current();
        return PSCI_SUCCESS;
    case PSCI_CPU_OFF:
        vtimer_off_current(v);
        sched_vcpu_off_current();
        return PSCI_SUCCESS;
    case PSCI_CPU_ON:
        return cpu_on(v->domain, args[0], args[1], args[2]);
    case PSCI_AFFINITY_INFO:
        return affinity_info(v->domain, args[0], args[1]);
    case PSCI_MIGRATE_INFO_TYPE:
        return PSCI_NO_TRUSTED_OS;
    case PSCI_SYSTEM_OFF:
        system_stop(v, SHUTDOWN_poweroff);
        return PSCI_SUCCESS;
    case PSCI_SYSTEM_RESET:
        system_stop(v, SHUTDOWN_reboot);
        return PSCI_SUCCESS;
    case PSCI_SYSTEM_RESET2:
        return system_reset2(v, args[0]);
    default:
        return features((uint32_t)args[0]);
    }
}

bool vpsci_call(struct vcpu *v, uint32_t function)
{
    uint64_t args[3];

    if (!vpsci_has(function)) {
        return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        args[i] = (function & PSCI_64) ? v->regs.x[i + 1] : (uint32_t)v->regs.x[i + 1];
    }
    int64_t result = run(v, function, args);
    v->regs.x[0] = (function & PSCI_64) ? (uint64_t)result : (uint32_t)result;
    return true;
}
