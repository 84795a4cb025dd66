/* SPDX-License-Identifier: MIT */
/*
 * Runs the test guest that came as our ramdisk to its end and passes its verdict on. Options on our
 * command line: vcpus=N, mem=MiB, seconds=N; endless=1: it must still run when the time is over.
 */
#include "control.h"

#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/sched.h>

static bool tail_says_pass(const struct control_guest *guest)
{
    static const char pass[] = "Test result: PASS\n";
    size_t bytes = sizeof(pass) - 1;

    return guest->tail_bytes >= bytes &&
           memcmp(guest->tail + guest->tail_bytes - bytes, pass, bytes) == 0;
}

void guest_main(const void *dtb)
{
    static struct control_guest guest;
    const void *program;
    size_t bytes;
    uint64_t free_before = control_free_pages_settled();
    int rc = control_ramdisk(dtb, &program, &bytes);

    if (!report(rc == 0, "a test guest came as ramdisk")) {
        return;
    }
    rc = control_guest_create(&guest, control_option(dtb, "mem", 16) << 20,
                              (uint32_t)control_option(dtb, "vcpus", 1));
    if (!report(rc == 0, "create the guest: %d", rc)) {
        return;
    }
    rc = control_guest_load(&guest, program, bytes);
    report(rc == 0, "load the guest: %d", rc);
    rc = control_guest_unpause(&guest);
    report(rc == 0, "start the guest: %d", rc);
    rc = control_guest_wait(&guest, control_option(dtb, "seconds", 20) * 1000);
    if (control_option(dtb, "endless", 0) != 0) {
        report(rc == -XEN_ETIME, "the guest runs on: %d", rc);
    } else {
        report(rc == SHUTDOWN_poweroff, "the guest's end: %d", rc);
        report(tail_says_pass(&guest), "the guest's verdict");
    }
    rc = control_guest_destroy(&guest);
    report(rc == 0, "destroy the guest: %d", rc);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
