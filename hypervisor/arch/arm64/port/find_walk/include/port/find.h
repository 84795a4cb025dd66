/* SPDX-License-Identifier: MIT */
/* What the way of finding pages asks of this architecture: walking asks nothing. */
#ifndef PORT_FIND_H
#define PORT_FIND_H

/* Bits of table descriptors that stage 2 ignores. */
#define PORT_FIND_TABLE_BITS 0

/* From port_init. */
static inline void port_find_init(void)
{
}

#endif
