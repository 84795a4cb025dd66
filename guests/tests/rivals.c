/* SPDX-License-Identifier: MIT */
/*
 * A guest whose vCPUs differ: vCPU 0 reads memory and computes, vCPU 1 writes 8 MiB again and
 * again. Both at full speed; with "rival=naps" on the command line the writer sleeps 4 ms and
 * writes a few pages in between, with next to no CPU time. Ten times a second vCPU 0 tells how far
 * both are.
 */
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <xen/xen.h>

#define PAGE_WORDS    512u
#define PAGES         2048u
#define PAGES_PER_NAP 32u
#define PASSES        64u /* a writer that does not sleep works for a page, some 100 us */
#define REGION        ((volatile uint64_t *)(GUEST_RAM0_BASE + 0x800000))

static bool naps;
static _Atomic uint64_t written; /* a statistic */
static volatile unsigned timer_fired;

static void on_irq(uint32_t intid)
{
    if (intid == TIMER_VIRT_INTID) {
        timer_fired++;
        timer_stop_virt();
    }
}

static void nap(void)
{
    unsigned before = timer_fired;

    timer_set_virt(timer_hz() / 250);
    while (timer_fired == before) {
        irq_disable_all();
        if (timer_fired == before) {
            __asm__ volatile("wfi");
        }
        irq_enable_all();
    }
}

static void write_for_ever(unsigned cpu)
{
    gic_init_cpu();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    irq_enable_all();
    for (uint64_t n = 1;; n++) {
        uint64_t sum = 0;

        for (unsigned word = 1; word < (naps ? 1 : PASSES * PAGE_WORDS); word++) {
            sum += REGION[n % PAGES * PAGE_WORDS + word % PAGE_WORDS];
        }
        REGION[n % PAGES * PAGE_WORDS] = sum + n;
        atomic_store_explicit(&written, n, memory_order_relaxed);
        if (naps && n % PAGES_PER_NAP == 0) {
            nap();
        }
    }
}

/* Reads until it is time; how many pages. */
static uint64_t read_until(uint64_t end)
{
    uint64_t pages = 0;

    for (; timer_count() < end; pages++) {
        for (unsigned word = 1; word < PAGE_WORDS; word++) {
            (void)REGION[pages % PAGES * PAGE_WORDS + word];
        }
    }
    return pages;
}

/* The words of the command line occur nowhere else in a guest's tree. */
static bool is_said(const uint8_t *dtb, const char *word)
{
    size_t bytes = (size_t)dtb[4] << 24 | (size_t)dtb[5] << 16 | (size_t)dtb[6] << 8 | dtb[7];

    for (size_t at = 0; at + strlen(word) <= bytes; at++) {
        if (memcmp(dtb + at, word, strlen(word)) == 0) {
            return true;
        }
    }
    return false;
}

void guest_main(const void *dtb)
{
    uint64_t pages = 0;

    naps = is_said(dtb, "rival=naps");
    irq_set_guest_handler(on_irq);
    gic_init();
    if (smp_start(1, write_for_ever) != 0) {
        print("LOST vCPU 1: it does not start\n");
        return;
    }
    for (unsigned tick = 1;; tick++) {
        pages += read_until(timer_count() + timer_hz() / 10);
        print("tick %u: %lu pages written, none lost\n", tick,
              atomic_load_explicit(&written, memory_order_relaxed));
        print("read %lu\n", pages);
    }
}
