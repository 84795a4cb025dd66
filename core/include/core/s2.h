/* SPDX-License-Identifier: MIT */
/*
 * Stage-2 translation tables of one VM: map, unmap, look up, take write faults.
 *
 * Locking: one reader-writer lock per VM. Faults, write protection and splits
 * run as readers and change descriptors by compare-exchange; merge, unmap and
 * freeing of tables hold it for writing. A table page is freed only under the
 * write lock, so readers need neither reference counts nor grace periods.
 *
 * The IPA is the only loop variable: output addresses are derived from it.
 */
#ifndef CORE_S2_H
#define CORE_S2_H

#include <core/addr.h>
#include <core/error.h>
#include <core/s2_vm.h>
#include <stddef.h>

struct s2_vm; /* defined in core/s2_vm.h; embed it, do not look inside */

/*
 * What a page is, kept in the descriptor's software bits. Whether it is
 * writable at this moment is another matter: a logged S2_RAM_RW page is
 * write-protected and still S2_RAM_RW.
 */
enum s2_type {
    S2_NONE = 0,   /* nothing mapped */
    S2_RAM_RW = 1, /* the VM's own memory; logged when logging is on */
    S2_RAM_RO = 2, /* memory the guest may read only, for ever */
    S2_DEVICE = 3, /* device registers, Device-nGnRE, read-write, never logged */
    S2_FOREIGN_RW =
        4, /* another VM's frame; opened for writing on first write, see s2_fault_write */
    S2_FOREIGN_RO = 5, /* another VM's frame, read only */
    S2_SHARED = 6,     /* a hypervisor page the guest may write (shared_info); never logged */
};

struct s2_leaf {
    pa_t pa;           /* physical address that the asked-for IPA translates to */
    uint64_t bytes;    /* size of the block or page that holds it */
    enum s2_type type; /* S2_NONE: the other fields are meaningless */
    bool writable;     /* the descriptor permits writes at this moment */
};

struct s2_config {
    uint16_t vmid;
    uint8_t ipa_bits; /* 32 to 48 */
    uint8_t cpus;     /* port_cpu_id is below, wherever the VM is used; 0: below S2_CPUS_MAX */
};

/* The widest ipa_bits that s2_init accepts on this machine. */
unsigned s2_ipa_bits_max(void);

/* Makes an empty address space. Allocates the root tables. -CORE_ENOMEM, -CORE_EINVAL. */
int s2_init(struct s2_vm *vm, const struct s2_config *config);

/* Frees every table. Nothing may be mapped, logged or running any more. */
void s2_destroy(struct s2_vm *vm);

/* The values for VTTBR_EL2 and VTCR_EL2 (or what the port's CPU calls them). */
uint64_t s2_root_register(const struct s2_vm *vm);
uint64_t s2_control_register(const struct s2_vm *vm);

/*
 * Maps [ipa, ipa + bytes) to [pa, pa + bytes) with the largest blocks that fit
 * (pages only where RAM is being logged; new S2_RAM_RW pages are then marked
 * dirty). All three page aligned, bytes > 0. May allocate tables. All or
 * nothing: -CORE_EEXIST if any part is mapped, -CORE_ENOMEM, -CORE_EINVAL.
 */
int s2_map(struct s2_vm *vm, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type);

/*
 * Removes every leaf in the range; holes are fine. For each removed piece,
 * after its translations are gone from all TLBs, calls release(context, ipa,
 * pa, bytes, type); release must not call into this VM. Takes the write lock;
 * a partly covered block is split first (-CORE_ENOMEM: nothing was changed).
 * Removed pages leave the dirty log (nobody can send a page that is gone).
 * Empty tables stay until s2_merge or s2_destroy.
 */
typedef void (*s2_release_fn)(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                              bool writable);
int s2_unmap(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, s2_release_fn release, void *context);

/* Changes the type of mapped pages, e.g. S2_RAM_RW to S2_RAM_RO. -CORE_ENOENT at a hole. */
int s2_set_type(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type);

/* Finds what is at ipa. Read lock inside; retries while a descriptor is in transit. */
struct s2_leaf s2_lookup(struct s2_vm *vm, ipa_t ipa);

/*
 * As s2_lookup, and if it is a page of memory calls hold(leaf.pa) before the lock
 * is dropped, so the frame cannot be freed before the caller has copied. hold
 * returning false gives a leaf of type S2_NONE.
 */
struct s2_leaf s2_lookup_hold(struct s2_vm *vm, ipa_t ipa, bool (*hold)(pa_t pa));

/*
 * The frames of n pages of RAM, in the order of the list, under one hold of the read lock: keep n
 * small. One walk serves all that follow it in one block or leaf table. write: RAM that the VM may
 * write, whether it is closed at this moment or not. hold(frames, count) is called before the lock
 * is dropped, and returns how many it has taken, from the first on; so many are in ret_frames.
 * Fewer than n: the next one is no such page. Frame numbers may be any.
 */
