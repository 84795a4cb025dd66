/* SPDX-License-Identifier: MIT */
/* Does the rounds that it finds in its mailbox and says how long each took; see protocol.h. */
#include "protocol.h"

#include <guest/gic.h>
#include <guest/main.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <guest/timer.h>

#define WAKE_SGI 1u

static struct tracking_mailbox *const mailbox = (struct tracking_mailbox *)TRACKING_MAILBOX_IPA;
static _Atomic uint32_t finished; /* vCPUs that are through with their part */

static void write_pages(uint32_t stride, uint32_t count)
{
    uint64_t page = TRACKING_REGION_IPA;

    for (uint32_t i = 0; i < count; i++, page += (uint64_t)stride << 12) {
        *(volatile uint64_t *)page = i;
    }
}

static void read_pages(uint32_t stride, uint32_t count)
{
    uint64_t page = TRACKING_REGION_IPA;

    for (uint32_t i = 0; i < count; i++, page += (uint64_t)stride << 12) {
        (void)*(volatile uint64_t *)page;
    }
}

/*
 * A vCPU beside vCPU 0 is off between two rounds, and vCPU 0 sleeps until the last one wakes it: on
 * an emulator that runs vCPUs in turn, waiting in a loop would be counted.
 */
static void write_own_pages(unsigned cpu)
{
    volatile uint64_t *word =
        (volatile uint64_t *)(TRACKING_REGION_IPA + ((uint64_t)cpu * mailbox->count << 12));

    gic_init_cpu();
    for (uint32_t i = 0; i < mailbox->count; i++, word += 512) {
        *word = i;
    }
    dsb();
    /* acq_rel: the last one has seen the others' stores; pairs with the same of the others */
    if (atomic_fetch_add_explicit(&finished, 1, memory_order_acq_rel) + 1 == mailbox->stride) {
        gic_send_sgi(WAKE_SGI, smp_mpidr(0));
    }
    if (cpu != 0) {
        psci_call(PSCI_CPU_OFF, 0, 0, 0);
    }
}

/* The only kind of round that needs the GIC. Godwit has it where the library looks. */
static void write_together(uint32_t cpus)
{
    gic_init();
    gic_enable(WAKE_SGI, 0x80);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    for (uint32_t cpu = 1; cpu < cpus; cpu++) {
        while (smp_start(cpu, write_own_pages) != 0) { /* it may still be going off */
        }
    }
    write_own_pages(0);
    while (atomic_load_explicit(&finished, memory_order_acquire) != cpus) {
        __asm__ volatile("wfi"); /* a pending interrupt ends it, masked as it is */
    }
    gic_end(gic_acknowledge());
}

static void do_round(uint32_t kind, uint32_t stride, uint32_t count)
{
    if (kind == TRACKING_TOGETHER) {
        write_together(stride);
    } else if (kind == TRACKING_WRITE) {
        write_pages(stride, count);
    } else if (kind == TRACKING_READ) {
        read_pages(stride, count);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            (void)psci_call(PSCI_VERSION, 0, 0, 0);
        }
    }
}

void guest_main(const void *dtb)
{
    for (;;) {
        uint32_t round = atomic_load_explicit(&mailbox->round, memory_order_acquire);

        if (round != atomic_load_explicit(&mailbox->done, memory_order_relaxed)) {
            uint64_t start = timer_count();

            do_round(mailbox->kind, mailbox->stride, mailbox->count);
            dsb();
            mailbox->ticks = timer_count() - start;
            atomic_store_explicit(&mailbox->done, round, memory_order_release);
            mmio_write32(TRACKING_DOORBELL_IPA, '.');
        }
    }
}
