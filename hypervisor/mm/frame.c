/* SPDX-License-Identifier: MIT */
/*
 * Buddy allocator. A free block's links live in its first bytes; its record says FREE and the
 * order. One lock, a leaf in the lock order; memory is scrubbed outside it.
 */
#include "frame_internal.h"

#include <cache.h>
#include <hv/console.h>
#include <hv/fdt.h>
#include <hv/frame.h>
#include <stddef.h>

struct free_block {
    struct free_block *next;
    struct free_block **link; /* the pointer that points here */
};

static struct frame_bank banks[HOST_BANKS_MAX];
static unsigned bank_count;
static struct free_block *free_lists[FRAME_ORDER_MAX + 1];
static struct spinlock frame_lock = SPINLOCK_INIT;
static _Atomic uint64_t free_pages;
static _Atomic uint64_t hv_pages;
static uint64_t total_pages;

const struct frame_bank *frame_bank_of(uint64_t mfn)
{
    for (unsigned i = 0; i < bank_count; i++) {
        if (mfn >= banks[i].first_mfn && mfn < banks[i].end_mfn) {
            return &banks[i];
        }
    }
    return NULL;
}

struct frame *frame_of(pa_t pa)
{
    const struct frame_bank *bank = frame_bank_of(pa_mfn(pa));

    return bank == NULL ? NULL : &bank->records[pa_mfn(pa) - bank->first_mfn];
}

uint64_t frame_record_bytes(uint64_t bank_bytes)
{
    uint64_t bytes = (bank_bytes >> PAGE_SHIFT) * sizeof(struct frame);

    return (bytes + PAGE_MASK) & ~PAGE_MASK;
}

void frame_add_bank(pa_t start, uint64_t bytes, void *records)
{
    ASSERT(bank_count < HOST_BANKS_MAX);
    cache_zero(records, frame_record_bytes(bytes));
    banks[bank_count++] =
        (struct frame_bank){pa_mfn(start), pa_mfn(start) + (bytes >> PAGE_SHIFT), records};
    total_pages += bytes >> PAGE_SHIFT;
}

/* Lock held. */
static void list_insert(pa_t pa, unsigned order)
{
    struct free_block *block = pa_to_va(pa);
    struct frame *frame = frame_of(pa);

    block->next = free_lists[order];
    block->link = &free_lists[order];
    if (block->next != NULL) {
        block->next->link = &block->next;
    }
    free_lists[order] = block;
    frame->order = (uint8_t)order;
    atomic_store_explicit(&frame->state, FRAME_FREE, memory_order_relaxed);
}

/* Lock held. */
static void list_remove(pa_t pa)
{
    struct free_block *block = pa_to_va(pa);

    *block->link = block->next;
    if (block->next != NULL) {
        block->next->link = block->link;
    }
    atomic_store_explicit(&frame_of(pa)->state, FRAME_RESERVED, memory_order_relaxed);
}

static bool is_free_block(pa_t pa, unsigned order)
{
    const struct frame *frame = frame_of(pa);

    return frame != NULL && frame->order == order &&
           atomic_load_explicit(&frame->state, memory_order_relaxed) == FRAME_FREE;
}

/* Lock held. Joins with free buddies as far as possible; banks never meet inside a block. */
static void give_locked(pa_t pa, unsigned order)
{
    const struct frame_bank *bank = frame_bank_of(pa_mfn(pa));

    atomic_fetch_add_explicit(&free_pages, UINT64_C(1) << order, memory_order_relaxed);
    for (; order < FRAME_ORDER_MAX; order++) {
        pa_t buddy = pa_make(pa.addr ^ (PAGE_SIZE_BYTES << order));

        if (!is_free_block(buddy, order) || frame_bank_of(pa_mfn(buddy)) != bank) {
            break;
        }
        list_remove(buddy);
        pa.addr &= ~(PAGE_SIZE_BYTES << order);
    }
    list_insert(pa, order);
}