unsigned s2_lookup_hold_ram(struct s2_vm *vm, const uint64_t *gfns, unsigned n, bool write,
                            unsigned (*hold)(const pa_t *frames, unsigned count), pa_t *ret_frames);

/* The next mapped leaf at or above ipa and below end; type S2_NONE when there is none. */
struct s2_leaf s2_next(struct s2_vm *vm, ipa_t ipa, ipa_t end, ipa_t *ret_ipa);

enum s2_fault {
    S2_FAULT_RETRY,    /* opened, or somebody else did: go back to the guest */
    S2_FAULT_READONLY, /* the guest may never write here: deliver an abort */
    S2_FAULT_UNMAPPED, /* nothing there: a device access or an abort */
    S2_FAULT_FOREIGN,  /* an S2_FOREIGN_RW page still closed: see s2_open_foreign */
};

/*
 * A write met a permission fault at ipa. Never allocates (tables are prepaid);
 * takes the read lock. Opens a logged page and marks it: open, mark, then
 * invalidate locally, in this order (docs/design/dirty-log.md).
 */
enum s2_fault s2_fault_write(struct s2_vm *vm, ipa_t ipa);

/*
 * The first half of it for the most frequent case: opens and marks a page, and leaves the
 * invalidation to the caller, before it returns to the guest: what this CPU has cached for the
 * faulting address must go; an entry that stays costs one more fault. False: nothing was done,
 * s2_fault_write decides; but a look through a window (find_linear) may have missed, and then the
 * caller puts back what that changed, as port_window_missed does. Calls nothing, not even of the
 * port.
 */
bool s2_fault_write_fast(struct s2_vm *vm, ipa_t ipa);

/*
 * Opens the S2_FOREIGN_RW page at ipa for writing after the caller has told the
 * frame's owner (dirty_log_pin). True if this call opened it; false if another
 * CPU did or it is no longer that frame: the caller then drops its pin and lets
 * the guest retry. So every writable foreign leaf holds exactly one pin.
 */
bool s2_open_foreign(struct s2_vm *vm, ipa_t ipa, pa_t pa);

/*
 * Turns tables of contiguous equal leaves back into blocks, from *cursor on, a
 * bounded number of tables per call: 0 when done, -CORE_ERESTART to go on.
 * Write lock inside. While logging is on only tables of which no page was written
 * since the last harvest, into closed blocks whose next split is prepaid; marks
 * stay, and no write is lost. No-op while logging is being turned on or off.
 */
int s2_merge(struct s2_vm *vm, ipa_t *cursor);

/*
 * The same for the one 2 MiB and the one 1 GiB region around ipa: for a caller that
 * has just filled a hole. Write lock inside, taken only if it looks worth while.
 * No-op while logging is not off.
 */
void s2_merge_at(struct s2_vm *vm, ipa_t ipa);

struct s2_stats {
    uint64_t leaves[4]; /* mapped leaves by level: [1] 1 GiB, [2] 2 MiB, [3] 4 KiB */
    uint64_t tables;    /* table pages in use, root included */
    uint64_t tables_prepaid;
    uint64_t faults_first_write, faults_spurious, faults_split;
    uint64_t faults_walk; /* those of the other kinds that a table walk of the guest took */
    uint64_t splits, merges, invalidations;
    uint64_t harvested, returned;     /* pages taken from the dirty log, and put back into it */
    uint64_t bits_set[DIRTY_WRITERS]; /* of the dirty log, by who set them */
};

/* A write fault that was just resolved came from the guest's own table walk (S1PTW). No lock. */
void s2_stats_count_walk(struct s2_vm *vm);

/*
 * Write faults that a CPU has handled, and the first writes to a page among them. No lock: of a CPU
 * that is at it at this moment they may be one old.
 */
void s2_stats_cpu(const struct s2_vm *vm, unsigned cpu, uint64_t *ret_faults,
                  uint64_t *ret_first_writes);

/* Waits until nobody holds the lock that write faults wait for. It may be taken again at once. */
void s2_wait_writer(const struct s2_vm *vm);

/* Counts leaves by walking (read lock); the rest are running counters. */
void s2_stats_get(struct s2_vm *vm, struct s2_stats *ret_stats);

/* Table pages in use, root included: what s2_stats_get reports, without the walk. */
uint64_t s2_table_count(const struct s2_vm *vm);

/* Waits until no fault handler or harvest that began earlier is still running. */
void s2_drain(struct s2_vm *vm);

/* Table pages set aside for this VM beyond those in use; the split on a fault draws on them. */
int s2_pool_reserve(struct s2_vm *vm, uint64_t pages);
void s2_pool_release(struct s2_vm *vm);

#endif
