/* SPDX-License-Identifier: MIT */
#include "restore_compare.h"

#include <godwit/ext.h>

static const char *const register_names[GODWIT_ID_COUNT] = {
    [GODWIT_ID_PFR0] = "ID_AA64PFR0_EL1",   [GODWIT_ID_PFR1] = "ID_AA64PFR1_EL1",
    [GODWIT_ID_ZFR0] = "ID_AA64ZFR0_EL1",   [GODWIT_ID_SMFR0] = "ID_AA64SMFR0_EL1",
    [GODWIT_ID_DFR0] = "ID_AA64DFR0_EL1",   [GODWIT_ID_DFR1] = "ID_AA64DFR1_EL1",
    [GODWIT_ID_ISAR0] = "ID_AA64ISAR0_EL1", [GODWIT_ID_ISAR1] = "ID_AA64ISAR1_EL1",
    [GODWIT_ID_ISAR2] = "ID_AA64ISAR2_EL1", [GODWIT_ID_MMFR0] = "ID_AA64MMFR0_EL1",
    [GODWIT_ID_MMFR1] = "ID_AA64MMFR1_EL1", [GODWIT_ID_MMFR2] = "ID_AA64MMFR2_EL1",
    [GODWIT_ID_CTR_EL0] = "CTR_EL0",        [GODWIT_ID_DCZID_EL0] = "DCZID_EL0",
    [GODWIT_ID_MIDR] = "MIDR_EL1",
};

_Static_assert(GODWIT_ID_COUNT == STREAM_ID_REGISTERS, "docs/stream.md");

/* Guests pick their workarounds by implementer and part; a stepping of the same part is fine. */
#define MIDR_MODEL_MASK 0xFF00FFF0ULL

#define MODEL "it takes a host with CPUs of the same model"

int restore_compare_hosts(const struct stream_host *theirs, const struct stream_host *ours,
                          struct gw_error *err)
{
    if (theirs->cntfrq_hz != ours->cntfrq_hz)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the counter runs at %llu Hz at the source and at %llu Hz here; " MODEL,
                            (unsigned long long)theirs->cntfrq_hz,
                            (unsigned long long)ours->cntfrq_hz);
    for (unsigned i = 0; i <= GODWIT_ID_MIDR; i++) {
        uint64_t mask = i == GODWIT_ID_MIDR ? MIDR_MODEL_MASK : UINT64_MAX;
        uint64_t different = (theirs->id[i] ^ ours->id[i]) & mask;

        if (!different)
            continue;
        unsigned low = (unsigned)__builtin_ctzll(different) & ~3u;
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the CPUs differ: %s is 0x%llx at the source and 0x%llx here "
                            "(bits %u to %u); " MODEL,
                            register_names[i], (unsigned long long)theirs->id[i],
                            (unsigned long long)ours->id[i], low, low + 3);
    }
    return 0;
}
