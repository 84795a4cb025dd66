/* SPDX-License-Identifier: MIT */
/*
 * Break-before-make, as an automaton per descriptor: valid, then invalid but still cached
 * ("unclean"), then clean after an invalidation that covers it, then valid again. Only changes of
 * permission may go from valid to valid. And: tracked are pages of logged RAM, and nothing else.
 */
#include "machine.h"

#include <port/s2_pte.h>
#include <pthread.h>

#define UNCLEAN_MAX 4096u

struct unclean {
    const struct s2_vm *vm;
    uint64_t ipa;
    uint64_t bytes;
    uint64_t leaf_bytes; /* smallest leaf that may be cached */
    uint64_t table;      /* physical address of the table that was unlinked, or 0 */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct unclean unclean[UNCLEAN_MAX];
static unsigned unclean_count;
static unsigned locked_count;
static bool enabled = true;

void fake_checker_reset(void)
{
    unclean_count = 0;
    locked_count = 0;
    enabled = true;
}

void fake_check_entries(bool on)
{
    enabled = on;
}

unsigned fake_entries_locked(void)
{
    return locked_count;
}

static uint64_t level_bytes(unsigned level)
{
    return PAGE_SIZE_BYTES << 9 * (3 - level);
}

static bool is_valid(uint64_t pte, unsigned level)
{
    return s2_pte_is_table(pte, level) || s2_pte_is_leaf(pte, level);
}

static bool is_ram(uint64_t pte, unsigned level)
{
    enum s2_type type = s2_pte_type(pte, level);

    return type == S2_RAM_RW || type == S2_RAM_RO;
}

/* Permissions and software bits may change under a live translation, and nothing else. */
static bool is_permission_change(uint64_t old, uint64_t pte, unsigned level)
{
    return s2_pte_is_leaf(old, level) && s2_pte_is_leaf(pte, level) &&
           s2_pte_pa(old, level).addr == s2_pte_pa(pte, level).addr &&
           (s2_pte_type(old, level) == s2_pte_type(pte, level) ||
            (is_ram(old, level) && is_ram(pte, level)));
}

static void became_invalid(const struct s2_vm *vm, uint64_t ipa, unsigned level, uint64_t old)
{
    bool table = s2_pte_is_table(old, level);

    if (unclean_count == UNCLEAN_MAX) {
        fake_die("too many descriptors without an invalidation");
    }
    unclean[unclean_count++] = (struct unclean){
        .vm = vm,
        .ipa = ipa,
        .bytes = level_bytes(level),
        .leaf_bytes = table ? level_bytes(level + 1) : level_bytes(level),
        .table = table ? s2_pte_pa(old, level).addr : 0,
    };
}

static void became_valid(const struct s2_vm *vm, uint64_t ipa, unsigned level)
{
    for (unsigned i = 0; i < unclean_count; i++) {
        if (unclean[i].vm == vm && unclean[i].ipa < ipa + level_bytes(level) &&
            ipa < unclean[i].ipa + unclean[i].bytes) {
            fake_die("descriptor for %#llx made without an invalidation after its break",
                     (unsigned long long)ipa);
        }
    }
}

static void check_leaf(const struct s2_vm *vm, uint64_t ipa, unsigned level, uint64_t pte)
{
    if (!s2_pte_is_leaf(pte, level) || !fake_is_tracked(pte, level)) {
        return;
    }
    if (level != 3) {
        fake_die("block at %#llx is tracked", (unsigned long long)ipa);
    }
    if (s2_pte_type(pte, level) != S2_RAM_RW) {
        fake_die("page at %#llx is tracked and no writable RAM", (unsigned long long)ipa);
    }
    if (vm->log.state != DIRTY_LOG_PROTECT && vm->log.state != DIRTY_LOG_ON) {
        fake_die("page at %#llx is tracked while nothing is logged", (unsigned long long)ipa);
    }
}

/* What a split has filled off-line. */
static void check_table(const struct s2_vm *vm, uint64_t ipa, unsigned level, uint64_t pte)
{
    const _Atomic uint64_t *table = port_pa_to_va(s2_pte_pa(pte, level));

    for (unsigned i = 0; i < 512; i++) {
        check_leaf(vm, ipa + i * level_bytes(level + 1), level + 1, table[i]);
    }
}

static void check_change(const struct s2_vm *vm, uint64_t ipa, unsigned level, uint64_t old,
                         uint64_t pte)
{
    bool was_valid = is_valid(old, level);
    bool now_valid = is_valid(pte, level);

    locked_count += pte == s2_pte_locked();
    locked_count -= old == s2_pte_locked();
    if (was_valid && now_valid && !is_permission_change(old, pte, level)) {
        fake_die("descriptor for %#llx at level %u changed without a break",
                 (unsigned long long)ipa, level);
    }
    if (was_valid && !now_valid) {
        became_invalid(vm, ipa, level, old);
    }
    if (!was_valid && now_valid) {
        became_valid(vm, ipa, level);
    }
    check_leaf(vm, ipa, level, pte);
    if (s2_pte_is_table(pte, level)) {
        check_table(vm, ipa, level, pte);
    }
}

void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level, uint64_t old,
                        uint64_t pte)
{
    void (*hook)(void) = fake_hook;

    if (enabled) {
        if (hook != NULL) {
            fake_hook = NULL; /* looking at descriptors is no point in the program under test */
        }
        pthread_mutex_lock(&mutex);
        check_change(vm, ipa.addr, level, old, pte);
        pthread_mutex_unlock(&mutex);
        if (s2_pte_is_table(pte, level)) {
            fake_window_linked(vm, ipa, s2_pte_pa(pte, level));
        }
        if (hook != NULL) {
            fake_hook = hook;
        }
    }
    fake_point();
}

void fake_checker_flushed(const struct s2_vm *vm, uint64_t ipa, uint64_t bytes, uint64_t leaf_bytes)
{
    if (!enabled) {
        return;
    }
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < unclean_count;) {
        const struct unclean *u = &unclean[i];

        if (u->vm == vm && u->ipa >= ipa && u->ipa + u->bytes <= ipa + bytes &&
            leaf_bytes <= u->leaf_bytes) {
            unclean[i] = unclean[--unclean_count];
        } else {
            i++;
        }
    }
    pthread_mutex_unlock(&mutex);
}

void fake_checker_page_freed(pa_t pa)
{
    if (!enabled) {
        return;
    }
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < unclean_count; i++) {
        if (unclean[i].table == pa.addr) {
            fake_die("table freed while walks may still use it");
        }
    }
    pthread_mutex_unlock(&mutex);
}
