/* SPDX-License-Identifier: MIT */
/*
 * How the costs of core/ grow, on this machine and without a hypervisor: guests of 1 GiB to 1 TiB,
 * and up to eight threads that fault at once. Prints "growth KEY QUANTITY VALUE" lines. Counts
 * repeat; nanoseconds are CPU time of the process on whatever machine this is.
 */
#include "growth.h"

#include <core/dirty_log.h>
#include <core/s2.h>
#include <core/s2_vm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GIB          (UINT64_C(1) << 30)
#define RAM_IPA      GIB
#define RAM_PA       (UINT64_C(1) << 44)
#define SPARSE_PAGES 100u
#define ROUNDS       10u
#define FAULT_PAGES  (UINT64_C(1) << 18) /* 1 GiB */
#define THREADS_MAX  8u

static struct s2_vm vm;

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void require(bool good, const char *what)
{
    if (!good) {
        printf("FAIL: %s\n", what);
        exit(1);
    }
}

static void tell(const char *key, const char *quantity, double value)
{
    printf("growth %s %s %.3f\n", key, quantity, value);
}

static int finish(int (*step)(struct s2_vm *))
{
    int rc;

    do {
        rc = step(&vm);
    } while (rc == -CORE_ERESTART);
    return rc;
}

static int enable_step(struct s2_vm *which)
{
    return dirty_log_enable(which, &(struct dirty_log_options){0});
}

/* One fault: what a write to a page costs once its block is split. */
static void fault(uint64_t page)
{
    (void)s2_fault_write(&vm, ipa_make(RAM_IPA + page * PAGE_SIZE_BYTES));
}

static bool is_writable(uint64_t page)
{
    return s2_lookup(&vm, ipa_make(RAM_IPA + page * PAGE_SIZE_BYTES)).writable;
}

static void write_page(uint64_t page)
{
    while (!is_writable(page)) {
        fault(page);
    }
}

/* Returns the number of dirty pages. */
static uint64_t harvest(uint64_t end_gfn)
{
    static struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t gfn = 0, total = 0, pages;

    require(dirty_log_harvest_begin(&vm) == 0, "a harvest begins");
    while (gfn < end_gfn) {
        (void)dirty_log_harvest_words(&vm, &gfn, end_gfn, words, &pages);
        total += pages;
    }
    dirty_log_harvest_commit(&vm);
    return total;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* 100 pages at random, ROUNDS times; the fastest round is told, the first left out: it splits. */
static void measure_sparse(const char *key, uint64_t pages, uint64_t end_gfn)
{
    uint64_t best = UINT64_MAX, idle = UINT64_MAX, random = 1, start;
    uint64_t batches = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SPARSE_PAGES; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            write_page((random >> 16) % pages);
        }
        batches = growth_port_invalidations();
        start = cpu_ns();
        require(harvest(end_gfn) > SPARSE_PAGES / 2, "the written pages are dirty");
        best = smaller(best, cpu_ns() - start);
        batches = growth_port_invalidations() - batches;
        start = cpu_ns();
        require(harvest(end_gfn) == 0, "no page is dirty twice");
        idle = smaller(idle, cpu_ns() - start);
    }
    tell(key, "harvest_100_dirty_ns", (double)best);
    tell(key, "harvest_100_dirty_invalidations", (double)batches);
    tell(key, "harvest_idle_ns", (double)idle);
}

static void start_vm(uint64_t bytes)
{
    require(s2_init(&vm, &(struct s2_config){.vmid = 1, .ipa_bits = 44}) == 0, "make a VM");
    require(s2_map(&vm, ipa_make(RAM_IPA), pa_make(RAM_PA), bytes, S2_RAM_RW) == 0, "map its RAM");
}

static void release(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                    bool writable)
{
}

static void stop_vm(uint64_t bytes)
{
    require(finish(dirty_log_off) == 0, "logging goes off");
    require(s2_unmap(&vm, ipa_make(RAM_IPA), bytes, release, NULL) == 0, "unmap its RAM");
    s2_destroy(&vm);
}

static void measure_size(uint64_t gib)
{
    uint64_t bytes = gib * GIB, before, start;
    char key[32];

    snprintf(key, sizeof(key), "%llu-GiB", (unsigned long long)gib);
    start_vm(bytes);
    before = growth_port_bytes();
    start = cpu_ns();
    require(finish(enable_step) == 0, "logging goes on");
    tell(key, "enable_us", (double)(cpu_ns() - start) / 1000);
    tell(key, "memory_kib_per_gib", (double)(growth_port_bytes() - before) / 1024 / (double)gib);
    measure_sparse(key, bytes / PAGE_SIZE_BYTES, (RAM_IPA + bytes) / PAGE_SIZE_BYTES);
    start = cpu_ns();
    require(finish(dirty_log_off) == 0, "logging goes off");
    tell(key, "disable_us", (double)(cpu_ns() - start) / 1000);
    stop_vm(bytes);
}

static unsigned thread_count;

static void *write_part(void *argument)
{
    uint64_t part = FAULT_PAGES / thread_count;

    growth_cpu_id = (unsigned)(uintptr_t)argument;
    for (uint64_t i = 0; i < part; i++) {
        fault(growth_cpu_id * part + i);
    }
    return NULL;
}

static void measure_threads(unsigned threads)
{
    pthread_t ids[THREADS_MAX];
    uint64_t faults = UINT64_MAX, dense = UINT64_MAX, start;
    char key[32];

    snprintf(key, sizeof(key), "%u-threads", threads);
    thread_count = threads;
    start_vm(GIB);
    require(finish(enable_step) == 0, "logging goes on");
    for (uint64_t page = 0; page < FAULT_PAGES; page++) {
        write_page(page);
    }
    (void)harvest((RAM_IPA + GIB) / PAGE_SIZE_BYTES);
    for (unsigned round = 0; round < ROUNDS / 2; round++) {
        start = cpu_ns();
        for (unsigned i = 0; i < threads; i++) {
            require(pthread_create(&ids[i], NULL, write_part, (void *)(uintptr_t)i) == 0, "thread");
        }
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(ids[i], NULL);
        }
        faults = smaller(faults, cpu_ns() - start);
        start = cpu_ns();
        require(harvest((RAM_IPA + GIB) / PAGE_SIZE_BYTES) == FAULT_PAGES, "all pages are dirty");
        dense = smaller(dense, cpu_ns() - start);
    }
    tell(key, "write_fault_ns", (double)faults / FAULT_PAGES);
    tell(key, "harvest_per_dirty_page_ns", (double)dense / FAULT_PAGES);
    stop_vm(GIB);
}

/* bench_growth [GIB]: guests of up to that size, 1024 unless said. It needs 1/500 of it. */
int main(int argc, char **argv)
{
    static const uint64_t sizes_gib[] = {1, 4, 16, 64, 256, 1024};
    uint64_t largest = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;

    require(growth_port_start(), "memory");
    for (unsigned i = 0; i < sizeof(sizes_gib) / sizeof(sizes_gib[0]); i++) {
        if (sizes_gib[i] <= largest) {
            measure_size(sizes_gib[i]);
        }
    }
    for (unsigned threads = 1; threads <= THREADS_MAX; threads *= 2) {
        measure_threads(threads);
    }
    printf("PASS: every harvest was exact\n");
    return 0;
}
