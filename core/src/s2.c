/* SPDX-License-Identifier: MIT */
/* An address space as a whole: set up, torn down, looked at. */
#include <core/s2.h>

#include "find.h"
#include "lock.h"
#include "pins.h"
#include "pool.h"
#include "table.h"
#include "walk.h"

#define ROOT_TABLES_ORDER_MAX 4u /* 16 tables may be concatenated in place of one more level */

unsigned s2_ipa_bits_max(void)
{
    return port_s2_ipa_bits_max();
}

int s2_init(struct s2_vm *vm, const struct s2_config *config)
{
    /* What one table at level 1 resolves: 39 bits. */
    const unsigned level1_bits = s2_level_shift(S2_LEVEL_1G) + S2_INDEX_SHIFT;
    unsigned bits = config->ipa_bits;
    void *root;

    if (bits < 32 || bits > 48 || bits > port_s2_ipa_bits_max() || config->cpus > S2_CPUS_MAX) {
        return -CORE_EINVAL;
    }
    *vm = (struct s2_vm){.vmid = config->vmid, .ipa_bits = config->ipa_bits};
    vm->cpus = config->cpus != 0 ? config->cpus : S2_CPUS_MAX;
    if (bits > level1_bits + ROOT_TABLES_ORDER_MAX) {
        vm->root_level = 0;
    } else {
        vm->root_level = S2_LEVEL_1G;
        vm->root_order = (uint8_t)(bits > level1_bits ? bits - level1_bits : 0);
    }
    root = port_pages_alloc(vm->root_order);
    if (root == NULL) {
        return -CORE_ENOMEM;
    }
    vm->root = port_va_to_pa(root);
    if (s2_find_init(vm) != 0) {
        port_pages_free(root, vm->root_order);
        return -CORE_ENOMEM;
    }
    vm->control_register = port_s2_control(bits, vm->root_level);
    vm->root_register = port_s2_root(vm->root, config->vmid);
    atomic_init(&vm->tables, UINT64_C(1) << vm->root_order);
    return 0;
}

/* Frees the tables below table, which is not linked any more, in post-order without recursion. */
static void free_below(struct s2_vm *vm, s2_entry_t *root, uint64_t entries, unsigned level)
{
    s2_entry_t *tables[S2_LEVEL_PAGE + 1] = {NULL};
    uint64_t index[S2_LEVEL_PAGE + 1] = {0};
    unsigned top = level;

    tables[level] = root;
    for (;;) {
        if (index[level] == (level == top ? entries : S2_ENTRIES)) {
            if (level == top) {
                return;
            }
            s2_table_free(vm, tables[level]);
            level--;
            continue;
        }
        uint64_t pte = s2_entry_load(&tables[level][index[level]++]);

        if (level < S2_LEVEL_PAGE && s2_pte_is_table(pte, level)) {
            tables[level + 1] = s2_table_of(pte, level);
            index[level + 1] = 0;
            level++;
        }
    }
}

void s2_table_free_all(struct s2_vm *vm, s2_entry_t *table, unsigned level)
{
    if (level < S2_LEVEL_PAGE) {
        free_below(vm, table, S2_ENTRIES, level);
    }
    s2_table_free(vm, table);
}

void s2_destroy(struct s2_vm *vm)
{
    s2_entry_t *root = port_pa_to_va(vm->root);

    /* Before the tables go, and for whoever gets the VMID next. */
    port_tlb_flush_vm(vm);
    s2_find_destroy(vm);
    free_below(vm, root, s2_end(vm).addr >> s2_level_shift(vm->root_level), vm->root_level);
    port_pages_free(root, vm->root_order);
    s2_pool_release(vm);
    log_destroy(vm);
}

uint64_t s2_root_register(const struct s2_vm *vm)
{
    return vm->root_register;
}

uint64_t s2_control_register(const struct s2_vm *vm)
{
    return vm->control_register;
}

static struct s2_leaf leaf_at(const struct s2_pos *pos, ipa_t ipa)
{
    if (!s2_pos_is_leaf(pos)) {
        return (struct s2_leaf){.type = S2_NONE};
    }
    return (struct s2_leaf){
        .pa = s2_pos_pa(pos, ipa),
        .bytes = s2_level_bytes(pos->level),
        .type = s2_pte_type(pos->old, pos->level),
        .writable = s2_pte_is_writable(pos->old, pos->level),
    };
}

struct s2_leaf s2_lookup(struct s2_vm *vm, ipa_t ipa)
{
    struct s2_leaf leaf = {.type = S2_NONE};

