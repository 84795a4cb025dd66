/* SPDX-License-Identifier: MIT */
/*
 * Counts on the console while it writes memory, and checks that no write was lost.
 *
 * Kernel command line: tick_ms=N (time between two counts, 1000), write_mib=N (memory in use, 16),
 * write_pages=N (pages rewritten per second, 2000). A page holds its index and how often it was
 * written, at both ends; before it is rewritten it must hold what was written last. The first
 * page that does not is told as "LOST", and the count stops there.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE_SIZE = 4096, WORDS = PAGE_SIZE / 8, STEP_MS = 10 };

struct memory {
    uint64_t (*pages)[WORDS];
    uint32_t *generation;
    uint64_t count;
    uint64_t next;
};

static uint64_t option(const char *name, uint64_t fallback)
{
    char line[4096] = "";
    FILE *f = fopen("/proc/cmdline", "r");
    if (f) {
        if (!fgets(line, sizeof(line), f))
            line[0] = '\0';
        fclose(f);
    }
    const char *at = strstr(line, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : fallback;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void page_write(struct memory *m, uint64_t i)
{
    uint64_t value = i << 32 | ++m->generation[i];
    m->pages[i][0] = value;
    m->pages[i][WORDS - 1] = ~value;
}

static bool page_holds(const struct memory *m, uint64_t i)
{
    uint64_t value = i << 32 | m->generation[i];
    return m->pages[i][0] == value && m->pages[i][WORDS - 1] == ~value;
}

static bool memory_open(struct memory *m, uint64_t mib)
{
    m->count = (mib << 20) / PAGE_SIZE;
    m->next = 0;
    m->pages = mmap(NULL, m->count * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    m->generation = calloc(m->count + 1, sizeof(*m->generation));
    if (m->pages == MAP_FAILED || !m->generation)
        return false;
    for (uint64_t i = 0; i < m->count; i++)
        page_write(m, i);
    return true;
}

/* Rewrites the next pages, each after a check; false at the first one that lost its content. */
static bool memory_rewrite(struct memory *m, uint64_t pages)
{
    for (; m->count && pages > 0; pages--) {
        if (!page_holds(m, m->next)) {
            printf("LOST page %llu: holds %016llx, generation %u was written\n",
                   (unsigned long long)m->next, (unsigned long long)m->pages[m->next][0],
                   m->generation[m->next]);
            return false;
        }
        page_write(m, m->next);
        m->next = (m->next + 1) % m->count;
    }
    return true;
}

int main(void)
{
    uint64_t tick_ms = option("tick_ms=", 1000);
    uint64_t per_step = option("write_pages=", 2000) * STEP_MS / 1000;
    struct memory memory;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!memory_open(&memory, option("write_mib=", 16))) {
        printf("ticker: not enough memory\n");
        return 1;
    }
    uint64_t start = now_ms(), written = 0;
    for (uint64_t tick = 1;;) {
        if (!memory_rewrite(&memory, per_step))
            return 1;
        written += per_step;
        if (now_ms() - start >= tick * tick_ms) {
            printf("tick %llu: %llu pages written, none lost\n", (unsigned long long)tick++,
                   (unsigned long long)written);
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
}
