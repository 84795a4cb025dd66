/* SPDX-License-Identifier: MIT */
/*
 * Sources: the kernel's Documentation/arch/arm64/silicon-errata.rst, the help texts of the options
 * named after the errata, and its part numbers; FreeBSD's advisory SA-26:31; Arm's Software
 * Developers Errata Notices for Cortex-A55 and A510.
 */
#include "errata.h"

enum {
    ARM = 0x41,
    NVIDIA = 0x4e,
    QUALCOMM = 0x51,
    MICROSOFT = 0x6d,
    AMPERE = 0xc0,
};

struct cpu_range {
    uint8_t implementer;
    uint16_t part, last_part;
    uint8_t first, last; /* variant << 4 | revision: affected are these and those between */
};

#define ALL       0x00, 0xff
#define PART(n)   (n), (n)
#define UP_TO(n)  0x00, (n)
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const struct cpu_range repeat_tlbi[] = {
    {ARM, PART(0xd05), ALL},             /* Cortex-A55, erratum 2441007 */
    {ARM, PART(0xd46), UP_TO(0x11)},     /* Cortex-A510 up to r1p1, 2441009 */
    {QUALCOMM, PART(0xc00), UP_TO(0)},   /* Falkor v1, E1009 */
    {QUALCOMM, 0x200, 0x2ff, ALL},       /* Kryo, the same */
    {QUALCOMM, PART(0x804), 0xce, 0xfe}, /* Kryo 4xx Gold, 1286807 of Cortex-A76 */
    /* CVE-2025-10263. All versions, those too that are meant to have it repaired. */
    {ARM, PART(0xd0b), ALL},       /* Cortex-A76, 1286807 (up to r3p0) and 4193800 */
    {ARM, PART(0xd0c), ALL},       /* Neoverse N1, 4193800 */
    {ARM, PART(0xd0d), ALL},       /* Cortex-A77, 4193798 */
    {ARM, PART(0xd0e), ALL},       /* Cortex-A76AE, 4193801 */
    {ARM, PART(0xd40), ALL},       /* Neoverse V1, 4193790 */
    {ARM, PART(0xd41), ALL},       /* Cortex-A78, 4193791 */
    {ARM, PART(0xd42), ALL},       /* Cortex-A78AE, 4193793 */
    {ARM, PART(0xd44), ALL},       /* Cortex-X1, 4193791 */
    {ARM, PART(0xd47), ALL},       /* Cortex-A710, 4193788 */
    {ARM, PART(0xd48), ALL},       /* Cortex-X2, 4193788 */
    {ARM, PART(0xd49), ALL},       /* Neoverse N2, 4193789 */
    {ARM, PART(0xd4b), ALL},       /* Cortex-A78C, 4193794 */
    {ARM, PART(0xd4c), ALL},       /* Cortex-X1C, 4193792 */
    {ARM, PART(0xd4e), ALL},       /* Cortex-X3, 4193786 */
    {ARM, PART(0xd4f), ALL},       /* Neoverse V2, 4193787 */
    {ARM, PART(0xd82), ALL},       /* Cortex-X4, 4118414 */
    {ARM, PART(0xd83), ALL},       /* Neoverse V3AE, 4193784 */
    {ARM, PART(0xd84), ALL},       /* Neoverse V3, 4193784 */
    {ARM, PART(0xd85), ALL},       /* Cortex-X925, 4193781 */
    {ARM, PART(0xd8c), ALL},       /* C1-Ultra, 4193780 */
    {ARM, PART(0xd90), ALL},       /* C1-Premium, 4193780 */
    {MICROSOFT, PART(0xd49), ALL}, /* Azure Cobalt 100, 4193789 */
    {NVIDIA, PART(0x010), ALL},    /* Olympus, T410-OLY-1029 */
};

static const struct cpu_range wrong_dirty_state[] = {
    {ARM, PART(0xd05), ALL},         /* Cortex-A55, 1024718: changes without a break lose updates */
    {QUALCOMM, PART(0x805), ALL},    /* Kryo 4xx Silver, made from it */
    {ARM, PART(0xd46), UP_TO(0x02)}, /* Cortex-A510 up to r0p2, 2051678: updates come unordered */
    {AMPERE, PART(0xac3), ALL},      /* AmpereOne, AC03_CPU_38: VTCR_EL2.HA and HD must stay 0 */
    {AMPERE, PART(0xac4), ALL},      /* AmpereOne AC04, AC04_CPU_10: the same */
};

static bool is_among(uint64_t midr, const struct cpu_range *ranges, unsigned count)
{
    unsigned implementer = (unsigned)(midr >> 24) & 0xffu;
    unsigned part = (unsigned)(midr >> 4) & 0xfffu;
    unsigned version = (unsigned)(midr >> 16 & 0xf0u) | (unsigned)(midr & 0xfu);

    for (unsigned i = 0; i < count; i++) {
        const struct cpu_range *range = &ranges[i];

        if (implementer == range->implementer && part >= range->part && part <= range->last_part &&
            version >= range->first && version <= range->last) {
            return true;
        }
    }
    return false;
}

bool errata_repeat_tlbi(uint64_t midr)
{
    return is_among(midr, repeat_tlbi, LENGTH(repeat_tlbi));
}

bool errata_wrong_dirty_state(uint64_t midr)
{
    return is_among(midr, wrong_dirty_state, LENGTH(wrong_dirty_state));
}
