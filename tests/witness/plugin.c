/* SPDX-License-Identifier: MIT */
/*
 * The witness: a plugin of the emulator that sees every store after it was made, with its physical
 * address, and hears from the control program what the dirty log has reported. rounds.c sorts the
 * stores into rounds and writes both down; check.py judges.
 *
 * Options: out=FILE; harvest=ADDRESS, once for each function that harvests; fault=ADDRESS, once for
 * each fault handler of the log; text=FROM-TO, the code of the hypervisor; threads=single|multi, as
 * QEMU's -accel says.
 */
#include <guest/witness.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"
#include "rounds.h"

#define EXPORT __attribute__((visibility("default")))

#define ENTRIES_MAX 8u
#define FRAMES_MAX  (1u << 22) /* physical memory below 16 GiB */
#define PAGE_MASK   UINT64_C(4095)

/* Where functions of one kind are entered. */
struct entries {
    uint64_t at[ENTRIES_MAX];
    unsigned count;
};

static struct {
    const char *out;
    struct entries harvests, faults;
    uint64_t text_from, text_to;
    bool several_threads;
} options;

static uint32_t page_of_frame[FRAMES_MAX]; /* index + 1; 0: not the guest's */
static uint32_t page_count, frame_count;
static uint64_t report_base;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void enter(void)
{
    if (options.several_threads) {
        pthread_mutex_lock(&lock);
    }
}

static void leave(void)
{
    if (options.several_threads) {
        pthread_mutex_unlock(&lock);
    }
}

/* One page of a store; address lies in it. */
static void store_at(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, bool by_hypervisor)
{
    struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
    uint64_t frame;

    if (at == NULL) {
        rounds_count_unknown();
        return;
    }
    if (qemu_plugin_hwaddr_is_io(at)) {
        return;
    }
    frame = qemu_plugin_hwaddr_phys_addr(at) >> 12;
    if (frame < FRAMES_MAX && page_of_frame[frame] != 0) {
        rounds_store(cpu, page_of_frame[frame] - 1, by_hypervisor);
    }
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *hypervisor)
{
    uint64_t last = address + (UINT64_C(1) << qemu_plugin_mem_size_shift(info)) - 1;

    if (!rounds_are_on() || !qemu_plugin_mem_is_store(info)) {
        return;
    }
    enter();
    store_at(cpu, info, address, hypervisor != NULL);
    if (((address ^ last) & ~PAGE_MASK) != 0) {
        rounds_count_crossing(); /* told once; the emulator's TLB holds both pages still */
        store_at(cpu, info, last, hypervisor != NULL);
    }
    leave();
}

/* An instruction of the hypervisor that moves a round on; user: rounds_harvest and so on. */
static void on_step(unsigned cpu, void *user)
{
    void (*step)(unsigned) = (void (*)(unsigned))user;

    enter();
    step(cpu);
    leave();
}

static void hear_frame(qemu_plugin_meminfo_t info, uint64_t address)
{
    struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
    uint64_t frame = at == NULL ? FRAMES_MAX : qemu_plugin_hwaddr_phys_addr(at) >> 12;

    page_count++;
    if (frame < FRAMES_MAX && page_count <= ROUNDS_PAGES_MAX) {
        frame_count += page_of_frame[frame] == 0;
        page_of_frame[frame] = page_count;
    }
}

static void hear(enum witness_word word, qemu_plugin_meminfo_t info, uint64_t address)
{
    switch (word) {
    case WITNESS_FRAME:
        hear_frame(info, address);
        break;
    case WITNESS_BASE:
        report_base = address;
        break;
    case WITNESS_START:
        rounds_start(address - report_base, page_count, frame_count);
        break;
    case WITNESS_CLEANED:
        rounds_cleaned();
        break;
    case WITNESS_REPORTED:
        rounds_reported(address - report_base);
        break;
    case WITNESS_END:
        rounds_report_ends();
        break;
    case WITNESS_STILL:
        rounds_still();
        break;
    case WITNESS_STOP:
        rounds_stop();
        break;
    default:
        break;
    }
}

/* The control program says a word. */
static void on_word(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user)
{
    enum witness_word word = (enum witness_word)(uintptr_t)user;

    enter();
    hear(word, info, address - WITNESS_OFFSET - (uint64_t)word);
    leave();
}

/* LDRB WZR, [Xn, #WITNESS_OFFSET + word] */
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

static bool is_eret(uint32_t instruction)
{
    return instruction == 0xd69f03e0;
}

static bool is_entry(const struct entries *entries, uint64_t at)
{
    for (unsigned i = 0; i < entries->count; i++) {
        if (entries->at[i] == at) {
            return true;
        }
    }
    return false;
}

static void watch_step(struct qemu_plugin_insn *insn, void (*step)(unsigned))
{
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_step, QEMU_PLUGIN_NO_REGISTERS, (void *)step);
}

static void watch_hypervisor(struct qemu_plugin_insn *insn, uint64_t at, uint32_t instruction)
{
    if (is_entry(&options.harvests, at)) {
        watch_step(insn, rounds_harvest);
    }
    if (is_entry(&options.faults, at)) {
        watch_step(insn, rounds_fault);
    }
    if (is_invalidation(instruction)) {
        watch_step(insn, rounds_invalidate);
    } else if (is_dsb(instruction)) {
        watch_step(insn, rounds_barrier);
    } else if (is_eret(instruction)) {
        watch_step(insn, rounds_leave);
    }
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
    if (hypervisor) {
        watch_hypervisor(insn, at, instruction);
    }
    qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_NO_REGISTERS,
                                     QEMU_PLUGIN_LOADS_AND_STORES, hypervisor ? &options : NULL);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        watch(qemu_plugin_tb_get_insn(tb, i));
    }
}

static void on_end(qemu_plugin_id_t id, void *user)
{
    rounds_close();
}

static bool read_entry(struct entries *entries, const char *text)
{
    if (entries->count == ENTRIES_MAX) {
        return false;
    }
    entries->at[entries->count++] = strtoull(text, NULL, 0);
    return true;
}

static bool read_option(const char *text)
{
    if (strncmp(text, "out=", 4) == 0) {
        options.out = text + 4;
        return true;
    }
    if (strncmp(text, "harvest=", 8) == 0) {
        return read_entry(&options.harvests, text + 8);
    }
    if (strncmp(text, "fault=", 6) == 0) {
        return read_entry(&options.faults, text + 6);
    }
    if (strncmp(text, "text=", 5) == 0) {
        char *end;

        options.text_from = strtoull(text + 5, &end, 0);
        options.text_to = *end == '-' ? strtoull(end + 1, NULL, 0) : 0;
        return options.text_to > options.text_from;
    }
    options.several_threads = strcmp(text, "threads=multi") == 0;
    return options.several_threads || strcmp(text, "threads=single") == 0;
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
    if (options.out == NULL || options.harvests.count == 0 || options.faults.count == 0 ||
        options.text_to == 0) {
        fprintf(stderr, "witness: out, harvest, fault and text are needed\n");
        return -1;
    }
    if (!rounds_open(options.out, options.several_threads)) {
        perror(options.out);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
