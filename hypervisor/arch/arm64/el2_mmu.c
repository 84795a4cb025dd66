/* SPDX-License-Identifier: MIT */
/* Translation tables of EL2: 4 KiB pages, four levels, one range of 48 bits (E2H = 0). */
#include "barrier.h"
#include "image.h"

#include <hv/console.h>
#include <hv/el2_map.h>
#include <hv/frame.h>
#include <hv/layout.h>
#include <stddef.h>

#define TABLE_ENTRIES 512u
#define ADDRESS_MASK  UINT64_C(0x0000fffffffff000)

#define PTE_VALID    (UINT64_C(1) << 0)
#define PTE_TABLE    (UINT64_C(1) << 1) /* levels 0 to 2: a table; level 3: a page */
#define PTE_DEVICE   (UINT64_C(0) << 2) /* MAIR index, see head.S */
#define PTE_NORMAL   (UINT64_C(1) << 2)
#define PTE_AP1      (UINT64_C(1) << 6) /* RES1 at EL2 */
#define PTE_READONLY (UINT64_C(1) << 7)
#define PTE_INNER    (UINT64_C(3) << 8)
#define PTE_ACCESSED (UINT64_C(1) << 10)
#define PTE_XN       (UINT64_C(1) << 54)

#define BOOT_POOL_PAGES 24u

void el2_switch_tables(uint64_t root_pa); /* head.S */

static uint64_t boot_pool[BOOT_POOL_PAGES][TABLE_ENTRIES] __attribute__((aligned(4096)));
static unsigned boot_pool_used;
static uint64_t *root;
static uint64_t image_pa_base;
static uint64_t device_next = DEVICE_BASE;

void *pa_to_va(pa_t pa)
{
    return (void *)(pa.addr + DIRECT_MAP_BASE);
}

pa_t va_to_pa(const void *va)
{
    uint64_t address = (uintptr_t)va;

    if (address >= IMAGE_BASE) {
        ASSERT(address < (uintptr_t)_end);
        return pa_make(address - IMAGE_BASE + image_pa_base);
    }
    return pa_make(address - DIRECT_MAP_BASE);
}

pa_t el2_image_pa(void)
{
    return pa_make(image_pa_base);
}

uint64_t el2_image_bytes(void)
{
    return ((uintptr_t)_end - IMAGE_BASE + PAGE_MASK) & ~PAGE_MASK;
}

pa_t el2_root_pa(void)
{
    return va_to_pa(root);
}

static uint64_t *table_new(void)
{
    uint64_t *table;

    if (boot_pool_used < BOOT_POOL_PAGES) {
        return boot_pool[boot_pool_used++];
    }
    table = frame_alloc_hv(0);
    if (table == NULL) {
        panic("no memory for EL2 translation tables");
    }
    return table;
}

/* Pool tables are reached through the image, because the direct map may not be there yet. */
static uint64_t *table_at(uint64_t pte)
{
    uint64_t pa = pte & ADDRESS_MASK;

    if (pa >= image_pa_base && pa < image_pa_base + el2_image_bytes()) {
        return (uint64_t *)(pa - image_pa_base + IMAGE_BASE);
    }
    return pa_to_va(pa_make(pa));
}

static uint64_t leaf_attributes(enum el2_prot prot)
{
    uint64_t common = PTE_VALID | PTE_AP1 | PTE_ACCESSED;

    switch (prot) {
    case EL2_TEXT:
        return common | PTE_NORMAL | PTE_INNER | PTE_READONLY;
    case EL2_RODATA:
        return common | PTE_NORMAL | PTE_INNER | PTE_READONLY | PTE_XN;
    case EL2_DATA:
        return common | PTE_NORMAL | PTE_INNER | PTE_XN;
    case EL2_DEVICE:
        break;
    }
    return common | PTE_DEVICE | PTE_XN;
}

static unsigned level_shift(unsigned level)
{
    return PAGE_SHIFT + 9 * (3 - level);
}

static bool block_fits(uint64_t va, uint64_t pa, uint64_t bytes, unsigned level)
{
    uint64_t block = UINT64_C(1) << level_shift(level);

    return level >= 1 && bytes >= block && ((va | pa) & (block - 1)) == 0;
}

