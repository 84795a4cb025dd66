/* SPDX-License-Identifier: MIT */
/*
 * Two domains with memory: stage 2 and dirty log on core's fake machine, physical maps, frames and
 * guest access as they are. What this machine lacks is here: locks that notice who waits for
 * himself, memory, and moments at which another CPU may act.
 */
#ifndef TESTS_HYPERCALL_REAL_MEMORY_H
#define TESTS_HYPERCALL_REAL_MEMORY_H

#include <hv/domain.h>

#define CONTROL_PAGES     512u /* one block, 1:1 */
#define GUEST_BLOCK_GFN   UINT64_C(0x40000)
#define GUEST_BLOCK_PAGES 512u
#define GUEST_LIST_GFN    UINT64_C(0x40600) /* frames one by one, and never a block */
#define GUEST_LIST_PAGES  256u

struct real_memory {
    struct domain *control, *guest, *other;
    void *shared_page; /* of the hypervisor */
    unsigned locks_held;
    bool busy; /* something waits for the CPU all the time */

    /* Another CPU acts before so many pages more have been copied: 0 is the next one. */
    int copies_until_act;
    void (*act)(void);
    bool acted;
    unsigned copies;
};

extern struct real_memory memory;

/* Makes the domains, each with its memory; other is a guest with one page, at GUEST_LIST_GFN. */
void memory_begin(void);
/* Destroys what is left; no frame, no table and no reference may stay. */
void memory_end(void);

/* A page of the control domain: as the test sees it, and its address for the control domain. */
void *memory_of_control(unsigned page);
uint64_t memory_address(unsigned page);
/* The frame that a guest has at gfn; it has one. */
pa_t memory_frame(struct domain *d, uint64_t gfn);
unsigned memory_references(pa_t frame);
/* Gives a domain a new frame there. */
void memory_populate(struct domain *d, uint64_t gfn);
/* The steps of a domain's destruction that take its memory. */
void memory_kill(struct domain *d);
void memory_enable_log(struct domain *d);
void memory_disable_log(struct domain *d);

#endif
