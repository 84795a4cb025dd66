/* SPDX-License-Identifier: MIT */
/*
 * The witness: a plugin of the emulator that sees every store after it was made, with its physical
 * address, and writes per round of the dirty log which pages of the watched guest were stored to,
 * beside what the log reported. check.py judges.
 *
 * Options: out=FILE; harvest=ADDRESS and text=FROM-TO, the entry of dirty_log_harvest_take and the
 * code of the hypervisor; threads=single|multi, as QEMU's -accel says.
 *
 * A store belongs to the round in which it was made, except between the start of the harvest and
 * its last invalidation: there it may belong to this round or to the next. With one thread the
 * emulator runs no other CPU between our call for the TLB instruction and its effect, so the round
 * ends there. With several, it ends at the DSB behind: the emulator holds all CPUs, outside of
 * translated code, before that instruction is reached, so whatever was stored before has been told.
 */
#include <guest/witness.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

#define EXPORT __attribute__((visibility("default")))

#define FRAMES_MAX (1u << 22) /* physical memory below 16 GiB */
#define PAGES_MAX  65536u
#define WORDS_MAX  (PAGES_MAX / 64)
#define CPUS_MAX   64u
#define PAGE_MASK  4095u

enum phase {
    PHASE_OFF,
    PHASE_ROUND,   /* between two harvests */
    PHASE_HARVEST, /* from the start of the harvest on */
    PHASE_CLOSED,  /* invalidated: the next round, unless this harvest invalidates once more */
};

struct set {
    uint64_t words[WORDS_MAX];
};

static struct {
    FILE *out;
    uint64_t harvest, text_from, text_to;
    bool multi;
} options;

static uint32_t page_of_frame[FRAMES_MAX]; /* index + 1; 0: not the guest's */
static uint32_t page_count;
static uint64_t report_base;
static enum phase phase;
static unsigned harvest_cpu;
static bool invalidating, still;
/* What was stored to: in the round; in the harvest; since PHASE_CLOSED; the same by the hypervisor.
 */
