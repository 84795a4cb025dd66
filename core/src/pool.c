/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "lock.h"

/* Free pages that follow each other in memory; it lies in the first of them. */
struct s2_pool_run {
    struct s2_pool_run *next;
    uint64_t pages;
};

static void pool_push(struct s2_pool *pool, void *pages, uint64_t count)
{
    struct s2_pool_run *run = pages;

    s2_spin_lock(&pool->lock);
    run->next = pool->first;
    run->pages = count;
    pool->first = run;
    pool->pages += count;
    s2_spin_unlock(&pool->lock);
}

/* At most that many pages from the end of the first run; NULL: there are none. */
static void *pool_pop(struct s2_pool *pool, uint64_t most, uint64_t *ret_count)
{
    struct s2_pool_run *run;
    void *pages = NULL;
    uint64_t count;

    s2_spin_lock(&pool->lock);
    run = pool->first;
    if (run != NULL) {
        count = run->pages < most ? run->pages : most;
        run->pages -= count;
        pages = (char *)run + run->pages * PAGE_SIZE_BYTES;
        if (run->pages == 0) {
            pool->first = run->next;
        }
        pool->pages -= count;
        *ret_count = count;
    }
    s2_spin_unlock(&pool->lock);
    return pages;
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
    uint64_t count;
    void *table = pool_pop(&vm->pool, 1, &count);

    if (table != NULL) {
        s2_count_shared(&vm->tables, 1);
    }
    return table;
}

void s2_pool_put(struct s2_vm *vm, void *table)
{
    s2_count_shared(&vm->tables, (uint64_t)-1);
    pool_push(&vm->pool, table, 1);
}

uint64_t s2_pool_grow(struct s2_vm *vm, uint64_t pages)
{
    uint64_t added = 0, count;

    while (added < pages) {
        void *run = port_run_alloc(pages - added, &count);

        if (run == NULL) {
            break;
        }
        pool_push(&vm->pool, run, count);
        added += count;
    }
    return added;
}

uint64_t s2_pool_shrink(struct s2_vm *vm, uint64_t pages)
{
    uint64_t removed = 0, count;

    while (removed < pages) {
        void *run = pool_pop(&vm->pool, pages - removed, &count);

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
