/* SPDX-License-Identifier: MIT */
/*
 * A guest to be saved and moved: counts on its console while all vCPUs write memory, and checks
 * that nothing of memory, FP registers, timers or interrupts is lost. It never ends by itself.
 *
 * Command line: "travel=idle" (the other vCPUs sleep in WFI for ever), "travel=load" (they write at
 * full speed; by default they rest between pages), "travel=late" (they are started at tick 40).
 * vCPU 0 wakes by its virtual timer, ten times per second. Console lines are those of
 * lab/guest/ticker.c.
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
#include <xen/xen.h>

#define PAGE_WORDS     512u
#define REGION_PAGES   512u /* of each vCPU */
#define REGIONS        (GUEST_RAM0_BASE + 0x800000)
#define PAGES_PER_TICK 32u /* vCPU 0's share */
#define LATE_TICK      40u

struct writer {
    uint32_t generation[REGION_PAGES];
    uint32_t next;
    _Atomic uint64_t written;
    _Atomic uint32_t
        lost; /* page + 1, or 0; release after the other fields, pairs with guest_main */
    uint64_t found;
};

static struct writer writers[8];
static bool idle, load, late;
static volatile unsigned timer_fired[8]; /* per vCPU */

static volatile uint64_t *page_of(unsigned cpu, uint32_t page)
{
    return (volatile uint64_t *)(REGIONS + ((uint64_t)cpu * REGION_PAGES + page) * PAGE_WORDS * 8);
}

static uint64_t content(unsigned cpu, uint32_t page)
{
    return (uint64_t)cpu << 56 | (uint64_t)page << 32 | writers[cpu].generation[page];
}

static void page_write(unsigned cpu, uint32_t page)
{
    writers[cpu].generation[page]++;
    page_of(cpu, page)[0] = content(cpu, page);
    page_of(cpu, page)[PAGE_WORDS - 1] = ~content(cpu, page);
}

static bool page_rewrite(unsigned cpu)
{
    struct writer *w = &writers[cpu];
    uint32_t page = w->next;
    volatile uint64_t *at = page_of(cpu, page);

    if (at[0] != content(cpu, page) || at[PAGE_WORDS - 1] != ~content(cpu, page)) {
        w->found = at[0];
        atomic_store_explicit(&w->lost, page + 1, memory_order_release);
        return false;
    }
    page_write(cpu, page);
    w->next = (page + 1) % REGION_PAGES;
    atomic_fetch_add_explicit(&w->written, 1, memory_order_relaxed); /* a statistic */
    return true;
}

/* This program's C code uses no FP register, so each vCPU can leave a value in one. */
static void fp_keep(uint64_t value)
{
    __asm__ volatile(
        ".arch_extension fp\n .arch_extension simd\n fmov d8, %0\n dup v31.2d, %0" ::"r"(value));
}

static bool fp_kept(uint64_t value)
{
    uint64_t low, high;

    __asm__ volatile(".arch_extension fp\n .arch_extension simd\n fmov %0, d8\n mov %1, v31.d[1]"
                     : "=r"(low), "=r"(high));
    return low == value && high == value;
}

static uint64_t fp_value(unsigned cpu)
{
    return UINT64_C(0x5ca1ab1e00000000) | cpu;
}

static void writer_start(unsigned cpu)
{
    fp_keep(fp_value(cpu));
    for (uint32_t page = 0; page < REGION_PAGES; page++) {
        page_write(cpu, page);
    }
}

static void on_irq(uint32_t intid)
{
    if (intid == TIMER_VIRT_INTID) {
        timer_fired[smp_cpu_index()]++;
        timer_stop_virt();
    }
}

static void sleep_until_timer(uint64_t ticks)
{
    volatile unsigned *fired = &timer_fired[smp_cpu_index()];
    unsigned before = *fired;

    timer_set_virt(ticks);
    while (*fired == before) {
        irq_disable_all();
        if (*fired == before) {
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
    writer_start(cpu);
    while (idle) {
        __asm__ volatile("wfi");
    }
    while (page_rewrite(cpu)) {
        if (!fp_kept(fp_value(cpu))) {
            writers[cpu].found = ~UINT64_C(0);
            atomic_store_explicit(&writers[cpu].lost, REGION_PAGES + 1, memory_order_release);
            return;
        }
        if (!load) {
            sleep_until_timer(timer_hz() / 250);
        }
    }
}

static bool has_word(const char *text, size_t bytes, const char *word)
{
    size_t length = 0;

    while (word[length]) {
        length++;
    }
    for (size_t at = 0; at + length <= bytes; at++) {
        size_t same = 0;

        while (same < length && text[at + same] == word[same]) {
            same++;
        }
        if (same == length) {
            return true;
        }
    }
    return false;
}

/* The words of the command line occur nowhere else in a guest's tree. */
static void options_read(const void *dtb)
{
    const uint8_t *size = (const uint8_t *)dtb + 4;
    size_t bytes = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];

    idle = has_word(dtb, bytes, "travel=idle");
    load = has_word(dtb, bytes, "travel=load");
    late = has_word(dtb, bytes, "travel=late");
}

static bool tell_losses(unsigned cpus)
{
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        uint32_t lost = atomic_load_explicit(&writers[cpu].lost, memory_order_acquire);

        if (lost) {
            print("LOST page %u of vCPU %u: holds %lx, generation %u\n", lost - 1, cpu,
                  writers[cpu].found, lost <= REGION_PAGES ? writers[cpu].generation[lost - 1] : 0);
            return true;
        }
    }
    return false;
}

static unsigned start_others(void)
{
    unsigned cpus = 1;

    while (cpus < 8 && smp_start(cpus, write_for_ever) == 0) {
        cpus++;
    }
    return cpus;
}

void guest_main(const void *dtb)
{
    uint64_t then = timer_count();
    unsigned cpus;

    options_read(dtb);
    irq_set_guest_handler(on_irq);
    gic_init();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    irq_enable_all();
    cpus = late ? 1 : start_others();
    writer_start(0);
    for (unsigned tick = 1; !tell_losses(cpus); tick++) {
        uint64_t written = 0, now;

        for (unsigned i = 0; i < PAGES_PER_TICK && page_rewrite(0); i++) {
        }
        for (unsigned cpu = 0; cpu < cpus; cpu++) {
            written += atomic_load_explicit(&writers[cpu].written, memory_order_relaxed);
        }
        now = timer_count();
        if (now < then || !fp_kept(fp_value(0))) {
            print("LOST %s\n", now < then ? "time: it went back" : "FP registers of vCPU 0");
            return;
        }
        then = now;
        print("tick %u: %lu pages written, none lost\n", tick, written);
        if (late && tick == LATE_TICK) {
            cpus = start_others();
            print("%u vCPUs now\n", cpus);
        }
        sleep_until_timer(timer_hz() / 10);
    }
}
