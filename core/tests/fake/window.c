/* SPDX-License-Identifier: MIT */
/*
 * Windows on leaf tables (find_linear). Each CPU keeps what it has seen through a window until it
 * is told to forget: leaf tables, and on the way to them tables of level 2. They are known by VMID,
 * as the machine knows them by address. A table that is freed while a CPU could still see it, or a
 * VMID that is used again while something of its window is left, ends the program. So does a leaf
 * where the window expects a table of descriptors.
 */
#include "machine.h"

#include <core/s2_vm.h>
#include <port/s2_pte.h>
#include <port/window.h>
#include <pthread.h>
#include <string.h>

#define VMIDS       256u
#define VIEWS       128u /* a CPU forgets one by itself only when another takes its place */
#define ENTRY_SHIFT 9u
#define ENTRIES     (1u << ENTRY_SHIFT)
#define LEVEL_LEAF  3u
#define LEVEL_ABOVE 2u

struct window {
    pa_t root;
    unsigned root_level;
    unsigned root_tables; /* 0: closed */
};

/* The table of that level whose first entry is for the page or block number: cached. */
struct view {
    uint16_t vmid; /* 0: free */
    unsigned level;
    uint64_t number; /* address, in units of what the whole table maps */
    pa_t table;
};

struct viewer {
    pthread_mutex_t mutex;
    struct view views[VIEWS];
    bool missed; /* the CPU's own: port_window_missed has to follow */
};

static struct window windows[VMIDS];
static struct viewer viewers[FAKE_CPUS] = {
    [0 ... FAKE_CPUS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER},
};
static _Atomic uint64_t hits, misses;
static bool no_room, blind;

void fake_window_reset(void)
{
    for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
        memset(viewers[cpu].views, 0, sizeof(viewers[cpu].views));
        viewers[cpu].missed = false;
    }
    memset(windows, 0, sizeof(windows));
    no_room = false;
    blind = false;
    atomic_store(&hits, 0);
    atomic_store(&misses, 0);
}

void fake_window_no_room(void)
{
    no_room = true;
}

void fake_window_blind(bool on)
{
    blind = on;
}

uint64_t fake_window_hits(void)
{
    return atomic_load(&hits);
}

uint64_t fake_window_misses(void)
{
    return atomic_load(&misses);
}

static unsigned table_shift(unsigned level)
{
    return PAGE_SHIFT + ENTRY_SHIFT * (LEVEL_LEAF + 1 - level);
}

static struct view *slot_of(struct viewer *viewer, uint64_t number, unsigned level)
{
    return &viewer->views[(number * 2 + (level == LEVEL_ABOVE)) % VIEWS];
}

static bool is_cached(const struct view *view, uint16_t vmid, uint64_t number, unsigned level)
{
    return view->vmid == vmid && view->number == number && view->level == level;
}

/* Follows the entry of the table of that level for ipa; false: no table there. */
static bool follow(pa_t table, unsigned level, uint64_t index, pa_t *ret_table)
{
    const _Atomic uint64_t *entries = port_pa_to_va(table);
    uint64_t pte = atomic_load_explicit(&entries[index], memory_order_acquire);

    if (level < LEVEL_ABOVE && s2_pte_is_leaf(pte, level)) {
        fake_die("a block of level %u shows guest memory in a window", level);
    }
    if (!s2_pte_is_table(pte, level)) {
        return false;
    }
    *ret_table = s2_pte_pa(pte, level);
    return true;
}

static bool find_level_above(struct viewer *viewer, uint16_t vmid, ipa_t ipa, pa_t *ret_table)
{
    uint64_t number = ipa.addr >> table_shift(LEVEL_ABOVE);
    struct view *view = slot_of(viewer, number, LEVEL_ABOVE);
    const struct window *window = &windows[vmid];
    unsigned level = window->root_level;
    uint64_t index = ipa.addr >> (table_shift(level) - ENTRY_SHIFT);
    pa_t table = window->root;

    if (is_cached(view, vmid, number, LEVEL_ABOVE)) {
        *ret_table = view->table;
        return true;
    }
    for (; level < LEVEL_ABOVE; level++) {
        if (!follow(table, level, index, &table)) {
            return false;
        }
        index = ipa.addr >> (table_shift(level + 1) - ENTRY_SHIFT) & (ENTRIES - 1);
    }
    *view = (struct view){vmid, LEVEL_ABOVE, number, table};
    *ret_table = table;
    return true;
}

static bool find_leaf_table(struct viewer *viewer, uint16_t vmid, ipa_t ipa, pa_t *ret_table)
{
    uint64_t number = ipa.addr >> table_shift(LEVEL_LEAF);
    struct view *view = slot_of(viewer, number, LEVEL_LEAF);
    pa_t above;

    if (!is_cached(view, vmid, number, LEVEL_LEAF)) {
        if (!find_level_above(viewer, vmid, ipa, &above) ||
            !follow(above, LEVEL_ABOVE, number & (ENTRIES - 1), ret_table)) {
            return false;
        }
        *view = (struct view){vmid, LEVEL_LEAF, number, *ret_table};
    }
    *ret_table = view->table;
    return true;
}

