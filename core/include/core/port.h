/* SPDX-License-Identifier: MIT */
/*
 * What the machine that embeds core/ supplies. Three headers come from its include
 * path and are inlined into the fault path:
 *
 * <port/s2_pte.h>, the only place that knows descriptor bits. Levels count from
 * the root: 3 is a 4 KiB page, 2 a 2 MiB and 1 a 1 GiB block. A descriptor of all
 * zeros maps nothing.
 *   uint64_t s2_pte_leaf(pa_t pa, unsigned level, enum s2_type type, bool writable);
 *   uint64_t s2_pte_table(pa_t table, unsigned level);
 *   uint64_t s2_pte_locked(void);    invalid; somebody is replacing this descriptor
 *   bool s2_pte_is_table(uint64_t pte, unsigned level);
 *   bool s2_pte_is_leaf(uint64_t pte, unsigned level);
 *   pa_t s2_pte_pa(uint64_t pte, unsigned level);    of a leaf or a table
 *   enum s2_type s2_pte_type(uint64_t pte, unsigned level);
 *   bool s2_pte_is_writable(uint64_t pte, unsigned level);
 *   bool s2_pte_is_page(uint64_t pte, enum s2_type type, bool writable);
 *                                    a leaf at level 3 of that type and permission
 *   uint64_t s2_pte_opened(uint64_t pte, unsigned level);    the same, writable
 *   uint64_t s2_pte_closed(uint64_t pte, unsigned level);    the same, not writable
 *   uint64_t s2_pte_next(uint64_t pte, unsigned level);    the same leaf, of the next frames
 *   void s2_pte_fill(_Atomic uint64_t *table, uint64_t pte, unsigned level);
 *                                    a table that nobody sees yet: pte, s2_pte_next of it, and so
 * on uint64_t s2_pte_open(_Atomic uint64_t *entry, unsigned level); uint64_t s2_pte_close(_Atomic
 * uint64_t *entry, unsigned level); s2_pte_opened and s2_pte_closed of what entry holds, in one
 *                                    atomic read-modify-write (acquire and release); they return
 *                                    what it held
 *
 * The following may say false when in doubt, and core/ goes on one by one. Then nothing was
 * changed. Descriptors are read and stored singly and whole, in any order.
 *   bool s2_pte_are_empty(const _Atomic uint64_t *entries);
 *                                    S2_EMPTY_AT_ONCE descriptors are 0
 *   bool s2_pte_pages_follow(const _Atomic uint64_t *pages, uint64_t pte);
 *                                    S2_GROUP descriptors of a leaf table are pte, s2_pte_next of
 *                                    it, and so on, but for permission and tracking
 *   bool s2_pte_close_pages(_Atomic uint64_t *pages, uint64_t *ret_old);
 *                                    S2_GROUP descriptors of a leaf table are pages of S2_RAM_RW,
 *                                    open and not tracked: closes them
 *   bool s2_pte_track_pages(_Atomic uint64_t *pages, uint64_t *ret_old);
 *                                    the same: makes them tracked and closed
 *   bool s2_pte_open_pages(_Atomic uint64_t *pages, uint64_t *ret_old);
 *                                    they are pages of S2_RAM_RW: makes them open and not tracked
 *
 * and, for pages only (level 3), where the hardware notes writes in the descriptor. A tracked page
 * that is closed is clean: the first write makes the hardware open it, atomically and without a
 * fault. A tracked page that is open is dirty. A machine without that includes
 * <core/no_hardware_dirty.h> instead.
 *   bool s2_pte_is_tracked(uint64_t pte);       of whatever a leaf table holds; only pages are
 *   uint64_t s2_pte_tracked(uint64_t pte);      the same page, tracked and closed
 *   uint64_t s2_pte_untracked(uint64_t pte);    the same page, without the hardware's help
 *   bool s2_pte_pages_are_closed(const _Atomic uint64_t *pages);
 *                                    none of S2_PAGES_AT_ONCE descriptors is open; may say false
 *                                    when in doubt. Each is read once, in any order.
 *   unsigned s2_pte_closed_runs(const _Atomic uint64_t *pages, unsigned runs, uint64_t *ret_open);
 *                                    the same for runs of 64 descriptors, at least one: how many
 *                                    have none open, from the first run on; and which of the next
 *                                    run's are
 *
 * <port/atomic.h>, of C's kind but for words of 64 bits alone; memory_order_* is constant. A
 * machine without better ones includes <core/plain_atomics.h>. uint64_t port_fetch_or(_Atomic
 * uint64_t *at, uint64_t bits, memory_order order); uint64_t port_fetch_clear(_Atomic uint64_t *at,
 * uint64_t bits, memory_order order); relaxed, acquire, release or acq_rel; what it held uint64_t
 * port_exchange(_Atomic uint64_t *at, uint64_t value, memory_order order); acquire or acq_rel bool
 * port_compare_exchange(_Atomic uint64_t *at, uint64_t *expected, uint64_t value, memory_order
 * order); acq_rel, relaxed if it fails
 *
 * <port/inline.h>:
 *   unsigned port_cpu_id(void);      below S2_CPUS_MAX; constant while core runs
 *   void port_cpu_relax(void);       in a spin loop
 *   void *port_pa_to_va(pa_t pa);    a page of port_pages_alloc, by its address
 *   pa_t port_va_to_pa(const void *va);
 *   void port_entry_written(const struct s2_vm *vm, ipa_t ipa, unsigned level,
 *                           uint64_t old, uint64_t new);
 *                                    after a descriptor changed; for checkers, else empty
 *   void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa);
 *                                    invalidates what this CPU alone has cached for the page at
 *                                    ipa. Enough after a permission was added: others that hold
 *                                    the old entry take a spurious fault.
 *
 * <port/window.h>, only where core/ is built with find_linear: the translation tables of the
 * machine that runs core/ are such that a VM's tables can serve in them, one level deeper, and the
 * VM's leaf tables then appear as pages of a window (docs/design/stage2.md, "Finding the leaf").
 *   uint64_t port_window_load(const struct s2_vm *vm, ipa_t ipa, _Atomic uint64_t **ret_entry);
 *                                    with acquire, the level-3 descriptor that decides about ipa,
 *                                    and where it is; 0 if the window shows no leaf table there.
 *                                    Either lock
 *   void port_window_missed(void);   follows a load that gave no leaf, before the next one: undoes
 *                                    what a failed access leaves behind in the CPU; at other times
 *                                    it does nothing
 *
 * A port may read vm->root_register, vm->vmid and vm->window, and nothing else of struct s2_vm.
 */
