/* SPDX-License-Identifier: MIT */
/* What the window on leaf tables asks of this architecture. */
#ifndef PORT_FIND_H
#define PORT_FIND_H

#include <stdint.h>

/*
 * Bits of table descriptors that stage 2 ignores. A table of level 2 serves as EL2's level 3, and
 * these are the attributes of the pages there, as in the direct map: MAIR index 1 (normal memory),
 * AP[1] (RES1), inner shareable, accessed, never executable; read-write, since AP[2] is 0.
 */
#define PORT_FIND_TABLE_BITS                                                                       \
    (UINT64_C(1) << 2 | UINT64_C(1) << 6 | UINT64_C(3) << 8 | UINT64_C(1) << 10 | UINT64_C(1) << 54)

/* From port_init: makes the tables in which windows are opened. */
void port_find_init(void);

#endif
