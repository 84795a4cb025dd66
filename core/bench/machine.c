/* SPDX-License-Identifier: MIT */
/* A machine without guest memory, TLBs or limits: addresses of guests are numbers only. */
#include "machine.h"

#include "counting.h"

#include <core/port.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (UINT64_C(8) << 30) /* of addresses; memory comes when it is touched */
#define ORDERS      12u
#define SLOTS       (1u << 17)
#define LINE_SHIFT  6

_Thread_local unsigned growth_cpu;

/* Pages. Called by one thread only: nothing on a fault path allocates. */

static uint8_t *arena;
static uint64_t arena_used;
static void *free_pages[ORDERS];
static uint64_t pages_out;
static uint64_t flushes;

void *port_pages_alloc(unsigned order)
{
    uint64_t bytes = PAGE_SIZE_BYTES << order;
    void *va = free_pages[order];

    if (arena == NULL) {
        arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena == MAP_FAILED) {
            abort();
        }
    }
    if (va != NULL) {
        free_pages[order] = *(void **)va;
        memset(va, 0, bytes);
    } else {
        arena_used = (arena_used + bytes - 1) & ~(bytes - 1);
        if (arena_used + bytes > ARENA_BYTES) {
            return NULL;
        }
        va = arena + arena_used;
        arena_used += bytes;
    }
    pages_out += UINT64_C(1) << order;
    return va;
}

void port_pages_free(void *va, unsigned order)
{
    *(void **)va = free_pages[order];
    free_pages[order] = va;
    pages_out -= UINT64_C(1) << order;
}

uint64_t growth_pages(void)
{
    return pages_out;
}

uint64_t growth_flushes(void)
{
    return flushes;
}

void *port_run_alloc(uint64_t pages, uint64_t *ret_pages)
{
    (void)pages;
    *ret_pages = 1;
    return port_pages_alloc(0);
}

void port_run_free(void *va, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        port_pages_free((char *)va + i * PAGE_SIZE_BYTES, 0);
    }
}

unsigned port_s2_ipa_bits_max(void)
{
    return 48;
}

unsigned port_s2_pa_bits(void)
{
    return 48;
}

uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level)
{
    return (uint64_t)ipa_bits << 8 | root_level;
}

uint64_t port_s2_root(pa_t root, uint16_t vmid)
{
    return root.addr;
}

bool port_has_hardware_dirty(void)
{
    return false;
}

void port_publish(void)
{
}

void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count)
{
    flushes++;
}

void port_tlb_flush_vm(const struct s2_vm *vm)
{
    flushes++;
}

/* Counts. */

static _Thread_local uint64_t accesses[GROWTH_ACCESSES];
static _Thread_local struct growth_line *slots; /* NULL: lines are not remembered */
static _Thread_local uint64_t lines_touched;

static struct growth_line *slot_of(uint64_t line)
{
    uint64_t i = (line * UINT64_C(0x9e3779b97f4a7c15)) >> 47;

    while (slots[i].line != 0 && slots[i].line != line) {
        i = (i + 1) % SLOTS;
    }
    return &slots[i];
}

void growth_count(const volatile void *address, enum growth_access access)
{
    struct growth_line *slot;

    accesses[access]++;
    if (slots == NULL) {
        return;
    }
    slot = slot_of((uint64_t)address >> LINE_SHIFT);
    if (slot->line == 0) {
        if (++lines_touched > SLOTS / 2) {
            abort(); /* more lines than this table is good for */
        }
        slot->line = (uint64_t)address >> LINE_SHIFT;
    }
    slot->times += access != GROWTH_LOAD;
}

void growth_start(bool remember_lines)
{
    free(slots);
    slots = remember_lines ? calloc(SLOTS, sizeof(*slots)) : NULL;
    lines_touched = 0;
    memset(accesses, 0, sizeof(accesses));
}

struct growth_counts growth_stop(void)
{
    struct growth_counts counts = {
        .loads = accesses[GROWTH_LOAD],
        .stores = accesses[GROWTH_STORE],
        .changes = accesses[GROWTH_CHANGE],
        .lines = lines_touched,
    };

    free(slots);
    slots = NULL;
    return counts;
}

unsigned growth_lines_written(struct growth_line *lines, unsigned most)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SLOTS && count < most; i++) {
        if (slots[i].times != 0) {
            lines[count++] = slots[i];
        }
    }
    return count;
}