void frame_block_give(pa_t pa, unsigned order)
{
    spin_lock(&frame_lock);
    give_locked(pa, order);
    spin_unlock(&frame_lock);
}

bool frame_block_take(unsigned order, pa_t *ret_pa)
{
    unsigned from = order;

    if (order > FRAME_ORDER_MAX) {
        return false;
    }
    spin_lock(&frame_lock);
    while (from <= FRAME_ORDER_MAX && free_lists[from] == NULL) {
        from++;
    }
    if (from > FRAME_ORDER_MAX) {
        spin_unlock(&frame_lock);
        return false;
    }
    *ret_pa = va_to_pa(free_lists[from]);
    list_remove(*ret_pa);
    while (from > order) {
        from--;
        list_insert(pa_add(*ret_pa, PAGE_SIZE_BYTES << from), from);
    }
    atomic_fetch_sub_explicit(&free_pages, UINT64_C(1) << order, memory_order_relaxed);
    spin_unlock(&frame_lock);
    return true;
}

/* Lock held. The free block that holds pa: its start and order, or false. */
static bool find_free_block(pa_t pa, pa_t *ret_start, unsigned *ret_order)
{
    for (unsigned order = 0; order <= FRAME_ORDER_MAX; order++) {
        pa_t start = pa_make(pa.addr & ~((PAGE_SIZE_BYTES << order) - 1));

        if (is_free_block(start, order)) {
            *ret_start = start;
            *ret_order = order;
            return true;
        }
    }
    return false;
}

/* Lock held. Halves the block that holds start until a piece begins there and fits in pages. */
static unsigned carve_locked(pa_t start, uint64_t pages)
{
    pa_t block;
    unsigned order;

    if (!find_free_block(start, &block, &order)) {
        panic("frame %lx left the free lists under the lock", start.addr);
    }
    list_remove(block);
    while (block.addr != start.addr || (UINT64_C(1) << order) > pages) {
        pa_t upper;

        order--;
        upper = pa_add(block, PAGE_SIZE_BYTES << order);
        if (start.addr >= upper.addr) {
            list_insert(block, order);
            block = upper;
        } else {
            list_insert(upper, order);
        }
    }
    return order;
}

/* Lock held. */
static bool range_is_free(pa_t start, pa_t end)
{
    pa_t block;
    unsigned order;

    for (pa_t at = start; at.addr < end.addr; at = pa_add(block, PAGE_SIZE_BYTES << order)) {
        if (!find_free_block(at, &block, &order)) {
            return false;
        }
    }
    return true;
}

bool frame_range_is_free(pa_t start, uint64_t bytes)
{
    bool is_free;

    spin_lock(&frame_lock);
    is_free = range_is_free(start, pa_add(start, bytes));
    spin_unlock(&frame_lock);
    return is_free;
}

bool frame_range_take(pa_t start, uint64_t pages)
{
    pa_t end = pa_add(start, pages << PAGE_SHIFT);
    unsigned order;

    spin_lock(&frame_lock);
    if (!range_is_free(start, end)) {
        spin_unlock(&frame_lock);
        return false;
    }
    for (pa_t at = start; at.addr < end.addr; at = pa_add(at, PAGE_SIZE_BYTES << order)) {
        order = carve_locked(at, (end.addr - at.addr) >> PAGE_SHIFT);
    }
    atomic_fetch_sub_explicit(&free_pages, pages, memory_order_relaxed);
    spin_unlock(&frame_lock);
    return true;
}

void frame_add_region(pa_t start, uint64_t bytes)
{
    uint64_t at = start.addr;
    uint64_t end = start.addr + bytes;

    while (at < end) {
        unsigned order = 0;

        while (order < FRAME_ORDER_MAX && (at & (PAGE_SIZE_BYTES << order)) == 0 &&
               at + (PAGE_SIZE_BYTES << (order + 1)) <= end) {
            order++;
        }
        frame_block_give(pa_make(at), order);
        at += PAGE_SIZE_BYTES << order;
    }
}

