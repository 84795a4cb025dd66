/* SPDX-License-Identifier: MIT */
/*
 * Looks for state that nobody knows of: goes through all numbers that a system register can have,
 * and flips each bit of each register that is there. One that keeps what was written, and is not in
 * the list of those that move with a guest, would be lost by a migration.
 */
#include "state_registers.h"

#include <guest/main.h>
#include <guest/report.h>
#include <stddef.h>

static unsigned readable, writable, stateful, unknown;

/* Does some bit of it keep another value than it has? It has its old one afterwards. */
static bool keeps_state(uint32_t reg, uint64_t before)
{
    bool keeps = false;

    for (unsigned bit = 0; bit < 64 && !keeps; bit++) {
        uint64_t wanted = before ^ UINT64_C(1) << bit, after;

        keeps = any_sysreg_write(reg, wanted) && any_sysreg_read(reg, &after) && after == wanted;
        any_sysreg_write(reg, before);
    }
    return keeps;
}

static void examine(uint32_t reg)
{
    const struct state_register *known = state_register_find(reg);
    uint64_t value, again;

    if (known != NULL) {
        stateful++;
        return; /* among them those whose change would end us */
    }
    if (!any_sysreg_read(reg, &value)) {
        return;
    }
    readable++;
    if (!any_sysreg_read(reg, &again) || again != value || !any_sysreg_write(reg, value)) {
        return; /* a counter, a random number; one that cannot be written */
    }
    writable++;
    if (keeps_state(reg, value)) {
        unknown++;
        report(false, "S%u_%u_C%u_C%u_%u keeps what is written and is in no record",
               2 + (reg >> 14), reg >> 11 & 7, reg >> 7 & 15, reg >> 3 & 15, reg & 7);
    }
}

void guest_main(const void *dtb)
{
    for (uint32_t reg = 0; reg < ANY_SYSREGS; reg++) {
        examine(reg);
    }
    report(unknown == 0,
           "%u registers are known; of %u others %u can be written, %u of these keep it", stateful,
           readable, writable, unknown);
    report(readable > 20, "identity registers were read, so the search works");
}
