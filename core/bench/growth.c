/* SPDX-License-Identifier: MIT */
/*
 * How the dirty log's costs grow with the guest and with the CPUs that write, counted on this
 * machine: atomic accesses, cache lines, pages of memory, invalidations. No times.
 *
 *   growth [--long]    prints a JSON object; --long: every page written also in large guests
 *   growth --check     small sizes; exit status 1 if a cost grows with what it must not
 */
#include "machine.h"

#include "counting.h"

#include <core/dirty_log.h>
#include <core/port.h>
#include <core/s2.h>
#include <core/s2_vm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES  (UINT64_C(2) << 20)
#define SPARSE_PAGES 100u
#define FULL_GIB     64u /* every page is written up to here, unless --long */
#define CPUS_MAX     8u
#define CPU_FAULTS   4096u /* per CPU, where CPUs write together */
#define LINES_MAX    (1u << 16)

static struct s2_vm vm;
static bool check_only;
static unsigned failures;

static void expect(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "FAIL: %s\n", what);
        failures++;
    }
}

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "growth: %s\n", what);
        exit(2);
    }
}

/* A guest of 2 MiB blocks: its frames are aligned to no more. */
static void map_guest(uint64_t bytes)
{
    const struct s2_config config = {.vmid = 1, .ipa_bits = 44};

    must(s2_init(&vm, &config) == 0, "s2_init");
    must(s2_map(&vm, ipa_make(0), pa_make(BLOCK_BYTES), bytes, S2_RAM_RW) == 0, "s2_map");
}

static void end_guest(uint64_t bytes)
{
    must(s2_unmap(&vm, ipa_make(0), bytes, NULL, NULL) == 0, "s2_unmap");
    s2_destroy(&vm);
    must(growth_pages() == 0, "pages are left");
}

static unsigned enable(void)
{
    const struct dirty_log_options options = {.hardware = false};
    unsigned calls = 1;

    while (dirty_log_enable(&vm, &options) != 0) {
        calls++;
    }
    return calls;
}

static unsigned turn_off(void)
{
    unsigned calls = 1;

    while (dirty_log_off(&vm) != 0) {
        calls++;
    }
    return calls;
}

/* A write fault to a page that is closed: again after a split. */
static void first_write(uint64_t ipa)
{
    while (!s2_lookup(&vm, ipa_make(ipa)).writable) {
        must(s2_fault_write(&vm, ipa_make(ipa)) == S2_FAULT_RETRY, "s2_fault_write");
    }
}

static uint64_t clean(uint64_t bytes)
{
    static struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t gfn = 0, taken = 0;

    must(dirty_log_harvest_begin(&vm) == 0, "begin");
    while (gfn < bytes >> PAGE_SHIFT) {
        uint64_t pages;

        (void)dirty_log_harvest_words(&vm, &gfn, bytes >> PAGE_SHIFT, words, &pages);
        taken += pages;
    }
    dirty_log_harvest_commit(&vm);
    return taken;
}

/* One write to a page in each stride; then a CLEAN. Its accesses, and lines if asked for. */
static struct growth_counts round_of(uint64_t bytes, uint64_t stride, bool lines)
{
    struct growth_counts counts;
    uint64_t taken;

    for (uint64_t ipa = 0; ipa < bytes; ipa += stride) {
        first_write(ipa);
    }
    growth_start(lines);
    taken = clean(bytes);
    counts = growth_stop();
    must(taken == (bytes + stride - 1) / stride, "a page was lost");
    return counts;
}

/* Accesses of the write faults to pages that a CLEAN has closed, over their number. */
static double fault_cost(uint64_t bytes, uint64_t stride)
{
    uint64_t faults = 0, accesses = 0;

    for (uint64_t ipa = 0; ipa < bytes; ipa += stride, faults++) {
        struct growth_counts counts;

        growth_start(false);
        must(s2_fault_write(&vm, ipa_make(ipa)) == S2_FAULT_RETRY, "s2_fault_write");
        counts = growth_stop();
        accesses += counts.loads + counts.stores + counts.changes;
    }
    (void)clean(bytes);
    return (double)accesses / (double)faults;
}

static uint64_t accesses_of(struct growth_counts counts)
{
    return counts.loads + counts.stores + counts.changes;
}

