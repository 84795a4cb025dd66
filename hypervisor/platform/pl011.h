/* SPDX-License-Identifier: MIT */
/* The host's PL011, polled for output; received bytes by interrupt. */
#ifndef PLATFORM_PL011_H
#define PLATFORM_PL011_H

#include <stdbool.h>
#include <stdint.h>

/* base: mapped registers. The firmware has set speed and format. */
void pl011_init(volatile void *base);
bool pl011_is_ready(void);
void pl011_put(char c);
/* A received byte, or -1. */
int pl011_get(void);
void pl011_enable_receive_interrupt(void);

#endif
