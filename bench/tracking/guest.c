/* SPDX-License-Identifier: MIT */
/* Does the rounds that it finds in its mailbox and says how long each took; see protocol.h. */
#include "protocol.h"

#include <guest/main.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <guest/timer.h>

static struct tracking_mailbox *const mailbox = (struct tracking_mailbox *)TRACKING_MAILBOX_IPA;

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

static void do_round(uint32_t kind, uint32_t stride, uint32_t count)
{
    if (kind == TRACKING_WRITE) {
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
