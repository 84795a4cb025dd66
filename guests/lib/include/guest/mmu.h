/* SPDX-License-Identifier: MIT */
/* Stage 1 of a test guest: identity, the first GiB device memory, the next 511 GiB normal memory.
 */
#ifndef GUEST_MMU_H
#define GUEST_MMU_H

/* Called by the entry code on every CPU, MMU off. */
void mmu_enable(void);

#endif
