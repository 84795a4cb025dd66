/* SPDX-License-Identifier: MIT */
/*
 * Pinned pages: a hash table from gfn to count with linear probing, at most half
 * full. An entry is (gfn + 1) << 24 | count; 0 is free.
 *
 * A pinned page is marked at all times while logging is on: by the pin, and again
 * by every harvest right after it has taken the mark.
 */
#include "pins.h"

#include "lock.h"
#include "log.h"
#include "walk.h"

#define COUNT_BITS   24u
#define COUNT_MAX    ((UINT64_C(1) << COUNT_BITS) - 1)
#define PAGE_ENTRIES (PAGE_SIZE_BYTES / sizeof(uint64_t))

static uint64_t entries_in(unsigned order)
{
    return PAGE_ENTRIES << order;
}

/* Entries that one bit of occupied stands for. */
static uint64_t part_of(unsigned order)
{
    return entries_in(order) / 64;
}

static uint64_t entry_gfn(uint64_t entry)
{
    return (entry >> COUNT_BITS) - 1;
}

/* Neighbouring pages are pinned together: any odd multiplier spreads them well. */
static uint64_t home_of(uint64_t gfn, unsigned order)
{
    return (gfn * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (entries_in(order) - 1);
}

/* The entry of gfn, or the free one where it would go. */
static uint64_t *find_entry(uint64_t *entries, unsigned order, uint64_t gfn)
{
    uint64_t i = home_of(gfn, order);

    while (entries[i] != 0 && entry_gfn(entries[i]) != gfn) {
        i = (i + 1) & (entries_in(order) - 1);
    }
    return &entries[i];
}

static void note_occupied(struct dirty_pins *pins, const uint64_t *entry)
{
    uint64_t index = (uint64_t)(entry - pins->entries);

    pins->occupied |= UINT64_C(1) << (index / (PAGE_ENTRIES / 64) >> pins->order);
}

static int make_room(struct dirty_pins *pins, uint64_t used)
{
    unsigned order = pins->entries == NULL ? 0 : pins->order + 1;
    uint64_t *entries;

    if (pins->entries != NULL && 2 * (used + 1) <= entries_in(pins->order)) {
        return 0;
    }
    entries = port_pages_alloc(order);
    if (entries == NULL) {
        return -CORE_ENOMEM;
    }
    if (pins->entries != NULL) {
        for (uint64_t i = 0; i < entries_in(pins->order); i++) {
            if (pins->entries[i] != 0) {
                *find_entry(entries, order, entry_gfn(pins->entries[i])) = pins->entries[i];
            }
        }
        port_pages_free(pins->entries, pins->order);
    }
    pins->entries = entries;
    pins->order = order;
    pins->occupied = 0;
    for (uint64_t i = 0; i < entries_in(order); i++) {
        if (entries[i] != 0) {
            note_occupied(pins, &entries[i]);
        }
    }
    return 0;
}

static int add_pin(struct dirty_pins *pins, uint64_t gfn)
{
    uint64_t used = atomic_load_explicit(&pins->used, memory_order_relaxed); /* under the lock */
    uint64_t *entry;

    if (make_room(pins, used) != 0) {
        return -CORE_ENOMEM;
    }
    entry = find_entry(pins->entries, pins->order, gfn);
    if ((*entry & COUNT_MAX) == COUNT_MAX) {
        return -CORE_ENOMEM;
    }
    if (*entry == 0) {
        *entry = (gfn + 1) << COUNT_BITS;
        note_occupied(pins, entry);
        /* Relaxed: log_mark_pinned reads it after it took a mark that we set later. */
        atomic_store_explicit(&pins->used, used + 1, memory_order_relaxed);
    }
    ++*entry;
    return 0;
}

/* Frees an entry and moves up those behind it that probing could not reach any more. */
static void remove_entry(struct dirty_pins *pins, uint64_t hole)
{
    uint64_t mask = entries_in(pins->order) - 1;

    for (uint64_t i = (hole + 1) & mask; pins->entries[i] != 0; i = (i + 1) & mask) {
        uint64_t home = home_of(entry_gfn(pins->entries[i]), pins->order);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            pins->entries[hole] = pins->entries[i];
            hole = i;
        }
    }
    pins->entries[hole] = 0;
}

