/* SPDX-License-Identifier: MIT */
#include <guest/print.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <printf.h>
#include <stdatomic.h>
#include <stdint.h>

static _Atomic unsigned passed, failed;
static const char *skipped;

bool report(bool ok, const char *format, ...)
{
    char text[160];
    va_list args;

    va_start(args, format);
    vsnprintk(text, sizeof(text), format, args);
    va_end(args);
    if (ok) {
        atomic_fetch_add_explicit(&passed, 1,
                                  memory_order_relaxed); /* read after all CPUs stopped */
    } else {
        atomic_fetch_add_explicit(&failed, 1, memory_order_relaxed);
    }
    print("%s: %s\n", ok ? "PASS" : "FAIL", text);
    return ok;
}

void report_skip(const char *why)
{
    skipped = why;
    print("SKIP: %s\n", why);
}

static _Noreturn void power_off(void)
{
    psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;) {
        __asm__ volatile("wfi");
    }
}

_Noreturn void report_finish(void)
{
    const char *verdict = "PASS";

    if (failed > 0) {
        verdict = "FAIL";
    } else if (passed == 0) {
        verdict = skipped != NULL ? "SKIP" : "ERROR";
    }
    print("Test result: %s\n", verdict);
    power_off();
}

_Noreturn void report_abort(const char *why)
{
    print("FAIL: %s\nTest result: FAIL\n", why);
    power_off();
}