static struct set seen, between, after, after_by_hypervisor;
static struct set logged;
static uint64_t stores, stores_between, stores_after, stores_still, stores_by_hypervisor;
static uint64_t crossings, unknown;
static uint64_t stores_by_cpu[CPUS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void enter(void)
{
    if (options.multi) {
        pthread_mutex_lock(&lock);
    }
}

static void leave(void)
{
    if (options.multi) {
        pthread_mutex_unlock(&lock);
    }
}

static void add(struct set *set, uint32_t page)
{
    set->words[page / 64] |= UINT64_C(1) << page % 64;
}

static void move_all(struct set *to, struct set *from)
{
    for (uint32_t i = 0; i < WORDS_MAX; i++) {
        to->words[i] |= from->words[i];
        from->words[i] = 0;
    }
}

static bool holds(const struct set *set, uint32_t page)
{
    return page < PAGES_MAX && (set->words[page / 64] >> page % 64 & 1) != 0;
}

/* "name 0-3 17": runs of pages. Empties the set. */
static void write_set(const char *name, struct set *set)
{
    fputs(name, options.out);
    for (uint32_t page = 0; page < PAGES_MAX; page++) {
        uint32_t first = page;

        if (set->words[page / 64] == 0) {
            page |= 63;
            continue;
        }
        if (!holds(set, page)) {
            continue;
        }
        while (holds(set, page + 1)) {
            page++;
        }
        fprintf(options.out, " %u", first);
        if (first != page) {
            fprintf(options.out, "-%u", page);
        }
    }
    fputc('\n', options.out);
    memset(set, 0, sizeof(*set));
}

static void store_to_page(unsigned cpu, uint32_t page, bool by_hypervisor)
{
    stores_by_cpu[cpu % CPUS_MAX]++;
    stores_still += still && !by_hypervisor;
    if (by_hypervisor) {
        /* It marks after its write: a harvest may come between the two. */
        stores_by_hypervisor++;
        add(phase == PHASE_CLOSED ? &after_by_hypervisor : &between, page);
    } else if (phase == PHASE_ROUND) {
        stores++;
        add(&seen, page);
    } else if (phase == PHASE_HARVEST) {
        stores_between++;
        add(&between, page);
    } else {
        stores_after++;
        add(&after, page);
    }
}

/* One page of a store; address lies in it. */
static void store_at(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, bool by_hypervisor)
{
    struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
    uint64_t frame;

    if (at == NULL) {
        unknown++;
        return;
    }
    if (qemu_plugin_hwaddr_is_io(at)) {
        return;
    }
    frame = qemu_plugin_hwaddr_phys_addr(at) >> 12;
    if (frame < FRAMES_MAX && page_of_frame[frame] != 0) {
        store_to_page(cpu, page_of_frame[frame] - 1, by_hypervisor);
    }
}

static void on_store(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user)
{
    uint64_t last = address + (UINT64_C(1) << qemu_plugin_mem_size_shift(info)) - 1;

    if (phase == PHASE_OFF || !qemu_plugin_mem_is_store(info)) {
        return;
    }
    enter();
    store_at(cpu, info, address, user != NULL);
    if ((address ^ last) & ~(uint64_t)PAGE_MASK) {
        crossings++; /* told once; the emulator's TLB holds both pages still */
        store_at(cpu, info, last, user != NULL);
    }
    leave();
}

static void reopen_round(void)
{
    move_all(&between, &after);
    move_all(&between, &after_by_hypervisor);
    stores_between += stores_after;
    stores_after = 0;
}

/* dirty_log_harvest_take is entered. */
static void on_harvest(unsigned cpu, void *user)
{
    enter();
    reopen_round(); /* if this is the next piece of the same CLEAN */
    if (phase == PHASE_ROUND || phase == PHASE_CLOSED) {
        phase = PHASE_HARVEST;
        harvest_cpu = cpu;
        invalidating = false;
    }
    leave();
}

static void close_round(void)
{
    reopen_round(); /* if it was closed by an earlier invalidation */
    phase = PHASE_CLOSED;
}

/* The hypervisor is about to invalidate translations on all CPUs. */
static void on_invalidate(unsigned cpu, void *user)
{
    enter();
    if ((phase == PHASE_HARVEST || phase == PHASE_CLOSED) && cpu == harvest_cpu) {
        invalidating = true;
        if (!options.multi) {
            close_round();
        }
    }
    leave();
}

/* A barrier of the hypervisor: what it has invalidated is gone. */
static void on_barrier(unsigned cpu, void *user)
{
    enter();
    if (options.multi && invalidating && cpu == harvest_cpu &&
        (phase == PHASE_HARVEST || phase == PHASE_CLOSED)) {
        invalidating = false;
        close_round();
    }
    leave();
}

static void reset_counts(void)
{
    stores = stores_between = stores_after = stores_by_hypervisor = crossings = unknown = 0;
}

static void write_round(void)
{
    static const char *const ends[] = {"off", "unharvested", "uninvalidated", "invalidated"};
    uint64_t stores_next = stores_after;

    fprintf(options.out,
            "round %s stores %lu between %lu hypervisor %lu crossing %lu unknown %lu\n",
            ends[phase], stores, stores_between, stores_by_hypervisor, crossings, unknown);
    write_set("seen", &seen);
    write_set("between", &between);
    reset_counts();
    stores = stores_next;
    move_all(&seen, &after);
    move_all(&between, &after_by_hypervisor);
    phase = PHASE_ROUND;
}

static void start(void)
{
    static struct set nothing;

    seen = between = after = after_by_hypervisor = nothing;
    reset_counts();
    memset(stores_by_cpu, 0, sizeof(stores_by_cpu));
    stores_still = 0;
    still = false;
    phase = PHASE_ROUND;
    fprintf(options.out, "start pages %u\n", page_count);
}

static void stop(void)
{
    phase = PHASE_OFF;
    fprintf(options.out, "stop still %lu cpus", stores_still);
    for (unsigned i = 0; i < CPUS_MAX; i++) {
        if (stores_by_cpu[i] != 0) {
            fprintf(options.out, " %lu", stores_by_cpu[i]);
        }
    }
    fputc('\n', options.out);
    fflush(options.out);
}

static void hear_frame(qemu_plugin_meminfo_t info, uint64_t address)
{
    struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
    uint64_t frame = at == NULL ? FRAMES_MAX : qemu_plugin_hwaddr_phys_addr(at) >> 12;

    if (frame < FRAMES_MAX && page_count < PAGES_MAX) {
        page_of_frame[frame] = ++page_count;
    }
}

/* The control program says a word. */
static void on_word(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user)
{
    enum witness_word word = (enum witness_word)(uintptr_t)user;

    address -= WITNESS_OFFSET + (uint64_t)word;
    enter();
    switch (word) {
    case WITNESS_FRAME:
        hear_frame(info, address);
        break;
    case WITNESS_BASE:
        report_base = address;
        break;
    case WITNESS_START:
        start();
        break;
    case WITNESS_CLEANED:
        write_round();
        break;
    case WITNESS_REPORTED:
        if (address - report_base < PAGES_MAX) {
            add(&logged, (uint32_t)(address - report_base));
        }
        break;
    case WITNESS_END:
        write_set("logged", &logged);
        break;
    case WITNESS_STILL:
        still = true;
        break;
    case WITNESS_STOP:
        stop();
        break;
    default:
        break;
    }
    leave();
}

static bool is_word(uint32_t instruction, enum witness_word *ret_word)
{
    uint32_t offset = instruction >> 10 & 0xfff;

    if ((instruction & 0xffc0001f) != 0x3940001f || offset < WITNESS_OFFSET ||
        offset >= WITNESS_OFFSET + WITNESS_WORDS) {
        return false;
    }
    *ret_word = (enum witness_word)(offset - WITNESS_OFFSET);
    return true;
}

/* TLBI, for all CPUs of the inner shareable domain: SYS with CRn 8 and CRm 0, 2 or 3. */
static bool is_invalidation(uint32_t instruction)
{
    uint32_t crm = instruction >> 8 & 15;

    return (instruction & 0xfff8f000) == 0xd5088000 && (crm == 0 || crm == 2 || crm == 3);
}

static bool is_dsb(uint32_t instruction)
{
    return (instruction & 0xfffff0ff) == 0xd503309f;
}

static void watch(struct qemu_plugin_insn *insn)
{
    uint64_t at = qemu_plugin_insn_vaddr(insn);
    bool hypervisor = at >= options.text_from && at < options.text_to;
    enum witness_word word;
    uint32_t instruction;

    memcpy(&instruction, qemu_plugin_insn_data(insn), sizeof(instruction));
    if (is_word(instruction, &word)) {
        qemu_plugin_register_vcpu_mem_cb(insn, on_word, QEMU_PLUGIN_NO_REGISTERS,
                                         QEMU_PLUGIN_LOADS_AND_STORES, (void *)(uintptr_t)word);
        return;
    }
    if (at == options.harvest) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_harvest, QEMU_PLUGIN_NO_REGISTERS, NULL);
    }
    if (hypervisor && is_invalidation(instruction)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_invalidate, QEMU_PLUGIN_NO_REGISTERS, NULL);
    }
    if (hypervisor && is_dsb(instruction)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_barrier, QEMU_PLUGIN_NO_REGISTERS, NULL);
    }
    qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_NO_REGISTERS,
                                     QEMU_PLUGIN_LOADS_AND_STORES, hypervisor ? options.out : NULL);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        watch(qemu_plugin_tb_get_insn(tb, i));
    }
}

