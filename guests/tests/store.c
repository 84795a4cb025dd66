/* SPDX-License-Identifier: MIT */
/* Writes the pages it is told to, with the kind of store it is told to; see store_plan.h. */
#include <guest/gic.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/store_plan.h>
#include <guest/sysreg.h>
#include <guest/timer.h>
#include <string.h>

#define STORES_PER_NAP 40u

static struct store_mailbox *const mailbox = (struct store_mailbox *)MAILBOX_IPA;

static bool has_lse(void)
{
    return (read_sysreg(id_aa64isar0_el1) >> 20 & 0xf) >= 2;
}

static void store_exclusive(uint64_t address)
{
    uint64_t value;
    uint32_t failed = 0;

    __asm__ volatile("1: ldxr %0, [%2]\n add %0, %0, #1\n stxr %w1, %0, [%2]\n cbnz %w1, 1b"
                     : "=&r"(value), "+&r"(failed)
                     : "r"(address)
                     : "memory");
}

static void store_lse(uint32_t kind, uint64_t address)
{
    uint64_t value = *(volatile uint64_t *)address;

    if (kind == STORE_LDADD) {
        __asm__ volatile(".arch_extension lse\n ldadd %0, xzr, [%1]" ::"r"(1ul), "r"(address)
                         : "memory");
    } else if (kind == STORE_CAS) {
        __asm__ volatile(".arch_extension lse\n cas %0, %1, [%2]"
                         : "+r"(value)
                         : "r"(value + 1), "r"(address)
                         : "memory");
    } else {
        __asm__ volatile(".arch_extension lse\n swp %0, %0, [%1]"
                         : "+r"(value)
                         : "r"(address)
                         : "memory");
    }
}

static void store_once(uint32_t kind, uint64_t page, uint64_t value)
{
    uint64_t address = page + (value * 64) % 4096;

    switch (kind) {
    case STORE_8:
        *(volatile uint64_t *)address = value;
        break;
    case STORE_1:
        *(volatile uint8_t *)(address + 3) = (uint8_t)value;
        break;
    case STORE_PAIR:
        __asm__ volatile("stp %0, %0, [%1]" ::"r"(value), "r"(address) : "memory");
        break;
    case STORE_CROSS:
        __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(page + 4092) : "memory");
        break;
    case STORE_ZVA:
        __asm__ volatile("dc zva, %0" ::"r"(address) : "memory");
        break;
    case STORE_EXCL:
        store_exclusive(address);
        break;
    case STORE_SIMD:
        __asm__ volatile(".arch_extension simd\n dup v0.2d, %0\n stp q0, q0, [%1]" ::"r"(value),
                         "r"(address)
                         : "memory");
        break;
    case STORE_READ:
        (void)*(volatile uint64_t *)address;
        break;
    default:
        store_lse(kind, address);
    }
}

/* Interrupts are masked: one that is pending ends the sleep all the same. */
static void nap(void)
{
    uint64_t end = timer_count() + timer_hz() / 250;

    timer_set_virt(timer_hz() / 250);
    while (timer_count() < end) {
        __asm__ volatile("wfi");
    }
    timer_stop_virt();
}

/* Stores until told to stop: what a guest under load does to a migration. */
static uint64_t stream(struct store_slot *slot)
{
    uint64_t stores = 0;

    while (!atomic_load_explicit(&slot->stop, memory_order_relaxed)) {
        uint64_t page =
            REGION_IPA + 4096ul * store_plan_page(slot->seed, (uint32_t)(stores % slot->pages));

        *(volatile uint64_t *)(page + (slot - mailbox->slots) * 8) = ++stores;
        if (slot->kind == STORE_NAP_STREAM && stores % STORES_PER_NAP == 0) {
            nap();
        }
    }
    return stores;
}

static uint64_t read_stream(struct store_slot *slot)
{
    uint64_t reads = 0;

    while (!atomic_load_explicit(&slot->stop, memory_order_relaxed)) {
        (void)*(volatile uint64_t *)(REGION_IPA +
                                     4096ul * store_plan_page(slot->seed,
                                                              (uint32_t)(reads % slot->pages)));
        reads++;
    }
    return reads;
}

static void do_round(struct store_slot *slot)
{
    if (slot->kind == STORE_READ_STREAM) {
        slot->stores = read_stream(slot);
        return;
    }
    if (slot->kind == STORE_STREAM || slot->kind == STORE_NAP_STREAM) {
        slot->stores = stream(slot);
        return;
    }
    for (uint32_t i = 0; i < slot->pages; i++) {
        store_once(slot->kind, REGION_IPA + 4096ul * store_plan_page(slot->seed, i),
                   slot->seed + i);
    }
    slot->stores = slot->pages;
}

static void serve(unsigned cpu)
{
    struct store_slot *slot = &mailbox->slots[cpu];

    gic_init_cpu();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    slot->has_lse = has_lse();
    for (;;) {
        uint32_t round = atomic_load_explicit(&slot->round, memory_order_acquire);

        if (round != atomic_load_explicit(&slot->done, memory_order_relaxed)) {
            uint64_t start = timer_count();

            do_round(slot);
            dsb();
            slot->ticks = timer_count() - start;
            atomic_store_explicit(&slot->done, round, memory_order_release);
        }
    }
}

void guest_main(const void *dtb)
{
    memset(mailbox, 0, sizeof(*mailbox));
    gic_init();
    for (unsigned cpu = 1; cpu < 16 && smp_start(cpu, serve) == 0; cpu++) {
    }
    serve(0);
}
