/* SPDX-License-Identifier: MIT */
#include <hv/spinlock.h>

static inline void spin_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

bool spin_trylock(struct spinlock *lock)
{
    /* Acquire pairs with the release in spin_unlock. */
    return atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0;
}

void spin_lock(struct spinlock *lock)
{
    while (!spin_trylock(lock)) {
        /* Only look, so that the line is not fought over, until it seems worth a try. */
        while (atomic_load_explicit(&lock->held, memory_order_relaxed)) {
            spin_relax();
        }
    }
}

void spin_unlock(struct spinlock *lock)
{
    /* Release pairs with the acquire in spin_trylock. */
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

bool spin_is_locked(struct spinlock *lock)
{
    return atomic_load_explicit(&lock->held, memory_order_relaxed) != 0;
}
