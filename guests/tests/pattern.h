/* SPDX-License-Identifier: MIT */
/* The parts of the `pattern` guest: each fills state, and tells afterwards whether it is still so.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stdint.h>

/* System registers of the list in state_registers.h. check reports each that differs. */
void pattern_registers_fill(void);
void pattern_registers_check(void);

/* GIC of vCPU 0 with more pending interrupts than list registers and one active; UART; GPIO. */
void pattern_devices_fill(void);
void pattern_devices_check(void);
/* Lets what is pending come: each interrupt once, the more urgent first. */
void pattern_devices_take(void);

uint64_t pattern_hold(void *mailbox, uint64_t nzcv, const uint64_t *fill, uint64_t *ret_found);
void pattern_read_simd(uint64_t *ret_found);

#endif
