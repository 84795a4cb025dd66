/* SPDX-License-Identifier: MIT */
/*
 * Moves the `pattern` guest to a new domain by its save records and its memory, as a migration
 * does, and lets it tell whether something is missing. Then again and again with one field of the
 * records changed: each must be noticed, by the hypervisor or by the guest. So a field that is
 * saved but not loaded, or that nobody looks at, is found here. Option: every=N, only each N-th.
 */
#include "control.h"

#include <godwit/save.h>
#include <guest/main.h>
#include <guest/pattern_plan.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <string.h>
#include <xen/errno.h>

#define GUEST_BYTES    (2ul << 20)
#define GUEST_PAGES    (GUEST_BYTES >> 12)
#define LIST_MAX       65536u
#define PATIENCE_MS    1500u
/* Absent here: 10 breakpoints and 12 watchpoints, 2 words each; 10 of keys; AFSR0, AFSR1, AMAIR. */
#define ZERO_WORDS_MAX 57u

static uint8_t memory[GUEST_PAGES][4096];
static bool is_zero[GUEST_PAGES];
static uint8_t list[LIST_MAX] __attribute__((aligned(8)));
static uint8_t changed[LIST_MAX] __attribute__((aligned(8)));
static uint32_t list_bytes;

static unsigned tried, noticed, refused, zero_words;

static int64_t context(uint32_t cmd, domid_t domid, void *buffer, uint32_t *bytes)
{
    struct xen_domctl op = {.u.hvmcontext.size = *bytes};
    int64_t rc;

    set_xen_guest_handle(op.u.hvmcontext.buffer, buffer);
    rc = control_domctl(&op, cmd, domid);
    *bytes = op.u.hvmcontext.size;
    return rc;
}

static bool wait_ready(struct control_guest *guest)
{
    volatile uint32_t *mailbox = control_map(guest->domid, MAILBOX_GFN);
    uint64_t end = timer_count() + 5 * timer_hz();
    uint32_t code;

    while (mailbox[PATTERN_READY / 4] == 0 && timer_count() < end &&
           !control_guest_poll(guest, &code)) {
    }
    timer_delay_ms(1); /* into its loop */
    code = mailbox[PATTERN_READY / 4];
    control_unmap((void *)mailbox);
    return code == 1;
}

static void take_memory(const struct control_guest *guest)
{
    for (uint64_t i = 0; i < GUEST_PAGES; i++) {
        const uint64_t *page = control_map(guest->domid, (GUEST_RAM0_BASE >> 12) + i);

        memcpy(memory[i], page, sizeof(memory[i]));
        is_zero[i] = true;
        for (unsigned word = 0; word < 512 && is_zero[i]; word++) {
            is_zero[i] = page[word] == 0;
        }
        control_unmap((void *)(uintptr_t)page);
    }
}

/* The guest up to where it holds still; memory and records of it. */
static bool prepare(const void *dtb)
{
    static struct control_guest guest;
    const void *program;
    size_t bytes;
    int64_t rc = control_ramdisk(dtb, &program, &bytes);

    rc = rc != 0 ? rc : control_guest_create(&guest, GUEST_BYTES, PATTERN_VCPUS);
    rc = rc != 0 ? rc : control_guest_load(&guest, program, bytes);
    rc = rc != 0 ? rc : control_guest_unpause(&guest);
    if (!report(rc == 0 && wait_ready(&guest), "the guest holds its patterns: %ld", rc)) {
        return false;
    }
    rc = control_guest_pause(&guest);
    take_memory(&guest);
    list_bytes = LIST_MAX;
    rc = rc != 0 ? rc : context(XEN_DOMCTL_gethvmcontext, guest.domid, list, &list_bytes);
    report(rc == 0, "its state: %ld, %u bytes", rc, list_bytes);
    return control_guest_destroy(&guest) == 0 && rc == 0;
}

static bool says_pass(const struct control_guest *guest)
{
    static const char pass[] = "Test result: PASS\n";
    size_t bytes = sizeof(pass) - 1;

    return guest->tail_bytes >= bytes &&
           memcmp(guest->tail + guest->tail_bytes - bytes, pass, bytes) == 0;
}

static int fill_memory(struct control_guest *guest)
{
    int rc = 0;

    for (uint64_t i = 0; i < GUEST_PAGES && rc == 0; i++) {
        if (!is_zero[i]) {
            rc = control_guest_copy(guest, GUEST_RAM0_BASE + (i << 12), memory[i],
                                    sizeof(memory[i]));
        }
    }
    return rc;
}

enum outcome { OUTCOME_EQUAL, OUTCOME_DIFFERENT, OUTCOME_REFUSED, OUTCOME_ERROR };

/* A new domain with that memory and these records, and what it says. */
static enum outcome run(void *records, bool quiet)
{
    static struct control_guest guest;
    uint32_t bytes = list_bytes;
    enum outcome outcome = OUTCOME_ERROR;
    int64_t rc = control_guest_create(&guest, GUEST_BYTES, PATTERN_VCPUS);

