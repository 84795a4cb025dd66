/* SPDX-License-Identifier: MIT */
#include <hv/spinlock.h>

static inline void spin_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

void spin_lock(struct spinlock *lock)
{
    uint32_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);

    /* Acquire pairs with the release in spin_unlock. */
    while (atomic_load_explicit(&lock->owner, memory_order_acquire) != ticket) {
        spin_relax();
    }
}

bool spin_trylock(struct spinlock *lock)
{
    uint32_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

    /* Succeeds only if nobody holds or waits; acquire pairs with the release in spin_unlock. */
    return atomic_compare_exchange_strong_explicit(&lock->next, &owner, owner + 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

void spin_unlock(struct spinlock *lock)
{
    uint32_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

    /* Release pairs with the acquire of the next ticket in spin_lock. */
    atomic_store_explicit(&lock->owner, owner + 1, memory_order_release);
}

bool spin_is_locked(struct spinlock *lock)
{
    return atomic_load_explicit(&lock->owner, memory_order_relaxed) !=
           atomic_load_explicit(&lock->next, memory_order_relaxed);
}
