/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "target.h"

#define GIB           (UINT64_C(1) << 30)
#define RESOLUTION    32u /* two ticks, in instructions */
#define NULL_CALLS    4096u
#define DENSE_PAGES   8192u
#define DENSE_ROUNDS  3u
#define SPARSE_ROUNDS 20u /* of 60 pages each */
#define IDLE_ROUNDS   16u
#define SPARSE_PAGES  (TRACKING_REGION_PAGES / TRACKING_BLOCK_PAGES)
#define REGION_FIRST  ((uint32_t)((TRACKING_REGION_IPA - GUEST_RAM0_BASE) >> 12))

struct scenario {
    const char *series;
    uint64_t write_without_faults; /* instructions of a dense round when nothing is logged */
    bool valid;
};

static void print_cost(const struct scenario *scenario, const char *quantity, uint64_t total,
                       uint64_t count, const char *unit)
{
    uint64_t millionths = count == 0 ? 0 : total * 1000000 / count;

    target_print("cost %s %s %lu.%06lu %s\n", scenario->series, quantity,
                 (unsigned long)(millionths / 1000000), (unsigned long)(millionths % 1000000),
                 unit);
}

static uint64_t difference(uint64_t more, uint64_t less)
{
    return more > less ? more - less : 0;
}

/* Instructions that the guest saw go by during a round. */
static uint64_t guest_round(enum tracking_kind kind, uint32_t stride, uint32_t count)
{
    return target_round(kind, stride, count) * 16;
}

static uint64_t write_dense(void)
{
    return guest_round(TRACKING_WRITE, 1, DENSE_PAGES);
}

/* Holds the last answer against a round that wrote count pages of the region, every stride-th. */
static void judge(struct scenario *scenario, uint32_t stride, uint32_t count, const char *when)
{
    const uint64_t *bitmap = target_answer();
    uint32_t lost = 0, extra = 0;

    for (uint32_t i = 0; i < TRACKING_REGION_PAGES; i++) {
        bool reported = (bitmap[(REGION_FIRST + i) / 64] >> ((REGION_FIRST + i) % 64) & 1) != 0;
        bool written = i % stride == 0 && i / stride < count;

        lost += written && !reported;
        extra += reported && !written;
    }
    if (lost + extra != 0) {
        target_print("void %s %s: %u pages lost, %u reported without a write\n", scenario->series,
                     when, lost, extra);
        scenario->valid = false;
    }
}

static uint64_t timed_harvest(struct scenario *scenario, uint32_t stride, uint32_t count,
                              const char *when)
{
    uint64_t start = target_instructions(), cost;

    target_harvest();
    cost = target_instructions() - start;
    judge(scenario, stride, count, when);
    return cost;
}

static void measure_before(struct scenario *scenario)
{
    uint64_t cost = guest_round(TRACKING_NULLCALL, 0, NULL_CALLS);

    print_cost(scenario, "null_hypercall", cost, NULL_CALLS, "instructions");
    guest_round(TRACKING_WRITE, 1, TRACKING_REGION_PAGES); /* so that every page is mapped */
    scenario->write_without_faults = write_dense();
    print_cost(scenario, "write_without_fault", scenario->write_without_faults, DENSE_PAGES,
               "instructions");
}

/* What a round costs beyond one that takes no faults, and how many faults it takes. */
static void measure_writes(struct scenario *scenario, const char *cost_name,
                           const char *faults_name)
{
    uint64_t faults = target_faults();
    uint64_t cost = difference(write_dense(), scenario->write_without_faults);

    cost = cost > RESOLUTION ? cost : 0;
    print_cost(scenario, cost_name, cost, DENSE_PAGES, "instructions");
    print_cost(scenario, faults_name, target_faults() - faults, DENSE_PAGES, "faults");
}

/*
 * What the first harvest reports is left to the interface: with KVM's initially-set log it is every
 * page, and that harvest is what protects them.
 */
static void measure_enable(struct scenario *scenario)
{
    uint64_t memory = target_memory(), start = target_instructions();

    target_enable();
    print_cost(scenario, "enable", target_instructions() - start, TRACKING_RAM_PAGES,
               "instructions");
    start = target_instructions();
    target_harvest();
    print_cost(scenario, "first_harvest", target_instructions() - start, TRACKING_RAM_PAGES,
               "instructions");
    if (memory != 0) {
        print_cost(scenario, "memory_per_gib",
                   (target_memory() - memory) * (GIB / TRACKING_RAM_BYTES), 1024, "KiB");
    }
    measure_writes(scenario, "first_write_after_enable", "faults_first_write_after_enable");
    (void)timed_harvest(scenario, 1, DENSE_PAGES, "after enable");
}