static void drop_pin(struct dirty_pins *pins, uint64_t gfn)
{
    uint64_t used = atomic_load_explicit(&pins->used, memory_order_relaxed); /* under the lock */
    uint64_t *entry;

    if (pins->entries == NULL) {
        return;
    }
    entry = find_entry(pins->entries, pins->order, gfn);
    if (*entry == 0 || (--*entry & COUNT_MAX) != 0) {
        return;
    }
    remove_entry(pins, (uint64_t)(entry - pins->entries));
    atomic_store_explicit(&pins->used, used - 1, memory_order_relaxed); /* as in add_pin */
    if (used == 1) {
        port_pages_free(pins->entries, pins->order);
        pins->entries = NULL;
        pins->occupied = 0;
    }
}

int dirty_log_pin(struct s2_vm *vm, ipa_t ipa)
{
    int error;

    if (ipa.addr >= s2_end(vm).addr) {
        return 0;
    }
    s2_spin_lock(&vm->pins.lock);
    error = add_pin(&vm->pins, ipa_gfn(ipa));
    s2_spin_unlock(&vm->pins.lock);
    if (error == 0) {
        /* After the pin: a harvest that takes this mark finds the pin and sets it again. */
        dirty_log_mark(vm, ipa, DIRTY_WRITER_FOREIGN);
    }
    return error;
}

void dirty_log_unpin(struct s2_vm *vm, ipa_t ipa)
{
    if (ipa.addr >= s2_end(vm).addr) {
        return;
    }
    s2_spin_lock(&vm->pins.lock);
    drop_pin(&vm->pins, ipa_gfn(ipa));
    s2_spin_unlock(&vm->pins.lock);
    /* After it: what was written up to now is reported once more, whoever took the last mark. */
    dirty_log_mark(vm, ipa, DIRTY_WRITER_FOREIGN);
}

/* Goes over all pins, by the parts of the table that may hold some. pins.lock is held. */
static void mark_all(struct s2_vm *vm, uint64_t first, uint64_t pages)
{
    const struct dirty_pins *pins = &vm->pins;
    uint64_t part = part_of(pins->order);

    for (uint64_t parts = pins->occupied; parts != 0; parts &= parts - 1) {
        const uint64_t *at = pins->entries + (unsigned)__builtin_ctzll(parts) * part;

        for (const uint64_t *end = at + part; at < end; at++) {
            if (*at != 0 && entry_gfn(*at) - first < pages) {
                log_mark_if_ram(vm, ipa_from_gfn(entry_gfn(*at)), DIRTY_WRITER_FOREIGN);
            }
        }
    }
}

void log_mark_pinned(struct s2_vm *vm, uint64_t first, uint64_t pages)
{
    struct dirty_pins *pins = &vm->pins;

    /*
     * Relaxed: orders nothing by itself. The pin that we must see was stored before its
     * mark, and log_take_word (acquire) has read that mark (release in log_set).
     */
    if (atomic_load_explicit(&pins->used, memory_order_relaxed) == 0) {
        return;
    }
    s2_spin_lock(&pins->lock);
    mark_all(vm, first, pages);
    s2_spin_unlock(&pins->lock);
}

/* Looking up one page costs as much as going over that many entries. */
#define LOOKUP_ENTRIES 4u

void log_mark_pinned_words(struct s2_vm *vm, const struct dirty_log_word *words, unsigned count,
                           uint64_t pages)
{
    struct dirty_pins *pins = &vm->pins;
    uint64_t entries;

    if (atomic_load_explicit(&pins->used, memory_order_relaxed) == 0) { /* as above */
        return;
    }
    s2_spin_lock(&pins->lock);
    entries = (unsigned)__builtin_popcountll(pins->occupied) * part_of(pins->order);
    if (pages * LOOKUP_ENTRIES > entries) {
        mark_all(vm, words[0].gfn, words[count - 1].gfn + 64 - words[0].gfn);
        count = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        for (uint64_t bits = words[i].bits; bits != 0; bits &= bits - 1) {
            uint64_t gfn = words[i].gfn + (unsigned)__builtin_ctzll(bits);

            if (*find_entry(pins->entries, pins->order, gfn) != 0) {
                log_mark_if_ram(vm, ipa_from_gfn(gfn), DIRTY_WRITER_FOREIGN);
            }
        }
    }
    s2_spin_unlock(&pins->lock);
}

void pins_free(struct s2_vm *vm)
{
    struct dirty_pins *pins = &vm->pins;

    if (pins->entries != NULL) {
        port_pages_free(pins->entries, pins->order);
        pins->entries = NULL;
        pins->occupied = 0;
    }
    atomic_store_explicit(&pins->used, 0, memory_order_relaxed); /* nobody else is there */
}
