/* SPDX-License-Identifier: MIT */
/* The console beyond hv/console.h: set-up, and the way around its lock for a dying hypervisor. */
#ifndef PLATFORM_CONSOLE_H
#define PLATFORM_CONSOLE_H

/* Maps the PL011 of the device tree and prints what the ring holds so far. */
void console_init(void);
/* After the GIC is up: receives by interrupt and tells the control domain (VIRQ_CONSOLE). */
void console_init_receive(void);
/* From now on nobody waits for the console lock. */
void console_break_lock(void);

#endif
