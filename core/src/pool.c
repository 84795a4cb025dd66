/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "lock.h"

static void pool_push(struct s2_pool *pool, void *page)
{
    s2_spin_lock(&pool->lock);
    *(void **)page = pool->first;
    pool->first = page;
    pool->pages++;
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
    pool_push(&vm->pool, table);
}

uint64_t s2_pool_grow(struct s2_vm *vm, uint64_t pages)
{
    uint64_t added = 0;

    while (added < pages) {
        void *page = port_pages_alloc(0);

        if (page == NULL) {
            break;
        }
        pool_push(&vm->pool, page);
        added++;
    }
    return added;
}

uint64_t s2_pool_shrink(struct s2_vm *vm, uint64_t pages)
{
    uint64_t removed = 0;

    while (removed < pages) {
        void *page = pool_pop(&vm->pool);

        if (page == NULL) {
            break;
        }
        port_pages_free(page, 0);
        removed++;
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
