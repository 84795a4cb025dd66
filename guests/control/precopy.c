/* SPDX-License-Identifier: MIT */
/*
 * A migration without a second host: vCPUs store as fast as they can while pages are harvested and
 * copied round after round; after the last round the copy equals the guest, byte for byte.
 */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <string.h>

static uint8_t copy[REGION_PAGES][4096];
static uint8_t bitmap[BITMAP_BYTES] __attribute__((aligned(4096)));
static struct store_driver driver;

static uint32_t copy_dirty(const uint8_t *dirty)
{
    uint32_t copied = 0;

    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        void *page;

        if (dirty != NULL && !bit_is_set(dirty, (REGION_IPA >> 12) + i)) {
            continue;
        }
        page = control_map(driver.guest.domid, (REGION_IPA >> 12) + i);
        memcpy(copy[i], page, 4096);
        control_unmap(page);
        copied++;
    }
    return copied;
}

static uint32_t count_differences(void)
{
    uint32_t differ = 0;

    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        void *page = control_map(driver.guest.domid, (REGION_IPA >> 12) + i);

        differ += memcmp(copy[i], page, 4096) != 0;
        control_unmap(page);
    }
    return differ;
}

static struct shadow_result clean(uint32_t mode)
{
    return control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, mode, bitmap,
                          STORE_END_GFN);
}

/* From the middle on pages are left to faults, where the MMU notes writes: nothing else changes. */
static void sample_writers(void)
{
    struct godwit_writer_sample op = {.domid = driver.guest.domid, .enable = 1};
    int64_t rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_WRITER_SAMPLE, (uint64_t)&op, 0, 0, 0);

    report(rc == 0, "a sample of writers: %ld", rc);
}

static void migrate_in_place(uint32_t vcpus, uint32_t rounds)
{
    uint64_t copied, dirty = 0;
    struct shadow_result result =
        control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);

    report(result.rc == 0, "ENABLE: %ld", result.rc);
    copied = copy_dirty(NULL);
    for (uint32_t round = 0; round < rounds; round++) {
        if (round == rounds / 2) {
            sample_writers();
        }
        if (clean(0).rc != 0) {
            report(false, "CLEAN of round %u", round);
        }
        dirty += store_region_count(bitmap);
        copied += copy_dirty(bitmap);
    }
    control_guest_pause(&driver.guest);
    result = clean(XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL);
    report(result.rc == 0, "the final CLEAN: %ld", result.rc);
    copied += copy_dirty(bitmap);
    report(dirty > 0, "%u vCPUs dirtied %lu pages in %u rounds, %lu copied", vcpus, dirty, rounds,
           copied);
    report(count_differences() == 0, "every page compared: %u differ", count_differences());
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    control_guest_unpause(&driver.guest);
}

void guest_main(const void *dtb)
{
    uint32_t vcpus = (uint32_t)control_option(dtb, "vcpus", 1);
    uint32_t times = (uint32_t)control_option(dtb, "times", 2);

    if (!store_driver_start(&driver, dtb, vcpus)) {
        return;
    }
    for (unsigned cpu = 0; cpu < vcpus; cpu++) {
        store_driver_begin(&driver, cpu, STORE_STREAM, 50 + cpu,
                           (uint32_t)control_option(dtb, "pages", 600));
    }
    for (uint32_t i = 0; i < times; i++) {
        migrate_in_place(vcpus, (uint32_t)control_option(dtb, "rounds", 10));
    }
    for (unsigned cpu = 0; cpu < vcpus; cpu++) {
        report(store_driver_finish(&driver, cpu), "vCPU %u made %lu stores", cpu,
               driver.mailbox->slots[cpu].stores);
    }
    store_driver_stop(&driver);
}
