/* SPDX-License-Identifier: MIT */
/* FP/SIMD registers of vCPUs that share a CPU never mix: each fills all 32 with its own pattern. */
#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <stdatomic.h>

#define ROUNDS 2000u
#define ALL_REGISTERS                                                                              \
    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

static _Atomic unsigned finished, wrong;

/* Fills v0..v31 with value + n, spins, and returns how many differ afterwards. */
static unsigned fill_and_check(uint64_t value, uint64_t spins)
{
    uint64_t bad = 0, scratch, other;

    __asm__ volatile(".arch_extension simd\n"
                     ".irp n," ALL_REGISTERS "\n"
                     "add %1, %3, #\\n\n dup v\\n\\().2d, %1\n"
                     ".endr\n"
                     "1: subs %4, %4, #1\n b.ne 1b\n"
                     ".irp n," ALL_REGISTERS "\n"
                     "add %1, %3, #\\n\n mov %2, v\\n\\().d[1]\n cmp %1, %2\n cinc %0, %0, ne\n"
                     ".endr\n"
                     : "+r"(bad), "=&r"(scratch), "=&r"(other), "+r"(value), "+r"(spins)::"cc");
    return (unsigned)bad;
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