struct size_costs {
    uint64_t tables_pages, log_pages, enable_accesses, enable_calls;
    struct growth_counts nothing, sparse;
    uint64_t blocks_accesses, full_accesses;
    double fault_accesses;
    uint64_t off_calls, off_flushes;
};

static struct size_costs measure(uint64_t gib, bool full)
{
    uint64_t bytes = gib << 30;
    uint64_t stride = bytes / SPARSE_PAGES & ~PAGE_MASK;
    struct size_costs costs;

    stride = bytes / stride > SPARSE_PAGES ? stride + PAGE_SIZE_BYTES : stride;
    map_guest(bytes);
    costs.tables_pages = growth_pages();
    growth_start(false);
    costs.enable_calls = enable();
    costs.enable_accesses = accesses_of(growth_stop());
    costs.log_pages = growth_pages() - costs.tables_pages;
    growth_start(true);
    must(clean(bytes) == 0, "nothing was written");
    costs.nothing = growth_stop();
    (void)round_of(bytes, stride, false);
    costs.sparse = round_of(bytes, stride, true);
    costs.fault_accesses = fault_cost(bytes, stride);
    costs.blocks_accesses = accesses_of(round_of(bytes, BLOCK_BYTES, false));
    costs.full_accesses = full ? accesses_of(round_of(bytes, PAGE_SIZE_BYTES, false)) : 0;
    costs.off_flushes = growth_flushes();
    costs.off_calls = turn_off();
    costs.off_flushes = growth_flushes() - costs.off_flushes;
    must(growth_pages() == costs.tables_pages, "off has left pages");
    end_guest(bytes);
    return costs;
}

static void print_size(uint64_t gib, const struct size_costs *c, bool full, bool last)
{
    uint64_t blocks = (gib << 30) / BLOCK_BYTES, pages = (gib << 30) >> PAGE_SHIFT;

    printf("  {\"gib\": %llu, \"table_pages\": %llu, \"log_pages\": %llu, \"kib_per_gib\": %.1f, ",
           (unsigned long long)gib, (unsigned long long)c->tables_pages,
           (unsigned long long)c->log_pages, (double)c->log_pages * 4 / (double)gib);
    printf("\"enable_accesses_per_block\": %.3f, \"enable_calls\": %llu, ",
           (double)c->enable_accesses / (double)blocks, (unsigned long long)c->enable_calls);
    printf("\"clean_of_nothing_accesses\": %llu, \"clean_of_nothing_lines\": %llu, ",
           (unsigned long long)accesses_of(c->nothing), (unsigned long long)c->nothing.lines);
    printf("\"clean_of_100_accesses\": %llu, \"clean_of_100_lines\": %llu, ",
           (unsigned long long)accesses_of(c->sparse), (unsigned long long)c->sparse.lines);
    printf("\"clean_of_blocks_accesses_per_page\": %.3f, ",
           (double)c->blocks_accesses / (double)blocks);
    if (full) {
        printf("\"clean_of_all_accesses_per_page\": %.4f, ",
               (double)c->full_accesses / (double)pages);
    }
    printf("\"fault_accesses\": %.3f, \"off_calls\": %llu, \"off_flushes\": %llu}%s\n",
           c->fault_accesses, (unsigned long long)c->off_calls, (unsigned long long)c->off_flushes,
           last ? "" : ",");
}

/* CPUs that write at once, each in its own thread, in pages that lie side by side. */

struct cpu_work {
    pthread_t thread;
    unsigned cpu, cpus;
    struct growth_counts counts;
    struct growth_line *lines;
    unsigned line_count;
};

static pthread_barrier_t together;

static void *write_pages(void *argument)
{
    struct cpu_work *work = argument;

    growth_cpu = work->cpu;
    growth_start(true);
    pthread_barrier_wait(&together);
    for (uint64_t i = 0; i < CPU_FAULTS; i++) {
        uint64_t gfn = i * work->cpus + work->cpu;

        must(s2_fault_write(&vm, ipa_from_gfn(gfn)) == S2_FAULT_RETRY, "s2_fault_write");
    }
    work->line_count = growth_lines_written(work->lines, LINES_MAX);
    work->counts = growth_stop();
    return NULL;
}

static bool writes_line(const struct cpu_work *work, uint64_t line)
{
    for (unsigned i = 0; i < work->line_count; i++) {
        if (work->lines[i].line == line) {
            return true;
        }
    }
    return false;
}

