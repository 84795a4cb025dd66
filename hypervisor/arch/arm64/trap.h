/* SPDX-License-Identifier: MIT */
/* The handlers behind the vectors. v is loaded on this CPU; its registers are in v->regs. */
#ifndef ARCH_TRAP_H
#define ARCH_TRAP_H

#include <hv/regs.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Called by vectors.S. */
void trap_sync(struct vcpu *v);
void trap_serror(struct vcpu *v);
_Noreturn void trap_fiq(struct vcpu *v);

void trap_data_abort(struct vcpu *v, uint64_t esr);
void trap_instruction_abort(struct vcpu *v, uint64_t esr);
void trap_sysreg(struct vcpu *v, uint64_t esr);

/* Steps over the trapped instruction, as if it had been executed. */
void trap_skip_instruction(struct vcpu *v, uint64_t esr);

/* Register number 31 is the zero register. */
uint64_t trap_reg_read(const struct vcpu *v, unsigned reg);
void trap_reg_write(struct vcpu *v, unsigned reg, uint64_t value);

/* Reads the host's ID registers once; sysreg_id_check compares this CPU's with them. */
void sysreg_id_init(void);
void sysreg_id_check(void);

/* What the switch and the injection of exceptions need to know of the host. */
struct host_features {
    bool pan, ssbs, pauth, fgt, hcx, ras, sme, mpam;
    uint8_t breakpoints, watchpoints;
};
extern struct host_features host_features;

struct vcpu_debug;
void debug_save(struct vcpu_debug *debug);
void debug_load(const struct vcpu_debug *debug);

/* Registers of self-hosted debug (op0 2), and those that tell of caches. False: undefined here. */
bool debug_emulate(struct vcpu *v, uint32_t id, uint64_t *value, bool write);
bool caches_emulate(struct vcpu *v, uint32_t id, uint64_t *value, bool write);

/* Makes the guest see a virtual SError as soon as it allows. */
void vcpu_inject_serror(struct vcpu *v);

#endif
