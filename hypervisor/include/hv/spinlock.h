/* SPDX-License-Identifier: MIT */
/*
 * Ticket spinlock. EL2 runs with interrupts masked throughout, so there is one kind of lock and no
 * interrupt variant. The lock order is in docs/design/locking.md.
 */
#ifndef HV_SPINLOCK_H
#define HV_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t owner;
};

#define SPINLOCK_INIT                                                                              \
    {                                                                                              \
        0, 0                                                                                       \
    }

void spin_lock(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
bool spin_is_locked(struct spinlock *lock);

#endif
