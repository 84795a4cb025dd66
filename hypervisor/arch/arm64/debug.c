/* SPDX-License-Identifier: MIT */
/*
 * Self-hosted debug of guests: breakpoints, watchpoints, the OS lock. All of it traps, as beside it
 * stand registers that are the host's alone: the channel to an external debugger and its claim
 * tags.
 */
#include "esr.h"
#include "trap.h"

#include <hv/domain.h>
#include <stddef.h>
#include <sysreg.h>

#define OSLAR_EL1   SYSREG_ID(2, 0, 1, 0, 4)
#define OSLSR_EL1   SYSREG_ID(2, 0, 1, 1, 4)
#define MDCCINT_EL1 SYSREG_ID(2, 0, 0, 2, 0)
#define MDSCR_EL1   SYSREG_ID(2, 0, 0, 2, 2)

#define OSLSR_OSLM_IMPLEMENTED UINT64_C(8)
#define OSLSR_OSLK             UINT64_C(2)
#define MDCCINT_BITS           UINT64_C(0x60000000)

/* op0 2, op1 0, CRn 0: breakpoint or watchpoint CRm, of which op2 tells the register. */
#define POINT_MASK  SYSREG_ID(3, 7, 15, 0, 0)
#define POINT_GROUP SYSREG_ID(2, 0, 0, 0, 0)
#define POINT_BVR   4u
#define POINT_BCR   5u
#define POINT_WVR   6u
#define POINT_WCR   7u

#define FOR_EACH_POINT(POINT)                                                                      \
    POINT(0)                                                                                       \
    POINT(1)                                                                                       \
    POINT(2)                                                                                       \
    POINT(3)                                                                                       \
    POINT(4)                                                                                       \
    POINT(5)                                                                                       \
    POINT(6)                                                                                       \
    POINT(7)                                                                                       \
    POINT(8)                                                                                       \
    POINT(9)                                                                                       \
    POINT(10)                                                                                      \
    POINT(11)                                                                                      \
    POINT(12)                                                                                      \
    POINT(13)                                                                                      \
    POINT(14)                                                                                      \
    POINT(15)

void debug_save(struct vcpu_debug *debug)
{
    debug->mdscr_el1 = READ_SYSREG(mdscr_el1);
#define POINT(n)                                                                                   \
    if (n < host_features.breakpoints) {                                                           \
        debug->bvr[n] = READ_SYSREG_(dbgbvr##n##_el1);                                             \
        debug->bcr[n] = READ_SYSREG_(dbgbcr##n##_el1);                                             \
    }                                                                                              \
    if (n < host_features.watchpoints) {                                                           \
        debug->wvr[n] = READ_SYSREG_(dbgwvr##n##_el1);                                             \
        debug->wcr[n] = READ_SYSREG_(dbgwcr##n##_el1);                                             \
    }
    FOR_EACH_POINT(POINT)
#undef POINT
}

void debug_load(const struct vcpu_debug *debug)
{
#define POINT(n)                                                                                   \
    if (n < host_features.breakpoints) {                                                           \
        WRITE_SYSREG_(debug->bvr[n], dbgbvr##n##_el1);                                             \
        WRITE_SYSREG_(debug->bcr[n], dbgbcr##n##_el1);                                             \
    }                                                                                              \
    if (n < host_features.watchpoints) {                                                           \
        WRITE_SYSREG_(debug->wvr[n], dbgwvr##n##_el1);                                             \
        WRITE_SYSREG_(debug->wcr[n], dbgwcr##n##_el1);                                             \
    }
    FOR_EACH_POINT(POINT)
#undef POINT
    WRITE_SYSREG(debug->mdscr_el1, mdscr_el1);
}

/* NULL: there is no such register. */
static uint64_t *point_register(struct vcpu_debug *debug, uint32_t id)
{
    unsigned n = SYSREG_CRM(id);

    switch (SYSREG_OP2(id)) {
    case POINT_BVR:
        return n < host_features.breakpoints ? &debug->bvr[n] : NULL;
    case POINT_BCR:
        return n < host_features.breakpoints ? &debug->bcr[n] : NULL;
    case POINT_WVR:
        return n < host_features.watchpoints ? &debug->wvr[n] : NULL;
    case POINT_WCR:
        return n < host_features.watchpoints ? &debug->wcr[n] : NULL;
    default:
        return id == MDSCR_EL1 ? &debug->mdscr_el1 : NULL;
    }
}

/* They are in the CPU, as v is loaded; the CPU also knows which of their bits exist. */
static void access_loaded(struct vcpu_debug *debug, uint64_t *reg, uint64_t *value, bool write)
{
    debug_save(debug);
    if (write) {
        *reg = *value;
        debug_load(debug);
    } else {
        *value = *reg;
    }
}

static bool is_external_debuggers(uint32_t id)
{
    switch (id) {
    case SYSREG_ID(2, 0, 0, 0, 2):  /* OSDTRRX_EL1 */
    case SYSREG_ID(2, 0, 0, 3, 2):  /* OSDTRTX_EL1 */
    case SYSREG_ID(2, 0, 0, 6, 2):  /* OSECCR_EL1 */
    case SYSREG_ID(2, 0, 1, 0, 0):  /* MDRAR_EL1 */
    case SYSREG_ID(2, 0, 1, 3, 4):  /* OSDLR_EL1 */
    case SYSREG_ID(2, 0, 1, 4, 4):  /* DBGPRCR_EL1 */
    case SYSREG_ID(2, 0, 7, 8, 6):  /* DBGCLAIMSET_EL1 */
    case SYSREG_ID(2, 0, 7, 9, 6):  /* DBGCLAIMCLR_EL1 */
    case SYSREG_ID(2, 0, 7, 14, 6): /* DBGAUTHSTATUS_EL1 */
    case SYSREG_ID(2, 3, 0, 1, 0):  /* MDCCSR_EL0 */
    case SYSREG_ID(2, 3, 0, 4, 0):  /* DBGDTR_EL0 */
    case SYSREG_ID(2, 3, 0, 5, 0):  /* DBGDTRRX_EL0, DBGDTRTX_EL0 */
        return true;
    default:
        return false;
    }
}

bool debug_emulate(struct vcpu *v, uint32_t id, uint64_t *value, bool write)
{
    struct vcpu_debug *debug = &v->arch.debug;
    uint64_t *reg = (id & POINT_MASK) == POINT_GROUP ? point_register(debug, id) : NULL;

    if (reg) {
        access_loaded(debug, reg, value, write);
        return true;
    }
    switch (id) {
    case OSLAR_EL1:
        if (write) {
            debug->os_lock = *value & 1;
        }
        return write;
    case OSLSR_EL1:
        *value = OSLSR_OSLM_IMPLEMENTED | (debug->os_lock ? OSLSR_OSLK : 0);
        return !write;
    case MDCCINT_EL1: /* it enables interrupts of a channel that guests do not have */
        debug->mdccint_el1 = write ? *value & MDCCINT_BITS : debug->mdccint_el1;
        *value = debug->mdccint_el1;
        return true;
    default:
        break;
    }
    if (!is_external_debuggers(id)) {
        return false;
    }
    *value = 0;
    return true;
}