/* Writes of a CPU to lines that another one writes too. */
static uint64_t shared_writes(const struct cpu_work *works, unsigned cpus, unsigned cpu)
{
    uint64_t shared = 0;

    for (unsigned i = 0; i < works[cpu].line_count; i++) {
        bool found = false;

        for (unsigned other = 0; other < cpus && !found; other++) {
            found = other != cpu && writes_line(&works[other], works[cpu].lines[i].line);
        }
        shared += found ? works[cpu].lines[i].times : 0;
    }
    return shared;
}

static double measure_cpus(unsigned cpus, double *ret_shared)
{
    struct cpu_work works[CPUS_MAX];
    uint64_t bytes = (uint64_t)CPU_FAULTS * CPUS_MAX * PAGE_SIZE_BYTES;
    uint64_t accesses = 0, shared = 0, faults = (uint64_t)CPU_FAULTS * cpus;

    map_guest(bytes);
    (void)enable();
    (void)round_of(bytes, PAGE_SIZE_BYTES, false);
    pthread_barrier_init(&together, NULL, cpus);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        works[cpu].cpu = cpu;
        works[cpu].cpus = cpus;
        works[cpu].lines = malloc(LINES_MAX * sizeof(struct growth_line));
        must(pthread_create(&works[cpu].thread, NULL, write_pages, &works[cpu]) == 0, "a thread");
    }
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        pthread_join(works[cpu].thread, NULL);
        accesses += accesses_of(works[cpu].counts);
    }
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        shared += shared_writes(works, cpus, cpu);
    }
    must(dirty_log_count(&vm) == faults, "a page was lost");
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        free(works[cpu].lines);
    }
    pthread_barrier_destroy(&together);
    (void)turn_off();
    end_guest(bytes);
    *ret_shared = (double)shared / (double)faults;
    return (double)accesses / (double)faults;
}

static void check_sizes(const struct size_costs *small, const struct size_costs *large,
                        unsigned times)
{
    expect(large->log_pages <= small->log_pages * times + 16, "memory per GiB is constant");
    /* Blocks are counted once more if not all of their tables are set aside in one step. */
    expect(large->enable_accesses <= small->enable_accesses * times * 13 / 10 + 1000,
           "ENABLE is linear in blocks");
    /* Each group of 2 GiB has its own record. */
    expect(large->nothing.lines <= small->nothing.lines + 4 * times,
           "a CLEAN of nothing touches a few lines for each 2 GiB");
    expect(large->sparse.lines <= 12 * SPARSE_PAGES, "a CLEAN of 100 pages touches 12 lines each");
    expect(large->fault_accesses <= small->fault_accesses + 1, "a write fault costs the same");
    expect(large->off_flushes <= small->off_flushes * times * 2 + 16, "OFF invalidates per table");
}

static int check(void)
{
    struct size_costs small = measure(1, true), large = measure(16, true);
    double one_shared, eight_shared, one, eight;

    check_sizes(&small, &large, 16);
    one = measure_cpus(1, &one_shared);
    eight = measure_cpus(CPUS_MAX, &eight_shared);
    expect(one_shared == 0, "one CPU shares no line");
    expect(eight <= one + 0.5, "a fault's accesses do not grow with the CPUs");
    expect(eight_shared <= 2.1,
           "a fault writes a descriptor and a word that others write, no more");
    return failures != 0;
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {1, 4, 16, 64, 256, 1024};
    const unsigned count = sizeof(sizes) / sizeof(sizes[0]);
    bool all_full = argc > 1 && strcmp(argv[1], "--long") == 0;

    check_only = argc > 1 && strcmp(argv[1], "--check") == 0;
    if (check_only) {
        return check();
    }
    printf("{\"sizes\": [\n");
    for (unsigned i = 0; i < count; i++) {
        bool full = all_full || sizes[i] <= FULL_GIB;
        struct size_costs costs = measure(sizes[i], full);

        print_size(sizes[i], &costs, full, i + 1 == count);
    }
    printf(" ],\n \"cpus\": [\n");
    for (unsigned cpus = 1; cpus <= CPUS_MAX; cpus *= 2) {
        double shared, accesses = measure_cpus(cpus, &shared);

        printf("  {\"cpus\": %u, \"fault_accesses\": %.3f, \"fault_shared_writes\": %.3f}%s\n",
               cpus, accesses, shared, cpus == CPUS_MAX ? "" : ",");
    }
    printf(" ]}\n");
    return 0;
}
