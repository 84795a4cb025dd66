/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "lock.h"

/* Pages that are linked from first to last. */
static void pool_push_list(struct s2_pool *pool, void *first, void *last, uint64_t pages)
{
    s2_spin_lock(&pool->lock);
    *(void **)last = pool->first;
    pool->first = first;
    pool->pages += pages;
    s2_spin_unlock(&pool->lock);
}

static void *pool_pop(struct s2_pool *pool)
{
    void *page;

    s2_spin_lock(&pool->lock);
    page = pool->first;
    if (page != NULL) {
        pool->first = *(void **)page;
        pool->pages--;
    }
    s2_spin_unlock(&pool->lock);
    return page;
}

void *s2_table_alloc(struct s2_vm *vm)
{
    void *table = port_pages_alloc(0);

    if (table != NULL) {
        s2_count_shared(&vm->tables, 1);
    }
    return table;
}

void s2_table_free(struct s2_vm *vm, void *table)
{
    s2_count_shared(&vm->tables, (uint64_t)-1);
    port_pages_free(table, 0);
}

void *s2_pool_take(struct s2_vm *vm)
{
    void *table = pool_pop(&vm->pool);

    if (table != NULL) {
        s2_count_shared(&vm->tables, 1);
    }
    return table;
}

void s2_pool_put(struct s2_vm *vm, void *table)
{
    s2_count_shared(&vm->tables, (uint64_t)-1);
    pool_push_list(&vm->pool, table, table, 1);
}

uint64_t s2_pool_grow(struct s2_vm *vm, uint64_t pages)
{
    uint64_t added = 0, count;

    while (added < pages) {
        char *run = port_run_alloc(pages - added, &count);

        if (run == NULL) {
            break;
        }
        for (uint64_t i = 0; i + 1 < count; i++) {
            *(void **)(void *)(run + i * PAGE_SIZE_BYTES) = run + (i + 1) * PAGE_SIZE_BYTES;
        }
        pool_push_list(&vm->pool, run, run + (count - 1) * PAGE_SIZE_BYTES, count);
        added += count;
    }
    return added;
}

/* Takes a run of at most pages from the front: those that follow each other in memory. */
static char *pool_pop_run(struct s2_pool *pool, uint64_t pages, uint64_t *ret_count)
{
    char *first, *last;
    uint64_t count = 0;

    s2_spin_lock(&pool->lock);
    first = pool->first;
    if (first != NULL) {
        last = first;
        for (count = 1; count < pages && *(void **)(void *)last == last + PAGE_SIZE_BYTES;
             count++) {
            last += PAGE_SIZE_BYTES;
        }
        pool->first = *(void **)(void *)last;
        pool->pages -= count;
    }
    s2_spin_unlock(&pool->lock);
    *ret_count = count;
    return first;
}

uint64_t s2_pool_shrink(struct s2_vm *vm, uint64_t pages)
{
    uint64_t removed = 0, count;

    while (removed < pages) {
        char *run = pool_pop_run(&vm->pool, pages - removed, &count);

        if (run == NULL) {
            break;
        }
        port_run_free(run, count);
        removed += count;
    }
    return removed;
}

uint64_t s2_pool_pages(struct s2_vm *vm)
{
    uint64_t pages;

    s2_spin_lock(&vm->pool.lock);
    pages = vm->pool.pages;
    s2_spin_unlock(&vm->pool.lock);
    return pages;
}

int s2_pool_reserve(struct s2_vm *vm, uint64_t pages)
{
    uint64_t added = s2_pool_grow(vm, pages);

    if (added < pages) {
        s2_pool_shrink(vm, added);
        return -CORE_ENOMEM;
    }
    return 0;
}

void s2_pool_release(struct s2_vm *vm)
{
    while (s2_pool_shrink(vm, UINT64_MAX) != 0) {
    }
}