/* What is proportional to the memory is told apart by asking about memories of two sizes. */
static void measure_clean(struct scenario *scenario)
{
    uint64_t cost[2] = {0, 0}, start;
    uint32_t pages[2] = {0, 0};

    for (uint32_t i = 0; i < 2 * IDLE_ROUNDS; i++) {
        start = target_instructions();
        pages[i % 2] = target_harvest_clean(i % 2 != 0);
        cost[i % 2] += target_instructions() - start;
    }
    print_cost(scenario, "harvest_per_clean_page", pages[1] == 0 ? 0 : difference(cost[1], cost[0]),
               pages[1] == 0 ? 1 : (uint64_t)IDLE_ROUNDS * (pages[1] - pages[0]), "instructions");
}

static uint64_t measure_idle(struct scenario *scenario)
{
    uint64_t cost = 0;

    for (uint32_t i = 0; i < IDLE_ROUNDS; i++) {
        cost += timed_harvest(scenario, 1, 0, "idle");
    }
    print_cost(scenario, "harvest_idle", cost, IDLE_ROUNDS, "instructions");
    return cost / IDLE_ROUNDS;
}

static void measure_dense(struct scenario *scenario, uint64_t idle)
{
    uint64_t cost = 0;

    measure_writes(scenario, "write_fault", "faults_write");
    for (uint32_t i = 0; i < DENSE_ROUNDS; i++) {
        if (i != 0) {
            write_dense();
        }
        cost += difference(timed_harvest(scenario, 1, DENSE_PAGES, "dense"), idle);
    }
    print_cost(scenario, "harvest_per_dirty_page_dense", cost, (uint64_t)DENSE_ROUNDS * DENSE_PAGES,
               "instructions");
}

static void measure_sparse(struct scenario *scenario, uint64_t idle)
{
    uint64_t cost = 0;

    for (uint32_t i = 0; i < SPARSE_ROUNDS; i++) {
        guest_round(TRACKING_WRITE, TRACKING_BLOCK_PAGES, SPARSE_PAGES);
        cost +=
            difference(timed_harvest(scenario, TRACKING_BLOCK_PAGES, SPARSE_PAGES, "sparse"), idle);
    }
    print_cost(scenario, "harvest_per_dirty_page_sparse", cost,
               (uint64_t)SPARSE_ROUNDS * SPARSE_PAGES, "instructions");
}

static void measure_disable(struct scenario *scenario)
{
    uint64_t start = target_instructions();

    target_disable();
    print_cost(scenario, "disable", target_instructions() - start, TRACKING_RAM_PAGES,
               "instructions");
    measure_writes(scenario, "first_write_after_disable", "faults_after_disable");
}

bool scenario_run(const char *series)
{
    struct scenario scenario = {.series = series, .valid = true};
    uint64_t idle;

    measure_before(&scenario);
    measure_enable(&scenario);
    idle = measure_idle(&scenario);
    measure_clean(&scenario);
    measure_dense(&scenario, idle);
    measure_sparse(&scenario, idle);
    measure_disable(&scenario);
    return scenario.valid;
}

bool scenario_vcpus(const char *series, uint32_t vcpus)
{
    struct scenario scenario = {.series = series, .valid = true};
    char quantity[] = "write_fault_1_vcpus";

    guest_round(TRACKING_WRITE, 1, TRACKING_REGION_PAGES);
    target_enable();
    target_harvest();
    for (uint32_t n = 1; n <= vcpus && n < 10; n *= 2) {
        uint64_t with_faults, without;

        with_faults = guest_round(TRACKING_TOGETHER, n, DENSE_PAGES / n);
        without = guest_round(TRACKING_TOGETHER, n, DENSE_PAGES / n);
        target_harvest();
        judge(&scenario, 1, DENSE_PAGES, "together");
        quantity[sizeof("write_fault_") - 1] = (char)('0' + n);
        print_cost(&scenario, quantity, difference(with_faults, without), DENSE_PAGES,
                   "instructions");
    }
    target_disable();
    return scenario.valid;
}
