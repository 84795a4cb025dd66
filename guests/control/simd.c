/* SPDX-License-Identifier: MIT */
/*
 * Harvests use SIMD registers in the hypervisor. Nobody sees it: neither who harvests, here with
 * all of them filled, nor the `fpu` guest that is harvested.
 */
#include "control.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/simd.h>
#include <string.h>
#include <xen/sched.h>

#define GUEST_BYTES (16ul << 20)
#define END_GFN     ((GUEST_RAM0_BASE + GUEST_BYTES) >> 12)
#define ROUNDS_MIN  20u

static uint8_t bitmap[END_GFN / 8] __attribute__((aligned(4096)));
static struct control_guest guest;

static struct godwit_stats stats(void)
{
    struct godwit_stats result = {.domid = guest.domid, .bytes = sizeof(result)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&result, 0, 0, 0);
    return result;
}

/* Harvests until the guest is done; the verdict on our own registers. */
static void harvest_beside(void)
{
    struct godwit_stats before = stats(), after;
    unsigned rounds = 0, failed = 0, wrong = 0;
    uint64_t bytes = 0;
    uint32_t code = 0;

    do {
        uint64_t value = (uint64_t)(rounds + 1) << 32;
        int64_t rc;

        simd_fill(value);
        rc = control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, bitmap, END_GFN).rc;
        wrong += simd_count_wrong(value);
        failed += rc != 0;
        for (size_t i = 0; i < sizeof(bitmap); i++) {
            bytes += bitmap[i] != 0;
        }
        rounds++;
    } while (rounds % 8 != 0 || !control_guest_poll(&guest, &code));
    after = stats();
    report(failed == 0 && rounds >= ROUNDS_MIN, "%u harvests, %u of them failed", rounds, failed);
    report(bytes != 0 && after.faults_first_write == before.faults_first_write,
           "pages in %lu bytes of bitmaps, without a fault", bytes);
    report(wrong == 0, "%u halves of our registers differ behind a harvest", wrong);
    report(code == SHUTDOWN_poweroff && memcmp(guest.tail + guest.tail_bytes - 5, "PASS\n", 5) == 0,
           "the guest's verdict on its own");
}

void guest_main(const void *dtb)
{
    const void *program;
    size_t bytes;
    int rc = control_ramdisk(dtb, &program, &bytes);

    if (rc == 0) {
        rc = control_guest_create_as(&guest, GUEST_BYTES, 2, CONTROL_LAYOUT_PAGES);
    }
    if (rc == 0) {
        rc = control_guest_load(&guest, program, bytes);
    }
    if (!report(rc == 0, "create the guest: %d", rc)) {
        return;
    }
    if (stats().host_tracking != GODWIT_TRACKING_HARDWARE) {
        report_skip("the CPU does not note writes");
        return;
    }
    report(control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc == 0,
           "ENABLE");
    control_guest_unpause(&guest);
    harvest_beside();
    report(control_guest_destroy(&guest) == 0, "destroy the guest");
}