/* Maps one leaf, the largest that fits; returns its size. */
static uint64_t map_one(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t attributes)
{
    uint64_t *table = root;

    for (unsigned level = 0;; level++) {
        uint64_t *entry = &table[(va >> level_shift(level)) % TABLE_ENTRIES];

        if (block_fits(va, pa, bytes, level) && !(*entry & PTE_VALID)) {
            *entry = pa | attributes | (level == 3 ? PTE_TABLE : 0);
            return UINT64_C(1) << level_shift(level);
        }
        if (!(*entry & PTE_VALID)) {
            *entry = va_to_pa(table_new()).addr | PTE_VALID | PTE_TABLE;
        } else if (level == 3 || !(*entry & PTE_TABLE)) {
            panic("EL2 address %lx is mapped twice", va);
        }
        table = table_at(*entry);
    }
}

void el2_map(uint64_t va, pa_t pa, uint64_t bytes, enum el2_prot prot)
{
    uint64_t attributes = leaf_attributes(prot);

    for (uint64_t done = 0; done < bytes;) {
        done += map_one(va + done, pa.addr + done, bytes - done, attributes);
    }
    /* The stores before later accesses through the new entries; old entries were invalid. */
    dsb(ishst);
    isb();
}

_Atomic uint64_t *el2_map_entry(uint64_t va, unsigned level)
{
    uint64_t *table = root;

    for (unsigned at = 0; at < level; at++) {
        uint64_t *entry = &table[(va >> level_shift(at)) % TABLE_ENTRIES];

        if (!(*entry & PTE_VALID)) {
            *entry = va_to_pa(table_new()).addr | PTE_VALID | PTE_TABLE;
        } else if (!(*entry & PTE_TABLE)) {
            panic("EL2 address %lx is mapped already", va);
        }
        table = table_at(*entry);
    }
    /* The stores before the walks that find the new tables. */
    dsb(ishst);
    return (_Atomic uint64_t *)&table[(va >> level_shift(level)) % TABLE_ENTRIES];
}

static void map_direct(uint64_t start, uint64_t end, enum el2_prot prot)
{
    if (start < end) {
        el2_map(start + DIRECT_MAP_BASE, pa_make(start), end - start, prot);
    }
}

void el2_map_ram(pa_t start, uint64_t bytes)
{
    uint64_t end = start.addr + bytes;
    uint64_t fixed_end = image_pa_base + ((uintptr_t)_rodata_end - IMAGE_BASE);

    if (image_pa_base < start.addr || image_pa_base >= end) {
        map_direct(start.addr, end, EL2_DATA);
        return;
    }
    map_direct(start.addr, image_pa_base, EL2_DATA);
    map_direct(image_pa_base, fixed_end, EL2_RODATA);
    map_direct(fixed_end, end, EL2_DATA);
}

volatile void *el2_map_device(uint64_t pa, uint64_t bytes)
{
    uint64_t offset = pa & PAGE_MASK;
    uint64_t va = device_next;
    uint64_t whole = (offset + bytes + PAGE_MASK) & ~PAGE_MASK;

    el2_map(va, pa_make(pa - offset), whole, EL2_DEVICE);
    device_next += whole + PAGE_SIZE_BYTES; /* an unmapped page catches overruns */
    return (volatile void *)(va + offset);
}

static void map_image_part(const char *start, const char *end, enum el2_prot prot)
{
    el2_map((uintptr_t)start, va_to_pa(start), (uint64_t)(end - start), prot);
}

void el2_mmu_init(pa_t image_pa, pa_t bank, uint64_t bank_bytes)
{
    pa_t idmap;

    image_pa_base = image_pa.addr;
    root = table_new();
    map_image_part(_text_start, _text_end, EL2_TEXT);
    map_image_part(_text_end, _rodata_end, EL2_RODATA);
    /* The boot CPU's stack ends the image, above its guard. */
    map_image_part(_rodata_end, _stack0_guard, EL2_DATA);
    map_image_part(_stack0, _end, EL2_DATA);

    idmap = va_to_pa(_idmap_start);
    el2_map(idmap.addr, idmap, PAGE_SIZE_BYTES, EL2_TEXT);
    el2_map_ram(bank, bank_bytes);
    el2_switch_tables(va_to_pa(root).addr);
}

uint64_t el2_map_stack(unsigned cpu)
{
    void *stack = frame_alloc_hv(STACK_SHIFT - PAGE_SHIFT);
    uint64_t top = STACK_TOP_OF((uint64_t)cpu);

    if (stack == NULL) {
        panic("no memory for the stack of CPU %u", cpu);
    }
    el2_map(top - STACK_BYTES, va_to_pa(stack), STACK_BYTES, EL2_DATA);
    return top;
}
