/* SPDX-License-Identifier: MIT */
#include "pattern.h"
#include "state_registers.h"

#include <guest/report.h>

#define COPIES_MAX 16
#define LIST_MAX   96
#define OSLAR_EL1  ANY_SYSREG(2, 0, 1, 0, 4)

/* What each register held after it was filled, and whether it is there at all. */
static struct {
    uint64_t value;
    bool exists;
} expected[LIST_MAX][COPIES_MAX];

static void fill(const struct state_register *r, unsigned copy)
{
    uint32_t reg = state_register_copy(r, copy);
    uint64_t before;

    if (r->use < STATE_LEAVE && any_sysreg_read(reg, &before)) {
        any_sysreg_write(reg,
                         r->use == STATE_XOR ? before ^ r->change : r->change + copy * 0x100000);
    }
}

void pattern_registers_fill(void)
{
    any_sysreg_write(OSLAR_EL1, 1);
    for (unsigned i = 0; i < state_registers_count; i++) {
        for (unsigned n = 0; n < state_registers[i].copies; n++) {
            fill(&state_registers[i], n);
        }
    }
    for (unsigned i = 0; i < state_registers_count; i++) {
        for (unsigned n = 0; n < state_registers[i].copies; n++) {
            expected[i][n].exists =
                state_registers[i].use != STATE_OWN &&
                any_sysreg_read(state_register_copy(&state_registers[i], n), &expected[i][n].value);
        }
    }
}

void pattern_registers_check(void)
{
    unsigned checked = 0, differ = 0;

    for (unsigned i = 0; i < state_registers_count; i++) {
        for (unsigned n = 0; n < state_registers[i].copies; n++) {
            uint64_t value;

            if (!expected[i][n].exists) {
                continue;
            }
            checked++;
            if (!any_sysreg_read(state_register_copy(&state_registers[i], n), &value) ||
                value != expected[i][n].value) {
                differ++;
                report(false, "%s (%u) is %lx, was %lx", state_registers[i].name, n, value,
                       expected[i][n].value);
            }
        }
    }
    report(differ == 0 && checked > 50, "of %u system registers %u differ", checked, differ);
}
