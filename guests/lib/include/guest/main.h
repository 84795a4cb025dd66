/* SPDX-License-Identifier: MIT */
#ifndef GUEST_MAIN_H
#define GUEST_MAIN_H

/* The test: runs on vCPU 0 with MMU and caches on, interrupts masked. Returning ends it. */
void guest_main(const void *dtb);

#endif
