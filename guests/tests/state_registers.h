/* SPDX-License-Identifier: MIT */
/* All system registers that hold state of a guest, and what a test may write there. */
#ifndef STATE_REGISTERS_H
#define STATE_REGISTERS_H

#include "any_sysreg.h"

enum state_use {
    STATE_FILL,  /* any value may stand there: `change` is written */
    STATE_XOR,   /* the CPU needs most of it: `change` is flipped */
    STATE_LEAVE, /* compared as it is */
    STATE_OWN,   /* moves by itself, or changes with every exception: a test of its own */
};

struct state_register {
    uint32_t reg;
    uint16_t copies; /* registers with consecutive CRm: DBGBVR0 and so on */
    uint16_t use;    /* enum state_use */
    const char *name;
    uint64_t change;
};

extern const struct state_register state_registers[];
extern const unsigned state_registers_count;

/* The n-th copy. */
static inline uint32_t state_register_copy(const struct state_register *r, unsigned n)
{
    return r->reg + n * 8;
}

/* NULL: the register is not in the list. */
const struct state_register *state_register_find(uint32_t reg);

#endif