static void on_end(qemu_plugin_id_t id, void *user)
{
    fclose(options.out);
}

static bool read_option(const char *text)
{
    if (strncmp(text, "out=", 4) == 0) {
        options.out = fopen(text + 4, "w");
        return options.out != NULL;
    }
    if (strncmp(text, "harvest=", 8) == 0) {
        options.harvest = strtoull(text + 8, NULL, 0);
        return true;
    }
    if (strncmp(text, "text=", 5) == 0) {
        char *end;

        options.text_from = strtoull(text + 5, &end, 0);
        options.text_to = *end == '-' ? strtoull(end + 1, NULL, 0) : 0;
        return options.text_to > options.text_from;
    }
    options.multi = strcmp(text, "threads=multi") == 0;
    return options.multi || strcmp(text, "threads=single") == 0;
}

EXPORT extern const int qemu_plugin_version;
const int qemu_plugin_version = QEMU_PLUGIN_INTERFACE;

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_host *host, int count,
                               char **words);
int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_host *host, int count,
                        char **words)
{
    for (int i = 0; i < count; i++) {
        if (!read_option(words[i])) {
            fprintf(stderr, "witness: cannot use the option %s\n", words[i]);
            return -1;
        }
    }
    if (options.out == NULL || options.harvest == 0 || options.text_to == 0) {
        fprintf(stderr, "witness: out, harvest and text are needed\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