    if (ipa.addr < s2_end(vm).addr) {
        struct s2_cpu_line *line = s2_read_lock(vm);
        struct s2_pos pos = s2_find_settled(vm, ipa);

        leaf = leaf_at(&pos, ipa);
        s2_read_unlock(line);
    }
    return leaf;
}

struct s2_leaf s2_lookup_hold(struct s2_vm *vm, ipa_t ipa, bool (*hold)(pa_t pa))
{
    struct s2_leaf leaf = {.type = S2_NONE};

    if (ipa.addr < s2_end(vm).addr) {
        struct s2_cpu_line *line = s2_read_lock(vm);
        struct s2_pos pos = s2_find_settled(vm, ipa);

        leaf = leaf_at(&pos, ipa);
        if (leaf.type != S2_NONE && leaf.type != S2_DEVICE && !hold(leaf.pa)) {
            leaf.type = S2_NONE;
        }
        s2_read_unlock(line);
    }
    return leaf;
}

struct s2_leaf s2_next(struct s2_vm *vm, ipa_t ipa, ipa_t end, ipa_t *ret_ipa)
{
    struct s2_leaf leaf = {.type = S2_NONE};
    uint64_t limit = end.addr < s2_end(vm).addr ? end.addr : s2_end(vm).addr;
    struct s2_cpu_line *line = s2_read_lock(vm);

    while (ipa.addr < limit) {
        struct s2_pos pos = s2_find_settled(vm, ipa);

        leaf = leaf_at(&pos, ipa);
        if (leaf.type != S2_NONE) {
            *ret_ipa = ipa;
            break;
        }
        ipa = s2_pos_end(&pos);
    }
    s2_read_unlock(line);
    return leaf;
}

static void count_leaves(struct s2_vm *vm, struct s2_stats *stats)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    struct s2_pos pos = s2_find(vm, ipa_make(0));

    for (;;) {
        /* A block in transit is counted at neither size: the numbers are a snapshot anyway. */
        if (s2_pos_is_leaf(&pos)) {
            stats->leaves[pos.level]++;
        }
        if (s2_pos_end(&pos).addr == s2_end(vm).addr) {
            break;
        }
        s2_step(vm, &pos);
    }
    s2_read_unlock(line);
}

uint64_t s2_table_count(const struct s2_vm *vm)
{
    return atomic_load_explicit(&vm->tables, memory_order_relaxed); /* a snapshot */
}

void s2_stats_count_walk(struct s2_vm *vm)
{
    s2_count(&vm->lock.cpu[port_cpu_id()].faults_walk);
}

static uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed); /* a snapshot orders nothing */
}

static void add_line(struct s2_stats *stats, const struct s2_cpu_line *line)
{
    stats->faults_first_write +=
        counter(&line->faults_reopened) + counter(&line->bits_set[DIRTY_WRITER_VCPU]);
    stats->faults_spurious += counter(&line->faults_spurious);
    stats->faults_split += counter(&line->faults_split);
    stats->faults_walk += counter(&line->faults_walk);
    stats->harvested += counter(&line->harvested);
    stats->returned += counter(&line->returned);
    for (unsigned i = 0; i < DIRTY_WRITERS; i++) {
        stats->bits_set[i] += counter(&line->bits_set[i]);
    }
}

void s2_stats_get(struct s2_vm *vm, struct s2_stats *ret_stats)
{
    *ret_stats = (struct s2_stats){
        .tables = counter(&vm->tables),
        .tables_prepaid = s2_pool_pages(vm),
        .splits = counter(&vm->splits),
        .merges = counter(&vm->merges),
        .invalidations = counter(&vm->invalidations),
    };
    for (unsigned cpu = 0; cpu < vm->cpus; cpu++) {
        add_line(ret_stats, &vm->lock.cpu[cpu]);
    }
    count_leaves(vm, ret_stats);
}

void s2_stats_cpu(const struct s2_vm *vm, unsigned cpu, uint64_t *ret_faults,
                  uint64_t *ret_first_writes)
{
    const struct s2_cpu_line *line = &vm->lock.cpu[cpu];
    uint64_t first_writes = counter(&line->bits_set[DIRTY_WRITER_VCPU]);

    *ret_first_writes = first_writes;
    *ret_faults = first_writes + counter(&line->faults_reopened) + counter(&line->faults_spurious) +
                  counter(&line->faults_split);
}

void s2_wait_writer(const struct s2_vm *vm)
{
    /* Orders nothing: whoever wants the lock takes it. */
    while (atomic_load_explicit(&vm->lock.writing, memory_order_relaxed)) {
        port_cpu_relax();
    }
}

void s2_drain(struct s2_vm *vm)
{
    /* Readers that began earlier have left when a writer gets in. */
    s2_write_lock(vm);
    s2_write_unlock(vm);
}
