/* SPDX-License-Identifier: MIT */
/*
 * Whether the MMUs of this host note writes in stage-2 descriptors (FEAT_HAFDBS with dirty state):
 * all CPUs say so, and none is known to do it wrongly.
 *
 * Sources for the list: the kernel's Documentation/arch/arm64/silicon-errata.rst and the help texts
 * of the options named after the errata; Arm's Software Developers Errata Notices for Cortex-A55
 * and A510.
 */
#include "hafdbs.h"

#include <sysreg.h>

#define ID_HAFDBS_DIRTY 2u /* ID_AA64MMFR1_EL1.HAFDBS: access flag and dirty state */

struct midr_range {
    uint8_t implementer;
    uint16_t part;
    uint8_t last; /* variant << 4 | revision: affected up to and with this one */
};

static const struct midr_range wrong[] = {
    {0x41, 0xd05, 0xff}, /* Cortex-A55, 1024718: DBM or AP changed without a break lose updates */
    {0x51, 0x805, 0xff}, /* Kryo 4xx Silver, made from Cortex-A55: the same */
    {0x41, 0xd46, 0x02}, /* Cortex-A510 up to r0p2, 2051678: updates are not ordered as promised */
    {0xc0, 0xac3, 0xff}, /* AmpereOne, AC03_CPU_38: VTCR_EL2.HA and HD must stay 0 */
    {0xc0, 0xac4, 0xff}, /* AmpereOne AC04, AC04_CPU_10: the same */
};

static bool is_wrong(uint64_t midr)
{
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        unsigned version = (unsigned)(midr >> 16 & 0xf0u) | (unsigned)(midr & 0xfu);

        if (midr >> 24 == wrong[i].implementer && (midr >> 4 & 0xfffu) == wrong[i].part &&
            version <= wrong[i].last) {
            return true;
        }
    }
    return false;
}

bool port_cpu_has_dirty_state(void)
{
    return (READ_SYSREG(id_aa64mmfr1_el1) & 15u) >= ID_HAFDBS_DIRTY &&
           !is_wrong(READ_SYSREG(midr_el1));
}