void frame_scrub(pa_t pa, unsigned order)
{
    cache_zero(pa_to_va(pa), PAGE_SIZE_BYTES << order);
}

void page_zero(void *page)
{
    cache_zero(page, PAGE_SIZE_BYTES);
}

/* The frames of a block become the hypervisor's: it is inside one bank, and so are its records. */
static void own_frames(pa_t pa, uint64_t pages)
{
    struct frame *frame = frame_of(pa);

#pragma GCC unroll 8
    for (uint64_t i = 0; i < pages; i++) {
        atomic_store_explicit(&frame[i].state, FRAME_HV, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&hv_pages, pages, memory_order_relaxed);
}

static void disown_frames(pa_t pa, uint64_t pages)
{
    struct frame *frame = frame_of(pa);

    for (uint64_t i = 0; i < pages; i++) {
        ASSERT(atomic_load_explicit(&frame[i].state, memory_order_relaxed) == FRAME_HV);
        atomic_store_explicit(&frame[i].state, FRAME_RESERVED, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&hv_pages, pages, memory_order_relaxed);
}

void *frame_alloc_hv(unsigned order)
{
    pa_t pa;

    if (!frame_block_take(order, &pa)) {
        return NULL;
    }
    own_frames(pa, UINT64_C(1) << order);
    frame_scrub(pa, order);
    return pa_to_va(pa);
}

void frame_free_hv(void *va, unsigned order)
{
    pa_t pa = va_to_pa(va);

    disown_frames(pa, UINT64_C(1) << order);
    frame_block_give(pa, order);
}

void *frame_alloc_hv_run(uint64_t pages, uint64_t *ret_pages)
{
    unsigned order = 0;
    pa_t pa;

    while (order < FRAME_ORDER_MAX && UINT64_C(2) << order <= pages) {
        order++;
    }
    while (!frame_block_take(order, &pa)) {
        if (order-- == 0) {
            return NULL;
        }
    }
    *ret_pages = UINT64_C(1) << order;
    own_frames(pa, *ret_pages);
    return pa_to_va(pa);
}

/* Of the largest block that begins at an address, and ends before the end and in its bank. */
static unsigned order_at(uint64_t at, uint64_t end)
{
    uint64_t bank_end = frame_bank_of(at >> PAGE_SHIFT)->end_mfn << PAGE_SHIFT;
    unsigned order = 0;

    end = end < bank_end ? end : bank_end;
    while (order < FRAME_ORDER_MAX && (at & (PAGE_SIZE_BYTES << order)) == 0 &&
           at + (PAGE_SIZE_BYTES << (order + 1)) <= end) {
        order++;
    }
    return order;
}

void frame_run_give(pa_t start, uint64_t pages)
{
    for (uint64_t at = start.addr, end = at + (pages << PAGE_SHIFT); at < end;) {
        unsigned order = order_at(at, end);

        frame_block_give(pa_make(at), order);
        at += PAGE_SIZE_BYTES << order;
    }
}

void frame_free_hv_run(void *va, uint64_t pages)
{
    for (uint64_t at = va_to_pa(va).addr, end = at + (pages << PAGE_SHIFT); at < end;) {
        unsigned order = order_at(at, end);

        disown_frames(pa_make(at), UINT64_C(1) << order);
        frame_block_give(pa_make(at), order);
        at += PAGE_SIZE_BYTES << order;
    }
}

uint64_t frame_total_pages(void)
{
    return total_pages;
}

uint64_t frame_free_pages(void)
{
    return atomic_load_explicit(&free_pages, memory_order_relaxed);
}

uint64_t frame_hv_pages(void)
{
    return atomic_load_explicit(&hv_pages, memory_order_relaxed);
}

uint64_t frame_max_mfn(void)
{
    uint64_t max = 0;

    for (unsigned i = 0; i < bank_count; i++) {
        max = banks[i].end_mfn - 1 > max ? banks[i].end_mfn - 1 : max;
    }
    return max;
}

bool frame_is_ram(pa_t pa)
{
    return frame_of(pa) != NULL;
}
