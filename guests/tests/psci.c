/* SPDX-License-Identifier: MIT */
/* PSCI 1.1 and SMCCC: versions, start, stop and restart of vCPUs, wrong arguments. */
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <stdatomic.h>

#define PSCI_NOT_SUPPORTED  (-1)
#define PSCI_INVALID_PARAMS (-2)
#define PSCI_ALREADY_ON     (-4)

static _Atomic unsigned alive;

static void come_and_go(unsigned cpu)
{
    atomic_fetch_add_explicit(&alive, 1, memory_order_release); /* pairs with wait_alive */
    psci_call(PSCI_CPU_OFF, 0, 0, 0);
}

static bool wait_alive(unsigned count)
{
    uint64_t end = timer_count() + 10 * timer_hz();

    while (atomic_load_explicit(&alive, memory_order_acquire) < count) {
        if (timer_count() > end) {
            return false;
        }
    }
    return true;
}

static bool wait_off(unsigned cpu)
{
    uint64_t end = timer_count() + 10 * timer_hz();

    while ((int32_t)psci_call(PSCI_AFFINITY_INFO, smp_mpidr(cpu), 0, 0) != 1) {
        if (timer_count() > end) {
            return false;
        }
    }
    return true;
}

static void test_restart(void)
{
    unsigned rounds = 0;

    if ((int32_t)psci_call(PSCI_AFFINITY_INFO, smp_mpidr(1), 0, 0) == PSCI_INVALID_PARAMS) {
        print("one vCPU: no restarts\n");
        return;
    }
    while (rounds < 20 && smp_start(1, come_and_go) == 0 && wait_alive(rounds + 1) && wait_off(1)) {
        rounds++;
    }
    report(rounds == 20, "a vCPU goes off and on again: %u of 20", rounds);
}

void guest_main(const void *dtb)
{
    int64_t version = psci_call(PSCI_VERSION, 0, 0, 0);

    report(version == 0x10001, "PSCI 1.1: %lx", version);
    report(psci_call(PSCI_FEATURES, PSCI_CPU_ON, 0, 0) == 0, "CPU_ON is there");
    report(psci_call(PSCI_FEATURES, 0x80000000, 0, 0) == 0, "SMCCC_VERSION is there");
    report((int32_t)psci_call(PSCI_FEATURES, 0xc4001234, 0, 0) == PSCI_NOT_SUPPORTED,
           "an unknown function is not there");
    report((int32_t)psci_call(0xc4001234, 0, 0, 0) == PSCI_NOT_SUPPORTED, "nor can it be called");
    report(psci_call(0x80000000, 0, 0, 0) >= 0x10001, "SMCCC 1.1 or later");
    report((int32_t)psci_call(PSCI_CPU_ON, smp_mpidr(0), 0x40080000, 0) == PSCI_ALREADY_ON,
           "the running vCPU is on already");
    report((int32_t)psci_call(PSCI_CPU_ON, 0xff00, 0x40080000, 0) == PSCI_INVALID_PARAMS,
           "a vCPU that does not exist");
    report(psci_call(PSCI_AFFINITY_INFO, smp_mpidr(0), 0, 0) == 0, "vCPU 0 is on");
    test_restart();
}
