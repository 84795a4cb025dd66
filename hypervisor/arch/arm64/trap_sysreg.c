/* SPDX-License-Identifier: MIT */
/* Trapped system registers: each is emulated here, handed to a device, or undefined. */
#include "esr.h"
#include "trap.h"

#include <hv/domain.h>
#include <hv/vgic.h>
#include <hv/vtimer.h>

#define ACTLR_EL1 SYSREG_ID(3, 0, 1, 0, 1)
#define DC_ISW    SYSREG_ID(1, 0, 7, 6, 2)
#define DC_CSW    SYSREG_ID(1, 0, 7, 10, 2)
#define DC_CISW   SYSREG_ID(1, 0, 7, 14, 2)

/* op0 3, op1 0, CRn 0: the ID group. */
#define ID_GROUP_MASK SYSREG_ID(3, 7, 15, 0, 0)
#define ID_GROUP      SYSREG_ID(3, 0, 0, 0, 0)
#define ICC_GROUP     SYSREG_ID(3, 0, 12, 0, 0)
#define ICC_PMR_EL1   SYSREG_ID(3, 0, 4, 6, 0)
#define TIMER_GROUP   SYSREG_ID(3, 3, 14, 0, 0)

/* False: undefined here. */
static bool emulate(struct vcpu *v, uint32_t iss, uint64_t *value, bool write)
{
    uint32_t id = iss & SYSREG_ID_MASK;

    switch (id & ID_GROUP_MASK) {
    case ID_GROUP:
        *value = arch_id_register(v->domain, SYSREG_CRM(iss), SYSREG_OP2(iss));
        return !write;
    case ICC_GROUP:
        return vgic_trap_sysreg(v, iss, value, write);
    case TIMER_GROUP:
        return vtimer_trap_sysreg(v, iss, value, write);
    default:
        break;
    }
    switch (id) {
    case ICC_PMR_EL1:
        return vgic_trap_sysreg(v, iss, value, write);
    case ACTLR_EL1:
        *value = 0;
        return true;
    case DC_ISW:
    case DC_CSW:
    case DC_CISW:
        /* By set and way nothing can be promised to a guest that moves between CPUs. */
        return write;
    default:
        return debug_emulate(v, id, value, write) || caches_emulate(v, id, value, write);
    }
}

void trap_sysreg(struct vcpu *v, uint64_t esr)
{
    uint32_t iss = (uint32_t)ESR_ISS(esr);
    bool write = !(iss & SYSREG_IS_READ);
    unsigned reg = SYSREG_RT(iss);
    uint64_t value = write ? trap_reg_read(v, reg) : 0;

    if (!emulate(v, iss, &value, write)) {
        vcpu_inject_undefined(v);
        return;
    }
    if (!write) {
        trap_reg_write(v, reg, value);
    }
    trap_skip_instruction(v, esr);
}
