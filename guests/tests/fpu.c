/* SPDX-License-Identifier: MIT */
/* FP/SIMD registers of vCPUs that share a CPU never mix: each fills all 32 with its own pattern. */
#include <guest/main.h>
#include <guest/report.h>
#include <guest/simd.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <stdatomic.h>

#define ROUNDS 20000u /* long enough for harvests beside it, however fast the machine */

static _Atomic unsigned finished, wrong;

/* Fills the registers, spins, and returns how many halves differ afterwards. */
static unsigned fill_and_check(uint64_t value, uint64_t spins)
{
    simd_fill(value);
    __asm__ volatile("1: subs %0, %0, #1\n b.ne 1b" : "+r"(spins)::"cc", "memory");
    return simd_count_wrong(value);
}

static void work(unsigned cpu)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned bad = fill_and_check(((uint64_t)cpu << 32 | i) << 8, 2000);

        atomic_fetch_add_explicit(&wrong, bad, memory_order_relaxed); /* ordered by finished */
    }
    atomic_fetch_add_explicit(&finished, 1, memory_order_release); /* pairs with guest_main */
}

void guest_main(const void *dtb)
{
    unsigned cpus = 1;

    while (cpus < GUEST_CPUS_MAX && smp_start(cpus, work) == 0) {
        cpus++;
    }
    work(0);
    while (atomic_load_explicit(&finished, memory_order_acquire) < cpus) {
    }
    report(wrong == 0, "%u vCPUs, %u rounds: %u registers differ", cpus, ROUNDS, wrong);
}