static uint64_t load_locked(struct viewer *viewer, uint16_t vmid, ipa_t ipa,
                            _Atomic uint64_t **ret_entry)
{
    pa_t table;

    if (windows[vmid].root_tables == 0) {
        fake_die("a look through the window of VMID %u, which is closed", vmid);
    }
    if (blind || !find_leaf_table(viewer, vmid, ipa, &table)) {
        atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed); /* a number for tests */
        viewer->missed = true;
        return 0;
    }
    atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
    *ret_entry =
        (_Atomic uint64_t *)port_pa_to_va(table) + (ipa.addr >> PAGE_SHIFT & (ENTRIES - 1));
    return atomic_load_explicit(*ret_entry, memory_order_acquire);
}

uint64_t port_window_load(const struct s2_vm *vm, ipa_t ipa, _Atomic uint64_t **ret_entry)
{
    struct viewer *viewer = &viewers[fake_cpu];
    void (*hook)(void) = fake_hook;
    uint64_t pte;

    fake_window_settled();
    if (hook != NULL) {
        fake_hook = NULL; /* the machine's own walk is no point in the program under test */
    }
    pthread_mutex_lock(&viewer->mutex);
    pte = load_locked(viewer, vm->vmid, ipa, ret_entry);
    pthread_mutex_unlock(&viewer->mutex);
    if (hook != NULL) {
        fake_hook = hook;
    }
    fake_point();
    return pte;
}

void port_window_missed(void)
{
    viewers[fake_cpu].missed = false;
}

void fake_window_settled(void)
{
    if (viewers[fake_cpu].missed) {
        fake_die("a load through a window has missed, and nothing was done about it");
    }
}

static bool is_left(uint16_t vmid)
{
    for (unsigned i = 0; i < FAKE_CPUS * VIEWS; i++) {
        if (viewers[i / VIEWS].views[i % VIEWS].vmid == vmid) {
            return true;
        }
    }
    return false;
}

uint64_t port_window_open(uint16_t vmid, pa_t root, unsigned root_level, unsigned root_tables)
{
    struct window *window = &windows[vmid];

    if (no_room) {
        return 0;
    }
    if (vmid == 0 || vmid >= VMIDS || window->root_tables != 0) {
        fake_die("VMID %u has a window already, or none for ever", vmid);
    }
    if (is_left(vmid)) {
        fake_die("a CPU still sees a table of the former owner of VMID %u", vmid);
    }
    *window = (struct window){root, root_level, root_tables};
    return vmid;
}

/* A CPU may look at whatever its tables show at any moment, without being asked: the last one does.
 */
static void speculate(uint16_t vmid, ipa_t ipa)
{
    struct viewer *viewer = &viewers[FAKE_CPUS - 1];
    pa_t table;

    pthread_mutex_lock(&viewer->mutex);
    if (windows[vmid].root_tables != 0) {
        (void)find_leaf_table(viewer, vmid, ipa, &table);
    }
    pthread_mutex_unlock(&viewer->mutex);
}

/* No CPU sees a page of [pa, pa + bytes) as a table. */
static void check_unseen(pa_t pa, uint64_t bytes, const char *what)
{
    for (unsigned i = 0; i < FAKE_CPUS * VIEWS; i++) {
        struct viewer *viewer = &viewers[i / VIEWS];
        struct view view;

        pthread_mutex_lock(&viewer->mutex);
        view = viewer->views[i % VIEWS];
        pthread_mutex_unlock(&viewer->mutex);
        if (view.vmid != 0 && view.table.addr - pa.addr < bytes) {
            fake_die("a table is %s that CPU %u still sees through a window", what, i / VIEWS);
        }
    }
}

void fake_window_linked(const struct s2_vm *vm, ipa_t ipa, pa_t table)
{
    check_unseen(table, PAGE_SIZE_BYTES, "linked");
    speculate(vm->vmid, ipa);
}

/* All CPUs forget what they have seen through the window of vmid in a range of addresses. */
static void forget(uint16_t vmid, uint64_t ipa, uint64_t bytes)
{
    for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
        struct viewer *viewer = &viewers[cpu];

        pthread_mutex_lock(&viewer->mutex);
        for (unsigned i = 0; i < VIEWS; i++) {
            struct view *view = &viewer->views[i];
            unsigned shift = table_shift(view->level);
            uint64_t start = view->number << shift;

            if (view->vmid == vmid && start < ipa + bytes && ipa < start + (UINT64_C(1) << shift)) {
                view->vmid = 0;
            }
        }
        pthread_mutex_unlock(&viewer->mutex);
    }
}

void port_window_close(const struct s2_vm *vm)
{
    fake_point();
    windows[vm->vmid].root_tables = 0;
    forget(vm->vmid, 0, UINT64_C(1) << 48);
}

void port_window_forget(const struct s2_vm *vm, ipa_t ipa, unsigned level)
{
    unsigned shift = table_shift(level) - ENTRY_SHIFT;

    fake_point();
    forget(vm->vmid, ipa.addr, UINT64_C(1) << shift);
    speculate(vm->vmid, ipa);
    fake_point();
}

void fake_window_pages_freed(pa_t pa, uint64_t bytes)
{
    check_unseen(pa, bytes, "freed");
    for (unsigned vmid = 0; vmid < VMIDS; vmid++) {
        if (windows[vmid].root_tables != 0 && windows[vmid].root.addr == pa.addr) {
            fake_die("a root is freed while its window is open");
        }
    }
}
