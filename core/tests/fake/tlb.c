/* SPDX-License-Identifier: MIT */
/*
 * The TLBs, and the accesses of guests. A TLB keeps an entry until it is invalidated or, now and
 * then, until another takes its place; it knows single pages, so an invalidation that names too
 * little leaves the rest behind. A store through a closed entry of a tracked page makes the CPU
 * open the page's descriptor, atomically, without a walk from the root (a CPU may cache tables);
 * from then on it stores through the open entry and does not look at the descriptor again. A CPU
 * holds its TLB's mutex from lookup to store, as hardware finishes the stores of an old translation
 * before an invalidation is complete.
 */
#include "machine.h"

#include <core/s2.h>
#include <port/s2_pte.h>
#include <pthread.h>
#include <string.h>

#define TLB_ENTRIES 512u
#define RETRIES_MAX 64u

struct tlb_entry {
    const struct s2_vm *vm; /* NULL: free */
    uint64_t gfn;
    pa_t pa;
    bool writable;
    _Atomic uint64_t *descriptor; /* of a tracked page that is closed, else NULL */
};

struct tlb {
    pthread_mutex_t mutex;
    struct tlb_entry entries[TLB_ENTRIES];
};

static struct tlb tlbs[FAKE_CPUS] = {
    [0 ... FAKE_CPUS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER},
};

void fake_tlb_reset(void)
{
    for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
        memset(tlbs[cpu].entries, 0, sizeof(tlbs[cpu].entries));
    }
}

static struct tlb_entry *slot_of(struct tlb *tlb, uint64_t gfn)
{
    return &tlb->entries[(gfn ^ gfn >> 9) % TLB_ENTRIES];
}

/* Puts the leaf that a descriptor holds into a TLB entry; false: it holds none. */
static bool load_leaf(_Atomic uint64_t *descriptor, unsigned level, ipa_t ipa,
                      struct tlb_entry *ret_entry)
{
    uint64_t pte = atomic_load_explicit(descriptor, memory_order_acquire);
    uint64_t bytes = PAGE_SIZE_BYTES << 9 * (3 - level);

    if (!s2_pte_is_leaf(pte, level)) {
        return false;
    }
    ret_entry->gfn = ipa_gfn(ipa);
    ret_entry->pa = pa_add(s2_pte_pa(pte, level), ipa.addr & (bytes - 1) & ~PAGE_MASK);
    ret_entry->writable = s2_pte_is_writable(pte, level);
    ret_entry->descriptor =
        level == 3 && port_has_hardware_dirty() && s2_pte_is_tracked(pte) && !ret_entry->writable
            ? descriptor
            : NULL;
    return true;
}

/* What the hardware's walk finds; false: a translation fault. */
static bool walk(const struct s2_vm *vm, ipa_t ipa, struct tlb_entry *ret_entry)
{
    unsigned level = vm->root_level;
    _Atomic uint64_t *table = port_pa_to_va(vm->root);
    uint64_t index = ipa.addr >> (12 + 9 * (3 - level));

    while (!load_leaf(&table[index], level, ipa, ret_entry)) {
        uint64_t pte = atomic_load_explicit(&table[index], memory_order_acquire);

        if (!s2_pte_is_table(pte, level)) {
            return false;
        }
        level++;
        table = port_pa_to_va(s2_pte_pa(pte, level - 1));
        index = ipa.addr >> (12 + 9 * (3 - level)) & 511;
    }
    ret_entry->vm = vm;
    return true;
}

/* The CPU notes its first write in the descriptor. False: that is not what it was any more. */
static bool note_write(struct tlb_entry *entry)
{
    uint64_t pte = atomic_load_explicit(entry->descriptor, memory_order_relaxed);

    if (!s2_pte_is_leaf(pte, 3) || !s2_pte_is_tracked(pte) ||
        s2_pte_pa(pte, 3).addr != entry->pa.addr ||
        !atomic_compare_exchange_strong(entry->descriptor, &pte, s2_pte_opened(pte, 3))) {
        entry->vm = NULL;
        return false;
    }
    entry->writable = true;
    entry->descriptor = NULL;
    return true;
}

/* What a CPU does between lookup and store; nobody else acts in between. */
static bool access_locked(struct s2_vm *vm, ipa_t ipa, bool write, uint64_t *value)
{
    struct tlb_entry *entry = slot_of(&tlbs[fake_cpu], ipa_gfn(ipa));
    bool ok = true;

    do {
        if (entry->vm != vm || entry->gfn != ipa_gfn(ipa)) {
            ok = walk(vm, ipa, entry);
        }
    } while (ok && write && entry->descriptor != NULL && !note_write(entry));
    if (ok && write) {
        ok = entry->writable;
    }
    if (ok) {
        _Atomic uint64_t *word = fake_word(entry->pa);

        if (write) {
            atomic_store_explicit(word, *value, memory_order_relaxed);
        } else {
            *value = atomic_load_explicit(word, memory_order_relaxed);
        }
    }
    return ok;
}

