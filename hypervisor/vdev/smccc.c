/* SPDX-License-Identifier: MIT */
/* SMCCC for guests: the version, what exists, and PSCI. Source: Arm DEN 0028. */
#include <hv/smccc.h>
#include <hv/vcpu.h>

#define SMCCC_VERSION       0x80000000u
#define SMCCC_ARCH_FEATURES 0x80000001u

#define SMCCC_VERSION_1_1 0x10001u

static bool is_known(uint32_t function)
{
    return function == SMCCC_VERSION || function == SMCCC_ARCH_FEATURES || vpsci_has(function);
}

void smccc_call(struct vcpu *v)
{
    uint32_t function = (uint32_t)v->regs.x[0];

    switch (function) {
    case SMCCC_VERSION:
        v->regs.x[0] = SMCCC_VERSION_1_1;
        return;
    case SMCCC_ARCH_FEATURES:
        v->regs.x[0] = is_known((uint32_t)v->regs.x[1]) ? 0 : SMCCC_NOT_SUPPORTED;
        return;
    default:
        if (!vpsci_call(v, function)) {
            v->regs.x[0] = SMCCC_NOT_SUPPORTED;
        }
        return;
    }
}
