/* SPDX-License-Identifier: MIT */
#include "store_driver.h"

#include <guest/report.h>
#include <guest/timer.h>
#include <string.h>

static bool wait_ready(struct store_driver *driver, uint32_t vcpus)
{
    /* The guest clears its mailbox first; a round asked for before that would be lost. */
    for (unsigned attempt = 0; attempt < 200; attempt++) {
        unsigned ready = 0;

        for (unsigned cpu = 0; cpu < vcpus; cpu++) {
            struct store_slot *slot = &driver->mailbox->slots[cpu];

            if (atomic_load_explicit(&slot->done, memory_order_acquire) == 0) {
                slot->kind = STORE_READ;
                slot->pages = 1;
                atomic_store_explicit(&slot->round, 1, memory_order_release);
            } else {
                ready++;
            }
        }
        if (ready == vcpus) {
            return true;
        }
        timer_delay_ms(20);
    }
    return false;
}

bool store_driver_start(struct store_driver *driver, const void *dtb, uint32_t vcpus)
{
    const void *program;
    size_t bytes;
    int rc = control_ramdisk(dtb, &program, &bytes);

    if (rc == 0) {
        rc = control_guest_create(&driver->guest, STORE_GUEST_BYTES, vcpus);
    }
    if (rc == 0) {
        rc = control_guest_load(&driver->guest, program, bytes);
    }
    if (!report(rc == 0, "create a guest of %u vCPUs: %d", vcpus, rc)) {
        return false;
    }
    driver->mailbox = control_map(driver->guest.domid, MAILBOX_GFN);
    if (!report(driver->mailbox != NULL, "map its mailbox")) {
        return false;
    }
    control_guest_unpause(&driver->guest);
    return report(wait_ready(driver, vcpus), "its vCPUs serve");
}

void store_driver_stop(struct store_driver *driver)
{
    control_unmap(driver->mailbox);
    report(control_guest_destroy(&driver->guest) == 0, "destroy the guest");
}

void store_driver_begin(struct store_driver *driver, unsigned cpu, uint32_t kind, uint64_t seed,
                        uint32_t pages)
{
    struct store_slot *slot = &driver->mailbox->slots[cpu];

    slot->kind = kind;
    slot->seed = seed;
    slot->pages = pages;
    atomic_store_explicit(&slot->stop, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->round,
                          atomic_load_explicit(&slot->round, memory_order_relaxed) + 1,
                          memory_order_release);
}

bool store_driver_finish(struct store_driver *driver, unsigned cpu)
{
    struct store_slot *slot = &driver->mailbox->slots[cpu];
    uint32_t round = atomic_load_explicit(&slot->round, memory_order_relaxed);
    uint64_t end = timer_count() + 20 * timer_hz();

    atomic_store_explicit(&slot->stop, 1, memory_order_relaxed);
    while (atomic_load_explicit(&slot->done, memory_order_acquire) != round) {
        if (timer_count() > end) {
            return false;
        }
    }
    return true;
}

bool store_driver_round(struct store_driver *driver, unsigned cpu, uint32_t kind, uint64_t seed,
                        uint32_t pages)
{
    store_driver_begin(driver, cpu, kind, seed, pages);
    return store_driver_finish(driver, cpu);
}

uint32_t store_region_count(const uint8_t *bitmap)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        count += bit_is_set(bitmap, (REGION_IPA >> 12) + i);
    }
    return count;
}

struct store_verdict store_driver_judge(const uint8_t *bitmap, uint32_t kind, uint64_t seed,
                                        uint32_t pages)
{
    static bool written[REGION_PAGES];
    struct store_verdict verdict = {0};

    memset(written, 0, sizeof(written));
    for (uint32_t i = 0; i < pages && kind != STORE_READ; i++) {
        uint32_t page = store_plan_page(seed, i);

        written[page] = true;
        if (kind == STORE_CROSS) {
            written[page + 1] = true;
        }
    }
    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        bool reported = bit_is_set(bitmap, (REGION_IPA >> 12) + i);

        verdict.lost += written[i] && !reported;
        verdict.extra += reported && !written[i];
    }
    return verdict;
}