/* One attempt of the CPU; false: a stage-2 fault. */
static bool try_access(struct s2_vm *vm, ipa_t ipa, bool write, uint64_t *value)
{
    pthread_mutex_t *mutex = &tlbs[fake_cpu].mutex;
    void (*hook)(void) = fake_hook;
    bool ok;

    if (hook != NULL) {
        fake_hook = NULL;
    }
    pthread_mutex_lock(mutex);
    ok = access_locked(vm, ipa, write, value);
    pthread_mutex_unlock(mutex);
    if (hook != NULL) {
        fake_hook = hook;
    }
    fake_point();
    return ok;
}

bool fake_store_without_fault(struct s2_vm *vm, ipa_t ipa, uint64_t value)
{
    return try_access(vm, ipa, true, &value);
}

enum fake_access fake_store(struct s2_vm *vm, ipa_t ipa, uint64_t value)
{
    enum s2_fault fault;

    for (unsigned i = 0; i < RETRIES_MAX; i++) {
        if (try_access(vm, ipa, true, &value)) {
            return FAKE_DONE;
        }
        fault = s2_fault_write(vm, ipa);
        fake_window_settled();
        switch (fault) {
        case S2_FAULT_RETRY:
            port_cpu_relax();
            break;
        case S2_FAULT_READONLY:
            return FAKE_READONLY;
        case S2_FAULT_UNMAPPED:
            return FAKE_UNMAPPED;
        case S2_FAULT_FOREIGN:
            return FAKE_FOREIGN;
        }
    }
    return FAKE_GAVE_UP;
}

enum fake_access fake_load(struct s2_vm *vm, ipa_t ipa, uint64_t *ret_value)
{
    for (unsigned i = 0; i < RETRIES_MAX; i++) {
        if (try_access(vm, ipa, false, ret_value)) {
            return FAKE_DONE;
        }
        if (s2_lookup(vm, ipa).type == S2_NONE) {
            return FAKE_UNMAPPED;
        }
    }
    return FAKE_GAVE_UP;
}

static void flush_cpu(struct tlb *tlb, const struct s2_vm *vm, uint64_t ipa, uint64_t bytes)
{
    pthread_mutex_lock(&tlb->mutex);
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        struct tlb_entry *entry = &tlb->entries[i];

        if (entry->vm == vm && (entry->gfn << PAGE_SHIFT) - ipa < bytes) {
            entry->vm = NULL;
        }
    }
    pthread_mutex_unlock(&tlb->mutex);
}

static void flush_all_cpus(const struct s2_vm *vm, uint64_t ipa, uint64_t bytes,
                           uint64_t leaf_bytes)
{
    for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
        flush_cpu(&tlbs[cpu], vm, ipa, bytes);
    }
    fake_checker_flushed(vm, ipa, bytes, leaf_bytes);
}

void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count)
{
    fake_point();
    for (unsigned i = 0; i < count; i++) {
        if (ranges[i].bytes == 0 || ranges[i].bytes % ranges[i].leaf_bytes != 0) {
            fake_die("malformed range to invalidate");
        }
        flush_all_cpus(vm, ranges[i].ipa.addr, ranges[i].bytes, ranges[i].leaf_bytes);
    }
    fake_point();
}

void port_tlb_flush_vm(const struct s2_vm *vm)
{
    fake_point();
    flush_all_cpus(vm, 0, UINT64_C(1) << 48, PAGE_SIZE_BYTES);
    fake_point();
}

void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa)
{
    fake_point();
    flush_cpu(&tlbs[fake_cpu], vm, ipa.addr & ~PAGE_MASK, PAGE_SIZE_BYTES);
}

static uint64_t count_tracked(_Atomic uint64_t *table, uint64_t entries, unsigned level)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < entries; i++) {
        if (s2_pte_is_table(table[i], level)) {
            count += count_tracked(port_pa_to_va(s2_pte_pa(table[i], level)), 512, level + 1);
        } else if (s2_pte_is_leaf(table[i], level)) {
            count += fake_is_tracked(table[i], level);
        }
    }
    return count;
}

uint64_t fake_tracked_pages(struct s2_vm *vm)
{
    return count_tracked(port_pa_to_va(vm->root),
                         UINT64_C(1) << (vm->ipa_bits - 12 - 9 * (3 - vm->root_level)),
                         vm->root_level);
}

void fake_check_tlbs(struct s2_vm *vm)
{
    void (*hook)(void) = fake_hook;

    if (hook != NULL) {
        fake_hook = NULL; /* nothing moves while we look */
    }
    for (unsigned i = 0; i < FAKE_CPUS * TLB_ENTRIES; i++) {
        const struct tlb_entry *cached = &tlbs[i / TLB_ENTRIES].entries[i % TLB_ENTRIES];
        struct tlb_entry now;

        if (cached->vm != vm) {
            continue;
        }
        if (!walk(vm, ipa_from_gfn(cached->gfn), &now) || now.pa.addr != cached->pa.addr ||
            (cached->writable && !now.writable)) {
            fake_die("CPU %u still holds an old translation of gfn %#llx", i / TLB_ENTRIES,
                     (unsigned long long)cached->gfn);
        }
    }
    if (hook != NULL) {
        fake_hook = hook;
    }
}