#ifndef CORE_PORT_H
#define CORE_PORT_H

#include <core/addr.h>
#include <core/s2.h>
#include <core/s2_vm.h>
#include <port/atomic.h>
#include <port/inline.h>

#define S2_PAGES_AT_ONCE 8u  /* see s2_pte_pages_are_closed */
#define S2_EMPTY_AT_ONCE 32u /* see s2_pte_are_empty */
#define S2_GROUP         8u  /* see s2_pte_close_pages */

/* 2^order contiguous zeroed pages, aligned to their size; NULL when there are none. Any lock held.
 */
void *port_pages_alloc(unsigned order);
void port_pages_free(void *va, unsigned order);
/*
 * At least one and at most pages contiguous pages, contents undefined; *ret_pages is how many. NULL
 * when there are none. Any lock held. Each is freed by itself (port_pages_free, order 0), or with
 * others.
 */
void *port_run_alloc(uint64_t pages, uint64_t *ret_pages);
/* Contiguous pages, each from port_run_alloc or from port_pages_alloc(0). */
void port_run_free(void *va, uint64_t pages);

/* Widest IPA space (32 to 48 bits) that this machine translates. */
unsigned port_s2_ipa_bits_max(void);
/* Physical addresses that a descriptor can hold: below 2^this, at most 48. */
unsigned port_s2_pa_bits(void);
/* Values of the control and root registers for a table of this shape. */
uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level);
uint64_t port_s2_root(pa_t root, uint16_t vmid);

/* All CPUs note writes in descriptors of tracked pages (dirty_log_options.hardware). */
bool port_has_hardware_dirty(void);

/* Descriptor stores made before are seen by every table walk that starts after the return. */
void port_publish(void);

/*
 * A piece of a VM's address space whose cached translations must go. All leaves
 * in it had (or may have had) this size; cached table descriptors go as well.
 */
struct port_tlb_range {
    ipa_t ipa;
    uint64_t bytes;
    uint64_t leaf_bytes;
};

/*
 * Invalidates the ranges on all CPUs. Descriptor stores made before are ordered
 * before it; on return no CPU uses an old translation, and every store made
 * through one is visible. May invalidate more.
 */
void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count);
void port_tlb_flush_vm(const struct s2_vm *vm);

/*
 * For find_linear alone. Opens the window of a VMID, which has none, onto a root of 1 to 16 tables
 * at level 1, or of one at level 0. Returns vm->window, not 0; 0 when there is no room for it.
 */
uint64_t port_window_open(uint16_t vmid, pa_t root, unsigned root_level, unsigned root_tables);
/* No CPU sees any of the VM's tables through the window on return. */
void port_window_close(const struct s2_vm *vm);
/*
 * A descriptor for ipa at that level, which linked a table, has become invalid: no CPU sees that
 * table, or one below it, through the window on return.
 */
void port_window_forget(const struct s2_vm *vm, ipa_t ipa, unsigned level);

#endif
