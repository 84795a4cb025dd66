/* SPDX-License-Identifier: MIT */
/* Runs of pages of the fake machine: short ones, whose pages come back in any order. */
#include "machine.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RUN_PAGES 3u /* the longest */
#define RUNS_MAX  65536u

/* What the host's allocator gave for a run. */
static struct {
    char *memory;
    unsigned pages, out;
} runs[RUNS_MAX];
static unsigned runs_end; /* those behind are unused */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void remember(char *memory, unsigned pages)
{
    unsigned i = 0;

    pthread_mutex_lock(&lock);
    while (i < runs_end && runs[i].out != 0) {
        i++;
    }
    if (i == RUNS_MAX) {
        fake_die("too many runs of pages");
    }
    runs[i].memory = memory;
    runs[i].pages = runs[i].out = pages;
    runs_end = i == runs_end ? i + 1 : runs_end;
    pthread_mutex_unlock(&lock);
}

void *port_run_alloc(uint64_t pages, uint64_t *ret_pages)
{
    unsigned count = pages < RUN_PAGES ? (unsigned)pages : RUN_PAGES;
    char *memory = fake_memory_take(PAGE_SIZE_BYTES, count);

    if (memory == NULL) {
        return NULL;
    }
    if (count > 1) {
        remember(memory, count);
    }
    memset(memory, 0xa5, count * PAGE_SIZE_BYTES); /* nobody may rely on what it holds */
    *ret_pages = count;
    return memory;
}

bool fake_run_page_freed(char *page)
{
    char *memory = NULL;
    bool found = false;

    pthread_mutex_lock(&lock);
    for (unsigned i = runs_end; i-- != 0 && !found;) {
        found = runs[i].out != 0 && page >= runs[i].memory &&
                page < runs[i].memory + runs[i].pages * PAGE_SIZE_BYTES;
        if (found && --runs[i].out == 0) {
            memory = runs[i].memory;
            runs_end -= i + 1 == runs_end;
        }
    }
    pthread_mutex_unlock(&lock);
    if (found && memory == NULL) {
        memset(page, 0x5a, PAGE_SIZE_BYTES); /* who still uses it notices */
    }
    free(memory);
    return found;
}

void port_run_free(void *va, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        port_pages_free((char *)va + i * PAGE_SIZE_BYTES, 0);
    }
}
