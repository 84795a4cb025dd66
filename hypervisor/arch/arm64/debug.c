/* SPDX-License-Identifier: MIT */
/* Breakpoints and watchpoints of guests. */
#include "trap.h"

#include <hv/arch_vcpu.h>
#include <sysreg.h>

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
    debug->mdccint_el1 = READ_SYSREG(mdccint_el1);
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
    WRITE_SYSREG(debug->mdccint_el1, mdccint_el1);
    WRITE_SYSREG(debug->mdscr_el1, mdscr_el1);
}
