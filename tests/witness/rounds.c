/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS    (ROUNDS_PAGES_MAX / 64)
#define CPUS_MAX 64u

enum phase {
    PHASE_OFF,
    PHASE_ROUND,   /* between two harvests */
    PHASE_HARVEST, /* from the start of the harvest on */
    PHASE_CLOSED,  /* invalidated: the next round, unless this harvest invalidates once more */
};

struct set {
    uint64_t words[WORDS];
};

static FILE *trace;
static bool several;
static enum phase phase;
static unsigned harvest_cpu;
static bool invalidating, still;
static bool handling[CPUS_MAX]; /* in a fault handler of the log */
/* What was stored to: in the round; in the harvest; since PHASE_CLOSED; the same by the hypervisor.
 */
static struct set seen, between, after, after_by_hypervisor;
static struct set reported;
static struct {
    uint64_t stores, between, after, hypervisor, handlers, crossing, unknown;
} counts;
static uint64_t stores_still, stores_by_cpu[CPUS_MAX];

bool rounds_open(const char *path, bool several_threads)
{
    several = several_threads;
    trace = fopen(path, "w");
    return trace != NULL;
}

void rounds_close(void)
{
    fclose(trace);
}

bool rounds_are_on(void)
{
    /* Relaxed: between sessions nobody minds a store that is told or not. */
    return __atomic_load_n(&phase, __ATOMIC_RELAXED) != PHASE_OFF;
}

static void add(struct set *set, uint32_t page)
{
    set->words[page / 64] |= UINT64_C(1) << page % 64;
}

static bool holds(const struct set *set, uint32_t page)
{
    return page < ROUNDS_PAGES_MAX && (set->words[page / 64] >> page % 64 & 1) != 0;
}

static void move_all(struct set *to, struct set *from)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        to->words[i] |= from->words[i];
        from->words[i] = 0;
    }
}

/* "name 0-3 17": runs of pages. Empties the set. */
static void write_set(const char *name, struct set *set)
{
    fputs(name, trace);
    for (uint32_t page = 0; page < ROUNDS_PAGES_MAX; page++) {
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
        fprintf(trace, " %" PRIu32, first);
        if (first != page) {
            fprintf(trace, "-%" PRIu32, page);
        }
    }
    fputc('\n', trace);
    memset(set, 0, sizeof(*set));
}

void rounds_start(uint64_t mode, uint32_t pages, uint32_t frames)
{
    static const struct set nothing;

    seen = between = after = after_by_hypervisor = nothing;
    memset(&counts, 0, sizeof(counts));
    memset(stores_by_cpu, 0, sizeof(stores_by_cpu));
    stores_still = 0;
    still = false;
    phase = PHASE_ROUND;
    fprintf(trace, "start mode %" PRIu64 " pages %" PRIu32 " frames %" PRIu32 "\n", mode, pages,
            frames);
}

void rounds_still(void)
{
    still = true;
}

void rounds_stop(void)
{
    phase = PHASE_OFF;
    fprintf(trace, "stop still %" PRIu64 " cpus", stores_still);
    for (unsigned i = 0; i < CPUS_MAX; i++) {
        if (stores_by_cpu[i] != 0) {
            fprintf(trace, " %" PRIu64, stores_by_cpu[i]);
        }
    }
    fputc('\n', trace);
    fflush(trace);
}

void rounds_store(unsigned cpu, uint32_t page, bool by_hypervisor)
{
    if (by_hypervisor) {
        counts.hypervisor++;
        add(phase == PHASE_CLOSED ? &after_by_hypervisor : &between, page);
        return;
    }
    stores_by_cpu[cpu % CPUS_MAX]++;
    stores_still += still;
    if (phase == PHASE_ROUND) {
        counts.stores++;
        add(&seen, page);
    } else if (phase == PHASE_HARVEST) {
        counts.between++;
        add(&between, page);
    } else {
        counts.after++;
        add(&after, page);
    }
}

void rounds_count_crossing(void)
{
    counts.crossing++;
}

void rounds_count_unknown(void)
{
    counts.unknown++;
}

/* The harvest goes on: what seemed to come after it came within it. */
static void reopen(void)
{
    move_all(&between, &after);
    move_all(&between, &after_by_hypervisor);
    counts.between += counts.after;
    counts.after = 0;
}

void rounds_fault(unsigned cpu)
{
    handling[cpu % CPUS_MAX] = true;
}

void rounds_leave(unsigned cpu)
{
    handling[cpu % CPUS_MAX] = false;
}

void rounds_harvest(unsigned cpu)
{
    if (phase == PHASE_OFF) {
        return;
    }
    if (phase == PHASE_CLOSED) {
        reopen(); /* the same CLEAN goes on */
    }
    for (unsigned i = 0; phase == PHASE_ROUND && i < CPUS_MAX; i++) {
        counts.handlers += handling[i];
    }
    phase = PHASE_HARVEST;
    harvest_cpu = cpu;
    invalidating = false;
}

static bool is_in_harvest(unsigned cpu)
{
    return (phase == PHASE_HARVEST || phase == PHASE_CLOSED) && cpu == harvest_cpu;
}

static void close_round(void)
{
    if (phase == PHASE_CLOSED) {
        reopen(); /* an earlier invalidation was not the last */
    }
    phase = PHASE_CLOSED;
}

void rounds_invalidate(unsigned cpu)
{
    if (!is_in_harvest(cpu)) {
        return;
    }
    invalidating = true;
    if (!several) {
        close_round();
    }
}

void rounds_barrier(unsigned cpu)
{
    if (several && invalidating && is_in_harvest(cpu)) {
        invalidating = false;
        close_round();
    }
}

void rounds_cleaned(void)
{
    static const char *const ends[] = {"off", "unharvested", "uninvalidated", "invalidated"};
    uint64_t stores_next = counts.after;

    fprintf(trace,
            "round %s stores %" PRIu64 " between %" PRIu64 " hypervisor %" PRIu64
            " handlers %" PRIu64 " crossing %" PRIu64 " unknown %" PRIu64 "\n",
            ends[phase], counts.stores, counts.between, counts.hypervisor, counts.handlers,
            counts.crossing, counts.unknown);
    write_set("seen", &seen);
    write_set("between", &between);
    memset(&counts, 0, sizeof(counts));
    counts.stores = stores_next;
    move_all(&seen, &after);
    move_all(&between, &after_by_hypervisor);
    phase = PHASE_ROUND;
}

void rounds_reported(uint64_t page)
{
    if (page < ROUNDS_PAGES_MAX) {
        add(&reported, (uint32_t)page);
    }
}

void rounds_report_ends(void)
{
    write_set("logged", &reported);
}
