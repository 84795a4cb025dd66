/* SPDX-License-Identifier: MIT */
/*
 * A plugin of the emulator that follows a guest from host to host: it recognises the guest's
 * heartbeat by the instruction before it (guest.c), and counts what the host's CPUs execute. All
 * hosts of a lab map the same file (flight.h), so the gap between the last heartbeat on one and the
 * first on the other is seen by one clock.
 *
 * Options: map=PATH; host=N, this host's number; watch=ADDRESS, an instruction whose executions
 * are counted, up to 4; text=FROM-TO, the code of the hypervisor; program=FROM-TO, that of the
 * guest's program;
 * profile=PATH, where to count blocks one by one (profile.h).
 *
 * Instructions are counted inline, without a lock: hosts have one CPU.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../tests/witness/qemu_plugin.h"
#include "flight.h"
#include "profile.h"

#define EXPORT    __attribute__((visibility("default")))
#define HEARTBEAT UINT32_C(0xd28ae8ff) /* MOVZ XZR, #0x5747 */
#define KERNEL    (UINT64_C(1) << 63)

enum { KIND_USER, KIND_KERNEL, KIND_HYPERVISOR, KIND_PROGRAM };

struct code {
    uint64_t from, to;
};

static struct {
    const char *file;
    uint64_t host;
    uint64_t watched[FLIGHT_WATCHED];
    unsigned watched_count;
    struct code text, program;
    const char *profile;
} options;

static struct flight *flight;
static struct profile *profile; /* NULL: not wanted */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A number that one thread writes and others look at; a moment old is good enough for them. */
static uint64_t peek(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void add(uint64_t *number, uint64_t more)
{
    __atomic_store_n(number, peek(number) + more, __ATOMIC_RELAXED);
}

static void take_beat(struct flight_beat *beat)
{
    beat->ns = now_ns();
    beat->count++;
    for (unsigned host = 0; host < FLIGHT_HOSTS; host++) {
        for (unsigned kind = 0; kind < FLIGHT_KINDS; kind++) {
            uint64_t sum = 0;

            for (unsigned cpu = 0; cpu < FLIGHT_CPUS; cpu++) {
                sum += peek(&flight->cpus[host][cpu].instructions[kind]);
            }
            beat->instructions[host][kind] = sum;
        }
    }
}

/*
 * The guest has beaten here. If it was on another host before, that host wrote its beat down before
 * it said over the network that the guest may go on: acquire pairs with the release below.
 */
static void on_beat(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *user)
{
    struct flight_beat *mine = &flight->beats[options.host];
    uint64_t before = __atomic_load_n(&flight->at, __ATOMIC_ACQUIRE);

    take_beat(mine);
    if (before == options.host) {
        return;
    }
    if (before != FLIGHT_NOBODY && flight->move_count < FLIGHT_MOVES) {
        struct flight_move *move = &flight->moves[flight->move_count];

        move->from = before;
        move->to = options.host;
        move->last = flight->beats[before];
        move->first = *mine;
        __atomic_store_n(&flight->move_count, flight->move_count + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&flight->at, options.host, __ATOMIC_RELEASE);
}

static void on_watched(unsigned cpu, void *user)
{
    add(&flight->cpus[options.host][cpu % FLIGHT_CPUS].watched[(uintptr_t)user], 1);
}

static bool is_in(const struct code *code, uint64_t address)
{
    return address >= code->from && address < code->to;
}

static uintptr_t kind_of(uint64_t address)
{
    if (is_in(&options.text, address)) {
        return KIND_HYPERVISOR;
    }
    if (is_in(&options.program, address)) {
        return KIND_PROGRAM;
    }
    return address & KERNEL ? KIND_KERNEL : KIND_USER;
}

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
    uint32_t word;

    memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
    return word;
}

static void profile_block(struct qemu_plugin_tb *tb, uint64_t start, size_t length)
{
    uint64_t number = peek(&profile->blocks);
    struct profile_block *block = &profile->block[number];

    if (number == PROFILE_BLOCKS) {
        return;
    }
    block->address = start;
    block->length = length;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_64, &block->count, 1);
    __atomic_store_n(&profile->blocks, number + 1, __ATOMIC_RELEASE);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    uint64_t start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));

    qemu_plugin_register_vcpu_tb_exec_inline(
        tb, QEMU_PLUGIN_INLINE_ADD_64, &flight->cpus[options.host][0].instructions[kind_of(start)],
        count);
    if (profile != NULL) {
        profile_block(tb, start, count);
    }
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        if (i > 0 && word_of(qemu_plugin_tb_get_insn(tb, i - 1)) == HEARTBEAT) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_beat, QEMU_PLUGIN_NO_REGISTERS,
                                             QEMU_PLUGIN_LOADS_AND_STORES, NULL);
        }
        for (uintptr_t w = 0; w < options.watched_count; w++) {
            if (qemu_plugin_insn_vaddr(insn) == options.watched[w]) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_watched, QEMU_PLUGIN_NO_REGISTERS,
                                                       (void *)w);
            }
        }
    }
}

static bool read_code(const char *text, struct code *ret_code)
{
    char *end;

    ret_code->from = strtoull(text, &end, 0);
    ret_code->to = *end == '-' ? strtoull(end + 1, NULL, 0) : 0;
    return ret_code->to > ret_code->from;
}

static bool read_option(const char *text)
{
    if (strncmp(text, "map=", 4) == 0) {
        options.file = text + 4;
        return true;
    }
    if (strncmp(text, "host=", 5) == 0) {
        options.host = strtoull(text + 5, NULL, 0);
        return options.host < FLIGHT_HOSTS;
    }
    if (strncmp(text, "watch=", 6) == 0 && options.watched_count < FLIGHT_WATCHED) {
        options.watched[options.watched_count++] = strtoull(text + 6, NULL, 0);
        return true;
    }
    if (strncmp(text, "text=", 5) == 0) {
        return read_code(text + 5, &options.text);
    }
    if (strncmp(text, "program=", 8) == 0) {
        return read_code(text + 8, &options.program);
    }
    if (strncmp(text, "profile=", 8) == 0) {
        options.profile = text + 8;
        return true;
    }
    return false;
}

static void *map_file(const char *path, size_t bytes, int flags)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    void *at = MAP_FAILED;

    if (fd < 0) {
        return NULL;
    }
    if (!(flags & O_CREAT) || ftruncate(fd, (off_t)bytes) == 0) {
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* The first file is made by who starts the hosts. */
static bool map_files(void)
{
    flight = map_file(options.file, sizeof(*flight), 0);
    if (flight == NULL || flight->magic != FLIGHT_MAGIC) {
        return false;
    }
    if (options.profile == NULL) {
        return true;
    }
    profile = map_file(options.profile, sizeof(*profile), O_CREAT | O_TRUNC);
    return profile != NULL;
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
            fprintf(stderr, "flight: cannot use the option %s\n", words[i]);
            return -1;
        }
    }
    if (options.file == NULL || !map_files()) {
        fprintf(stderr, "flight: no file to write to\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