    guest.quiet = quiet;
    *(uint32_t *)&memory[GUEST_MAILBOX_OFFSET >> 12][PATTERN_GO] = 1;
    if (rc == 0 && fill_memory(&guest) == 0) {
        rc = context(XEN_DOMCTL_sethvmcontext, guest.domid, records, &bytes);
        if (rc != 0) {
            outcome = rc == -XEN_EINVAL ? OUTCOME_REFUSED : OUTCOME_ERROR;
        } else if (control_guest_unpause(&guest) == 0) {
            rc = control_guest_wait(&guest, PATIENCE_MS);
            outcome = rc >= 0 && says_pass(&guest) ? OUTCOME_EQUAL : OUTCOME_DIFFERENT;
        }
    }
    return control_guest_destroy(&guest) == 0 ? outcome : OUTCOME_ERROR;
}

/* The body of a record in a list, and its length. */
static uint8_t *body_of(uint8_t *records, unsigned type, unsigned instance, uint32_t *ret_bytes)
{
    struct godwit_save_descriptor *record = (void *)records;

    while (record->type != GODWIT_SAVE_END &&
           (record->type != type || record->instance != instance)) {
        record = (void *)((uint8_t *)(record + 1) + record->length);
    }
    *ret_bytes = record->length;
    return (uint8_t *)(record + 1);
}

/* Changes one word of a record by flipping bits, and looks whether that is noticed. */
static void try_flip(unsigned type, unsigned instance, uint32_t offset, uint64_t bits)
{
    enum outcome outcome;
    uint32_t bytes;

    memcpy(changed, list, list_bytes);
    *(uint64_t *)(body_of(changed, type, instance, &bytes) + offset) ^= bits;
    outcome = run(changed, true);
    tried++;
    noticed += outcome == OUTCOME_DIFFERENT;
    refused += outcome == OUTCOME_REFUSED;
    if (outcome == OUTCOME_EQUAL || outcome == OUTCOME_ERROR) {
        report(false, "record %u.%u, offset %u, bits %lx: %s", type, instance, offset, bits,
               outcome == OUTCOME_EQUAL ? "nobody notices" : "the move fails");
    }
}

/*
 * X1 counts in the guest's loop. A word that is 0 belongs to a register that this CPU has not.
 */
static void flip_registers(uint64_t every)
{
    const uint32_t x1 = offsetof(struct godwit_save_vcpu, x) + 8;
    uint32_t bytes;
    const uint64_t *words = (const void *)body_of(list, GODWIT_SAVE_VCPU, 0, &bytes);

    for (uint32_t offset = 0; offset < bytes; offset += 8) {
        if (offset == x1) {
            continue;
        }
        if (words[offset / 8] == 0) {
            zero_words++;
        } else if (offset / 8 % every == 0) {
            try_flip(GODWIT_SAVE_VCPU, 0, offset, ~UINT64_C(0));
        }
    }
    words = (const void *)body_of(list, GODWIT_SAVE_HIDDEN, 0, &bytes);
    for (uint32_t offset = 0; offset < bytes; offset += 8) {
        if (words[offset / 8] != 0) {
            try_flip(GODWIT_SAVE_HIDDEN, 0, offset, 1);
        }
    }
}

#define FLIP(type, instance, structure, field, bits)                                               \
    try_flip(type, instance, offsetof(struct structure, field), bits)

static void flip_time(void)
{
    FLIP(GODWIT_SAVE_CLOCK, 0, godwit_save_clock, virtual_count, UINT64_C(1) << 45);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_cval, 1);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntp_cval, 1);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_ctl, 1);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_ctl, 2);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_ctl, UINT64_C(1) << 32);
    FLIP(GODWIT_SAVE_TIMER, 0, godwit_save_timer, cntv_ctl, UINT64_C(2) << 32);
}

/* Each flag but the line, which follows from the timers and devices; the priority. */
static void flip_interrupt(unsigned type, uint32_t offset)
{
    static const uint64_t bits[] = {GODWIT_SAVE_IRQ_ENABLED, GODWIT_SAVE_IRQ_GROUP1,
                                    GODWIT_SAVE_IRQ_LATCH, GODWIT_SAVE_IRQ_ACTIVE, 0x8000};

    for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        try_flip(type, 0, offset + offsetof(struct godwit_save_irq, flags), bits[i]);
    }
}

