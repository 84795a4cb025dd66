/* SPDX-License-Identifier: MIT */
/*
 * Spinlock. EL2 runs with interrupts masked throughout, so there is one kind of lock and no
 * interrupt variant. The lock order is in docs/design/locking.md.
 *
 * Not fair, on purpose: where CPUs are threads of an emulator, a queue hands the lock to a CPU that
 * does not run at the moment, and everybody behind it waits for the host's scheduler. Critical
 * sections are short and no CPU holds a lock most of the time.
 */
#ifndef HV_SPINLOCK_H
#define HV_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spinlock {
    _Atomic uint32_t held;
};

#define SPINLOCK_INIT                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

void spin_lock(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
bool spin_is_locked(struct spinlock *lock);

#endif
