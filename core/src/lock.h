/* SPDX-License-Identifier: MIT */
/* The reader-writer lock of a VM, and a plain spin lock for its pools. */
#ifndef CORE_SRC_LOCK_H
#define CORE_SRC_LOCK_H

#include <core/port.h>

/* Returns this CPU's line, to be handed to s2_read_unlock. Does not nest. */
static inline struct s2_cpu_line *s2_read_lock(struct s2_vm *vm)
{
    struct s2_cpu_line *line = &vm->lock.cpu[port_cpu_id()];

    for (;;) {
        /*
         * Store, then load, both sequentially consistent: pairs with store and
         * load in s2_write_lock. At least one of the two sees the other.
         */
        atomic_store_explicit(&line->reading, 1, memory_order_seq_cst);
        if (__builtin_expect(!atomic_load_explicit(&vm->lock.writing, memory_order_seq_cst), 1)) {
            return line;
        }
        atomic_store_explicit(&line->reading, 0, memory_order_release); /* as s2_read_unlock */
        while (atomic_load_explicit(&vm->lock.writing, memory_order_relaxed)) {
            port_cpu_relax();
        }
    }
}

/* The same without waiting: NULL while somebody writes. */
static inline struct s2_cpu_line *s2_read_trylock(struct s2_vm *vm)
{
    struct s2_cpu_line *line = &vm->lock.cpu[port_cpu_id()];

    /* As in s2_read_lock. */
    atomic_store_explicit(&line->reading, 1, memory_order_seq_cst);
    if (__builtin_expect(!atomic_load_explicit(&vm->lock.writing, memory_order_seq_cst), 1)) {
        return line;
    }
    atomic_store_explicit(&line->reading, 0, memory_order_release); /* as s2_read_unlock */
    return NULL;
}

static inline void s2_read_unlock(struct s2_cpu_line *line)
{
    /* Pairs with the load of reading in s2_write_lock: the writer sees all we did. */
    atomic_store_explicit(&line->reading, 0, memory_order_release);
}

static inline void s2_write_lock(struct s2_vm *vm)
{
    struct s2_rwlock *lock = &vm->lock;
    uint32_t ticket = atomic_fetch_add_explicit(&lock->ticket_next, 1, memory_order_relaxed);

    /* Pairs with the release of ticket_owner in s2_write_unlock. */
    while (atomic_load_explicit(&lock->ticket_owner, memory_order_acquire) != ticket) {
        port_cpu_relax();
    }
    /* Store, then loads: pairs with s2_read_lock. */
    atomic_store_explicit(&lock->writing, 1, memory_order_seq_cst);
    for (unsigned cpu = 0; cpu < vm->cpus; cpu++) {
        while (atomic_load_explicit(&lock->cpu[cpu].reading, memory_order_seq_cst)) {
            port_cpu_relax();
        }
    }
}

static inline void s2_write_unlock(struct s2_vm *vm)
{
    struct s2_rwlock *lock = &vm->lock;
    uint32_t ticket = atomic_load_explicit(&lock->ticket_owner, memory_order_relaxed);

    /* Pairs with the load of writing in s2_read_lock: the reader sees all we did. */
    atomic_store_explicit(&lock->writing, 0, memory_order_release);
    /* Pairs with the load of ticket_owner in s2_write_lock. */
    atomic_store_explicit(&lock->ticket_owner, ticket + 1, memory_order_release);
}

static inline void s2_spin_lock(struct s2_spinlock *lock)
{
    /* Pairs with the release in s2_spin_unlock. */
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed)) {
            port_cpu_relax();
        }
    }
}

static inline void s2_spin_unlock(struct s2_spinlock *lock)
{
    /* Pairs with the acquire in s2_spin_lock. */
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* A counter that one CPU alone writes (s2_cpu_line) and anybody may read: no read-modify-write. */
static inline void s2_count_by(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

static inline void s2_count(_Atomic uint64_t *counter)
{
    s2_count_by(counter, 1);
}

/* A counter that several CPUs write; orders nothing. */
static inline void s2_count_shared(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