static void flip_gic(void)
{
    FLIP(GODWIT_SAVE_GICD, 0, godwit_save_gicd, ctlr, 2);
    flip_interrupt(GODWIT_SAVE_GICD, offsetof(struct godwit_save_gicd, spis[1]));
    flip_interrupt(GODWIT_SAVE_GICD, offsetof(struct godwit_save_gicd, spis[5]));
    flip_interrupt(GODWIT_SAVE_GICD, offsetof(struct godwit_save_gicd, spis[8]));
    flip_interrupt(GODWIT_SAVE_GICD, offsetof(struct godwit_save_gicd, spis[14]));
    FLIP(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[14].flags, 1u << 16); /* active_vcpu */
    FLIP(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].irouter, 1);
    FLIP(GODWIT_SAVE_GICD, 0, godwit_save_gicd, spis[5].flags, GODWIT_SAVE_IRQ_EDGE);
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, ctlr, UINT64_C(2) << 32);
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, vmcr, UINT64_C(1) << 31); /* VPMR */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, vmcr, 1u << 18);          /* VBPR1 */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, vmcr, 1u << 21);          /* VBPR0 */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, vmcr, 1u << 9);           /* VEOIM */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, vmcr, 1u << 1);           /* VENG1 */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, ap1r[0], 1u << 3);
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, ap0r[0], 1u << 3);
    FLIP(GODWIT_SAVE_GICR, 1, godwit_save_gicr, ap1r[0], 1u << 10);       /* of 0x50 */
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, ctlr, UINT64_C(4) << 32); /* children asleep */
    flip_interrupt(GODWIT_SAVE_GICR, offsetof(struct godwit_save_gicr, irqs[3]));
    flip_interrupt(GODWIT_SAVE_GICR, offsetof(struct godwit_save_gicr, irqs[9]));
    FLIP(GODWIT_SAVE_GICR, 0, godwit_save_gicr, irqs[14].flags, GODWIT_SAVE_IRQ_LATCH);
}

static void flip_devices(void)
{
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, cr, 0x4000);
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, cr, UINT64_C(2) << 32); /* LCRH */
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ibrd, 1);
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ibrd, UINT64_C(1) << 32); /* FBRD */
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ifls, 1);
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ifls, UINT64_C(0x20) << 32); /* IMSC */
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ris, 0x400);
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ris, UINT64_C(1) << 32); /* DMACR */
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ilpr, 1);
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, ilpr, UINT64_C(1) << 32); /* rx_count */
    FLIP(GODWIT_SAVE_PL011, 0, godwit_save_pl011, rx_fifo, 1);
    for (unsigned byte = 0; byte < 7; byte++) { /* data, dir, is, ibe, iev, ie, ris */
        try_flip(GODWIT_SAVE_PL061, 0, 0, UINT64_C(4) << 8 * byte);
    }
    FLIP(GODWIT_SAVE_PL061, 0, godwit_save_pl061, data, UINT64_C(4) << 56); /* afsel */
}

/* Of vCPU 1, which sleeps, vCPU 2, which is off, and vCPU 4, which does not stand still. */
static void flip_others(void)
{
    FLIP(GODWIT_SAVE_VCPU, 4, godwit_save_vcpu, power, 1);
    FLIP(GODWIT_SAVE_VCPU, 4, godwit_save_vcpu, ttbr0_el1, ~UINT64_C(0));
    FLIP(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, tpidr_el1, 1);
    FLIP(GODWIT_SAVE_VCPU, 1, godwit_save_vcpu, power, 2);
    FLIP(GODWIT_SAVE_VCPU, 2, godwit_save_vcpu, power, 1);
}

/*
 * The time of a loaded guest stands until it is started. A timer of it that is one tick ahead must
 * cost nobody anything meanwhile: a CPU that looked for it again and again would not come back
 * here.
 */
static void stand_before_a_timer(void)
{
    static struct control_guest guest;
    uint32_t bytes, unused;
    struct godwit_save_timer *timer;
    const struct godwit_save_clock *clock;
    int64_t rc = control_guest_create(&guest, GUEST_BYTES, PATTERN_VCPUS);

    memcpy(changed, list, list_bytes);
    clock = (const void *)body_of(changed, GODWIT_SAVE_CLOCK, 0, &unused);
    for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
        timer = (void *)body_of(changed, GODWIT_SAVE_TIMER, vcpu, &unused);
        timer->cntv_cval = timer->cntp_cval = clock->virtual_count + 1;
        timer->cntv_ctl = timer->cntp_ctl = 1;
    }
    bytes = list_bytes;
    rc = rc != 0 ? rc : context(XEN_DOMCTL_sethvmcontext, guest.domid, changed, &bytes);
    timer_delay_ms(50);
    rc = rc != 0 ? rc : control_guest_unpause(&guest);
    report(rc == 0, "it stands still one tick before its timers, and is started: %ld", rc);
    report(control_guest_destroy(&guest) == 0, "and destroyed");
}

void guest_main(const void *dtb)
{
    uint64_t every = control_option(dtb, "every", 1), free_before = control_free_pages_settled();

    if (!prepare(dtb)) {
        return;
    }
    if (!report(run(list, false) == OUTCOME_EQUAL, "the guest has all that it had")) {
        return;
    }
    stand_before_a_timer();
    flip_registers(every != 0 ? every : 1);
    flip_time();
    flip_gic();
    flip_devices();
    flip_others();
    report(noticed + refused == tried && tried > 60,
           "%u fields changed: %u noticed by the guest, %u by the hypervisor", tried, noticed,
           refused);
    report(zero_words <= ZERO_WORDS_MAX, "the guest fills all registers: %u words are 0",
           zero_words);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
