/* SPDX-License-Identifier: MIT */
/*
 * The only program of the guest that is moved, its /init. All guests have 96 MiB of memory with
 * contents; what is written of it is chosen on the kernel's command line:
 *
 *   load=idle    nothing; a heartbeat every 2 ms
 *   load=tenth   a tenth of 192 MiB, every fifth page of the region, rewritten once a second
 *   load=paced   the first 16 MiB of the region, in random order, 1000 pages a second
 *   load=hot     the same without a pause
 *   load=fast    the whole region, in order, without a pause
 *
 * Each page holds what was written last, and is looked at before it is written again. A heartbeat
 * is a store that a plugin of the emulator recognises (plugin.c), one at least for each page.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    PAGE_BYTES = 4096,
    WORDS = PAGE_BYTES / 8,
    REGION_PAGES = 96 << 8,
    TENTH_STRIDE = 5,
    TENTH_PAGES = REGION_PAGES / TENTH_STRIDE,
    HOT_PAGES = 16 << 8,
    PACED_PAGES = 1000, /* a second */
    STEP_MS = 10,
    BEAT_US = 2000,
    ALIVE_MS = 1000,
};

static uint64_t (*pages)[WORDS];
static uint32_t generation[REGION_PAGES];
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* MOVZ XZR, #0x5747 does nothing and is nowhere else; the plugin looks for it before the store. */
static void beat(void)
{
    static volatile uint64_t heartbeat __attribute__((aligned(4096)));
    uint64_t value = heartbeat + 1;

    __asm__ volatile(".balign 8\n\tmovz xzr, #0x5747\n\tstr %0, [%1]" ::"r"(value), "r"(&heartbeat)
                     : "memory");
}

static uint64_t value_of(uint32_t i)
{
    return (uint64_t)i << 32 | generation[i];
}

static void page_write(uint32_t i)
{
    generation[i]++;
    pages[i][0] = value_of(i);
    pages[i][WORDS - 1] = ~value_of(i);
    beat();
}

/* Half of a page is noise, half is one word again and again: it can be compressed, but not to
 * nothing. */
static void page_fill(uint32_t i)
{
    for (unsigned w = 0; w < WORDS; w++) {
        pages[i][w] = w % 2 ? next_random() : i;
    }
    page_write(i);
}

static void page_rewrite(uint32_t i)
{
    if (pages[i][0] != value_of(i) || pages[i][WORDS - 1] != ~value_of(i)) {
        printf("load: LOST page %u: holds %016llx, generation %u was written\n", i,
               (unsigned long long)pages[i][0], generation[i]);
        exit(1);
    }
    page_write(i);
}

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* One step of each load, some milliseconds. */
static void step_idle(void)
{
    beat();
    sleep_us(BEAT_US);
}

/* How many pages are due by now that were not before, at so many a second. */
static uint64_t pages_due(uint64_t per_s)
{
    static uint64_t began_ms, given;
    uint64_t more;

    if (began_ms == 0) {
        began_ms = now_ms();
    }
    more = (now_ms() - began_ms) * per_s / 1000 - given;
    given += more;
    return more;
}

static void step_tenth(void)
{
    static uint32_t at;

    for (uint64_t due = pages_due(TENTH_PAGES); due > 0; due--) {
        page_rewrite(at * TENTH_STRIDE);
        at = (at + 1) % TENTH_PAGES;
    }
    sleep_us(STEP_MS * 1000);
}

static void step_paced(void)
{
    for (uint64_t due = pages_due(PACED_PAGES); due > 0; due--) {
        page_rewrite((uint32_t)(next_random() % HOT_PAGES));
    }
    sleep_us(STEP_MS * 1000);
}

static void step_hot(void)
{
    for (unsigned n = 0; n < 1000; n++) {
        page_rewrite((uint32_t)(next_random() % HOT_PAGES));
    }
}

static void step_fast(void)
{
    static uint32_t at;

    for (unsigned n = 0; n < 1000; n++) {
        page_rewrite(at);
        at = (at + 1) % REGION_PAGES;
    }
}

static const struct {
    const char *name;
    void (*step)(void);
} loads[] = {{"idle", step_idle},
             {"tenth", step_tenth},
             {"paced", step_paced},
             {"hot", step_hot},
             {"fast", step_fast}};

static void run(void (*step)(void))
{
    for (uint64_t next_ms = now_ms() + ALIVE_MS, n = 1;; step()) {
        if (now_ms() >= next_ms) {
            printf("load: alive %llu\n", (unsigned long long)n++);
            next_ms += ALIVE_MS;
        }
    }
}

int main(void)
{
    const char *wanted = getenv("load"); /* the kernel hands words of its command line to init */

    setvbuf(stdout, NULL, _IOLBF, 0);
    pages = mmap(NULL, (size_t)REGION_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        puts("load: no memory");
        return 1;
    }
    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        page_fill(i);
    }
    for (unsigned i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        if (wanted != NULL && strcmp(wanted, loads[i].name) == 0) {
            printf("load: %s is ready\n", wanted);
            run(loads[i].step);
        }
    }
    puts("load: no such load");
    return 1;
}
