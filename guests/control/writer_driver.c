/* SPDX-License-Identifier: MIT */
#include "writer_driver.h"

#include <guest/hypercall.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <string.h>

#define GUEST_BYTES (32ul << 20)

bool writer_start(struct writer_driver *driver, const void *dtb)
{
    const void *program;
    size_t bytes;
    int rc = control_ramdisk(dtb, &program, &bytes);

    if (rc == 0) {
        rc = control_guest_create(&driver->guest, GUEST_BYTES, 1);
    }
    if (rc == 0) {
        rc = control_guest_load(&driver->guest, program, bytes);
    }
    driver->mailbox = rc == 0 ? control_map(driver->guest.domid, MAILBOX_GFN) : NULL;
    (void)report(driver->mailbox != NULL, "create a guest that writes: %d", rc);
    if (driver->mailbox == NULL) {
        return false;
    }
    memset(driver->mailbox, 0, sizeof(*driver->mailbox));
    control_guest_unpause(&driver->guest);
    return report(writer_ask(driver, WRITER_READ, 0, 0, 0) == 0, "it obeys");
}

void writer_stop(struct writer_driver *driver)
{
    control_unmap(driver->mailbox);
    report(control_guest_destroy(&driver->guest) == 0, "destroy the guest");
}

int64_t writer_ask(struct writer_driver *driver, enum writer_command command, uint64_t a,
                   uint64_t b, uint64_t c)
{
    struct writer_mailbox *mailbox = driver->mailbox;
    uint32_t request = atomic_load_explicit(&mailbox->request, memory_order_relaxed) + 1;
    uint64_t end = timer_count() + 20 * timer_hz();

    mailbox->command = command;
    mailbox->a = a;
    mailbox->b = b;
    mailbox->c = c;
    atomic_store_explicit(&mailbox->request, request, memory_order_release);
    while (atomic_load_explicit(&mailbox->done, memory_order_acquire) != request) {
        if (timer_count() > end) {
            return -1000;
        }
    }
    return mailbox->result;
}

struct shadow_result writer_clean(struct writer_driver *driver)
{
    memset(driver->bitmap, 0xff, sizeof(driver->bitmap));
    return control_shadow(driver->guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, driver->bitmap,
                          WRITER_END_GFN);
}

static bool judge(struct writer_driver *driver, const char *what, uint64_t p, uint64_t q, bool all)
{
    struct shadow_result result = writer_clean(driver);
    uint32_t lost = 0, extra = 0;
    uint64_t first = WRITER_NO_PAGE;

    for (uint64_t page = 0; page < WRITER_REGION_PAGES; page++) {
        bool expected = page == p || page == q;
        bool reported = writer_reported(driver, page);

        lost += all && expected && !reported;
        extra += reported && !expected;
        first = first == WRITER_NO_PAGE && reported && !expected ? page : first;
    }
    return report(result.rc == 0 && lost == 0 && extra == 0, "%s: %u lost, %u too many (page %ld)",
                  what, lost, extra, (long)first);
}

bool writer_expect(struct writer_driver *driver, const char *what, uint64_t p, uint64_t q)
{
    return judge(driver, what, p, q, true);
}

bool writer_expect_at_most(struct writer_driver *driver, const char *what, uint64_t p, uint64_t q)
{
    return judge(driver, what, p, q, false);
}

struct godwit_stats writer_stats(const struct writer_driver *driver)
{
    struct godwit_stats stats = {.domid = driver->guest.domid, .bytes = sizeof(stats)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&stats, 0, 0, 0);
    return stats;
}
