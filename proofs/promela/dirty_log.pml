/* SPDX-License-Identifier: MIT */
/*
 * The dirty log as a model: all interleavings of guest CPUs, a harvester, a writer in the
 * hypervisor, one through a foreign mapping, an eager splitter, a merger and changes of type, on
 * one block of two pages. Each step is what the machine does at once; no writer ever tires. Checked
 * at the end: no page was written after its last copy. Names of steps follow core/src; what this
 * shows, and what not, is in docs/design/proofs.md.
 *
 * Chosen with -D: VCPUS, HARDWARE (the MMU notes first writes), EMPTY_POOL, HYP_WRITER, FOREIGN,
 * SPLITTER, MERGER, RETYPER, ABORTS, ROUNDS, SAMPLE (with HARDWARE: pages are left to a fault); and M_..., a mutant that breaks one rule. models.py
 * has all that are checked.
 */
#ifndef VCPUS
#define VCPUS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* with the guest running; one more follows when it has stopped */
#endif

#include "machine.pml"

byte word;    /* of the log: a bit per page */
bool summary; /* the word is not zero */
byte taken;
byte gather;  /* s2_gather: pages whose descriptors were closed and may still be cached */
byte differs; /* pages whose copy is not what they hold */

bool marking;      /* log_is_marking: logging has begun */
bool stopped;      /* the guest is to stop */
byte in_guest;     /* vCPUs that run there */
byte in_flight;    /* hypervisor writers that have not marked yet */
byte readers;      /* of the VM's lock */
bool writing;      /* it is held for writing, or wanted */
bool pinned;       /* page 0 */
bool foreign_open; /* the descriptor of page 0 in the control domain's own stage 2 */
bool foreign_tlb;  /* and what its TLB has of it, if that is open */

/*
 * A compare-exchange that fails has changed nothing, and its caller looks again: so reading a
 * descriptor and swapping it are one step here. M_SWAP_DOES_NOT_COMPARE pulls them apart.
 */

/* The lock as its users see it. That it is a lock: ordering.pml. */
inline read_lock()
{
    atomic { !writing -> readers++ }
}

inline read_unlock()
{
    readers--
}

inline write_lock()
{
    atomic { !writing -> writing = true };
    readers == 0
}

inline write_unlock()
{
    writing = false
}

/* log_set: the word, and then the summary if the word was empty. */
inline mark(bits)
{
    if
    :: d_step { word != 0 -> word = word | (bits) }
    :: d_step { word == 0 -> word = bits };
       summary = true
    fi
}

/* log_set_found: another marker may be between the two, and who marks here takes next. */
#ifdef M_COLLECT_TRUSTS_THE_SUMMARY
#define mark_found(bits) mark(bits)
#else
#define mark_found(bits) word = word | (bits); summary = true
#endif

/* Pages are as open as their block. */
#ifdef M_SPLIT_OPENS_PAGES
#define split_leaf(block) (TRACKED | W)
#else
#define split_leaf(block) (TRACKED | ((block) == BLOCK_W -> W : CLOSED))
#endif

inline make_table(block)
{
    d_step {
        leaf[0] = split_leaf(block);
        leaf[1] = split_leaf(block);
        table_in_use = true;
        root = TABLE
    }
}

/* s2_split of the block that was found: break, invalidate, make. */
inline split(block)
{
    if
#if defined(M_SPLIT_WITHOUT_BREAK)
    :: root == block -> make_table(block)
#elif defined(M_SPLIT_MAKES_BEFORE_INVALIDATION)
    :: atomic { root == block -> root = LOCKED };
       make_table(block);
       invalidate_all(BOTH)
#elif defined(M_SWAP_DOES_NOT_COMPARE)
    :: root == block ->
       root = LOCKED;
       invalidate_all(BOTH);
       make_table(block)
#else
    :: atomic { root == block -> root = LOCKED };
       invalidate_all(BOTH);
       make_table(block)
#endif
    :: root != block
    fi
}

/* open_tracked: a page of the sample becomes what the hardware would make of it. */
#if defined(SAMPLE) && !defined(M_SAMPLE_IS_OPENED_UNTRACKED)
#define FAULT_OPENS (DBM | W)
#else
#define FAULT_OPENS W
#endif

/* s2_fault_write under the read lock. For a page: open, mark; the caller invalidates. */
inline handle_fault(q)
{
    do
    :: root == LOCKED -> break
    :: root == BLOCK_W || (root == TABLE && (leaf[q] & (W | DBM)) != 0) -> break /* spurious */
    :: atomic { root == BLOCK && !marking -> root = BLOCK_W; break }
#ifdef EMPTY_POOL
    :: atomic { root == BLOCK && marking -> root = BLOCK_W };
#ifndef M_WHOLE_BLOCK_UNMARKED
       mark(BOTH);
#endif
       break
#endif
    :: root == BLOCK && marking -> split(BLOCK)
    :: root == TABLE && leaf[q] == RAM_RO -> break /* the guest's own fault */
#if defined(M_MARK_BEFORE_OPEN)
    :: root == TABLE && leaf[q] == CLOSED -> mark(bit(q)); leaf[q] = W; break
#elif defined(M_FAULT_DOES_NOT_MARK)
    :: atomic { root == TABLE && leaf[q] == CLOSED -> leaf[q] = W; break }
#else
    :: atomic { root == TABLE && leaf[q] == CLOSED -> leaf[q] = FAULT_OPENS };
       mark(bit(q));
       break
#endif
    od
}

/* A CPU in the guest, in the hypervisor when that faults. Stops when it is told to, or later. */
proctype vcpu(byte c)
{
    byte p;

    do
    :: atomic { stopped -> in_guest--; break }
    :: d_step { walk(c, 0) }
    :: d_step { walk(c, 1) }
    :: d_step { (tlb[c] & T_TABLE) != 0 -> cache_leaf(c, 0) }
    :: d_step { (tlb[c] & T_TABLE) != 0 -> cache_leaf(c, 1) }
    :: d_step { may_store(c, 0) -> differs = differs | bit(0) }
    :: d_step { may_store(c, 1) -> differs = differs | bit(1) }
    :: d_step { hardware_may_open(c, 0) -> hardware_open(c, 0) }
    :: d_step { hardware_may_open(c, 1) -> hardware_open(c, 1) }
    :: atomic { may_fault(c, 0) || may_fault(c, 1) ->
           in_guest--;
           if
           :: may_fault(c, 0) -> p = 0
           :: may_fault(c, 1) -> p = 1
           fi
       };
       read_lock();
       handle_fault(p);
       atomic {
           invalidate_local(c, bit(p));
           p = 0;
           readers--;
           if
           :: stopped -> break
           :: else -> in_guest++
           fi
       }
    od
}

#include "writers.pml"

/* Splits the block whenever it finds one, open or closed. */
proctype splitter()
{
    do
    :: stopped -> break
    :: !stopped -> read_lock();
       if
       :: root == BLOCK -> split(BLOCK)
       :: root == BLOCK_W -> split(BLOCK_W)
       :: root == LOCKED || root == TABLE
       fi;
       read_unlock()
    od
}

inline read_leaves()
{
    dirty = (leaf[0] & W) | ((leaf[1] & W) << 1)
}

/* Makes a block of the table again, and keeps what the hardware has noted in the table. */
proctype merger()
{
    byte dirty;

    do
    :: stopped -> break
    :: !stopped -> write_lock();
       if
       :: root == TABLE && marking ->
#if defined(M_MERGE_READS_BEFORE_BREAK)
          read_leaves();
          root = LOCKED;
          invalidate_all(BOTH);
#elif defined(M_MERGE_READS_BEFORE_INVALIDATION)
          root = LOCKED;
          read_leaves();
          invalidate_all(BOTH);
#elif defined(M_MERGE_FREES_BEFORE_INVALIDATION)
          root = LOCKED;
          read_leaves();
          table_in_use = false;
          invalidate_all(BOTH);
#elif defined(M_MERGE_WITHOUT_INVALIDATION)
          root = LOCKED;
          read_leaves();
#else
          root = LOCKED;
          invalidate_all(BOTH);
          read_leaves();
#endif
#ifndef M_MERGE_LOSES_DIRTY_STATE
          if
          :: dirty != 0 -> mark(dirty)
          :: dirty == 0
          fi;
#endif
          d_step { root = BLOCK; leaf[0] = 0; leaf[1] = 0; table_in_use = false; dirty = 0 }
       :: root != TABLE || !marking
       fi;
       write_unlock()
    od
}

/* s2_set_type: makes page 0 read-only memory, and ordinary again, which is closed while logged. */
proctype retyper()
{
    byte seen;

    do
    :: stopped -> break
    :: !stopped -> write_lock();
       if
       :: root == TABLE && marking && leaf[0] != RAM_RO ->
#ifdef M_RETYPE_IS_NOT_ATOMIC
          seen = leaf[0];
          leaf[0] = RAM_RO;
#else
          d_step { seen = leaf[0]; leaf[0] = RAM_RO };
#endif
#ifndef M_RETYPE_LOSES_DIRTY_STATE
          if
          :: seen == (DBM | W) -> mark(bit(0))
          :: seen != (DBM | W)
          fi;
#endif
#ifndef M_RETYPE_WITHOUT_INVALIDATION
          invalidate_all(bit(0));
#endif
          seen = 0
       :: root == TABLE && leaf[0] == RAM_RO ->
#ifdef M_RETYPE_OPENS
          leaf[0] = TRACKED | W
#else
          leaf[0] = TRACKED
#endif
       :: root != TABLE || !marking
       fi;
       write_unlock()
    od
}

/* If page 0 is pinned, and among pages. */
inline mark_pinned(pages)
{
    if
    :: pinned && ((pages) & bit(0)) != 0 -> mark(bit(0))
    :: !pinned || ((pages) & bit(0)) == 0
    fi
}

/* The state changes under the write lock; pins that are older than the log mark their pages. */
inline begin_marking()
{
    write_lock();
    marking = true;
#ifndef M_ENABLE_FORGETS_PINS
    mark_pinned(BOTH);
#endif
    write_unlock()
}

#define is_closed(q) (root == TABLE && (leaf[q] == TRACKED || leaf[q] == RAM_RO))

/* If page q is in pages: closes what decides about it, block or page. Waits for who splits. */
inline close(q, pages)
{
    if
    :: ((pages) & bit(q)) == 0
#ifdef M_HARVEST_SKIPS_TRANSIT
    :: ((pages) & bit(q)) != 0 && root == LOCKED
#endif
    :: ((pages) & bit(q)) != 0 && (root == BLOCK || is_closed(q))
    :: d_step { ((pages) & bit(q)) != 0 && root == BLOCK_W -> root = BLOCK; gather = BOTH }
    :: d_step { ((pages) & bit(q)) != 0 && root == TABLE && !is_closed(q) ->
           leaf[q] = TRACKED;
           gather = gather | bit(q)
       }
    fi
}

/* Closes what was taken; tracked pages are left to collect. */
inline protect(q)
{
#ifdef HARDWARE
    if
    :: root == TABLE
    :: root != TABLE -> close(q, taken)
    fi
#else
    close(q, taken)
#endif
}

/* dirty_log_enable: faults mark, then pages are closed, then old translations go. */
inline enable()
{
#ifndef M_ENABLE_CLOSES_BEFORE_MARKING
    begin_marking();
#endif
    read_lock();
    close(0, BOTH);
    close(1, BOTH);
#ifndef M_ENABLE_WITHOUT_INVALIDATION
    invalidate_all(gather);
#endif
    d_step { gather = 0; readers-- };
#ifdef M_ENABLE_CLOSES_BEFORE_MARKING
    begin_marking();
#endif
}

/* log_take_summary, then log_take_word */
inline take()
{
#ifdef M_SUMMARY_CLEARED_AFTER_WORD
    if
    :: d_step { summary -> taken = taken | word; word = 0 };
       summary = false
    :: !summary
    fi
#else
    if
    :: d_step { summary -> summary = false };
       d_step { taken = taken | word; word = 0 }
    :: !summary
    fi
#endif
}

/* log_collect: what the hardware has noted about page q goes into the log. Blocks have nothing. */
inline collect(q)
{
#ifdef M_HARDWARE_CLEAR_IS_NOT_ATOMIC
    seen = (root == TABLE -> leaf[q] : CLOSED);
    if
    :: root == TABLE && seen != CLOSED -> leaf[q] = DBM
    :: root != TABLE || seen == CLOSED
    fi;
    if
    :: d_step { (seen & W) != 0 -> seen = 0; gather = gather | bit(q) };
       mark_found(bit(q))
    :: d_step { (seen & W) == 0 -> seen = 0 }
    fi
#else
    if
    :: d_step { root == TABLE && leaf[q] == (DBM | W) ->
           leaf[q] = DBM;
#ifndef M_HARDWARE_CLEAR_WITHOUT_INVALIDATION
           gather = gather | bit(q)
#endif
       };
#ifndef M_HARDWARE_CLEAR_DOES_NOT_MARK
       mark_found(bit(q))
#endif
    :: root != TABLE || leaf[q] != (DBM | W)
    fi
#endif
}

/* log_place_sample: a closed page comes into the sample, or leaves it, or stays. */
inline place(q)
{
    if
    :: d_step { root == TABLE && leaf[q] == DBM -> leaf[q] = CLOSED; gather = gather | bit(q) }
    :: d_step { root == TABLE && leaf[q] == CLOSED -> leaf[q] = DBM }
#ifdef M_SAMPLE_TAKES_OPEN_PAGES
    :: d_step { root == TABLE && leaf[q] == (DBM | W) -> leaf[q] = W; gather = gather | bit(q) }
#endif
    :: true
    fi
}

/* The caller copies pages, one after the other. */
inline copy(pages)
{
    differs = differs & (255 - ((pages) & bit(0)));
    differs = differs & (255 - ((pages) & bit(1)))
}

inline copy_taken()
{
    copy(taken);
    taken = 0
}

/* One call of dirty_log_harvest_take: take, close, invalidate, return; pins mark again. */
inline harvest()
{
    read_lock();
#ifdef M_PIN_MARKS_AGAIN_BEFORE_TAKE
    mark_pinned(BOTH);
#endif
#ifdef HARDWARE
    collect(0);
    collect(1);
#ifdef SAMPLE
    place(0);
    place(1);
#endif
#endif
#ifdef M_PROTECT_BEFORE_TAKE
    taken = word;
    protect(0);
    protect(1);
    take();
#else
    take();
#endif
#if !defined(M_HARVEST_DOES_NOT_PROTECT) && !defined(M_PROTECT_BEFORE_TAKE)
    protect(0);
    protect(1);
#endif
#ifdef M_COPY_BEFORE_INVALIDATION
    copy_taken();
#endif
#ifndef M_HARVEST_WITHOUT_INVALIDATION
    invalidate_all(gather);
#endif
    gather = 0;
#if !defined(M_PIN_IS_NOT_MARKED_AGAIN) && !defined(M_PIN_MARKS_AGAIN_BEFORE_TAKE)
    mark_pinned(taken);
#endif
    read_unlock()
}

/* dirty_log_harvest_abort */
inline put_back()
{
#ifndef M_ABORT_LOSES_BITS
    if
    :: taken != 0 -> mark(taken)
    :: taken == 0
    fi;
#endif
    taken = 0
}

/* Before the last round: vCPUs are out of the guest, handlers and other writers have finished. */
inline stop()
{
    stopped = true;
#ifndef M_STOP_DOES_NOT_WAIT
    in_guest == 0;
#endif
#ifndef M_HYP_WRITERS_ARE_NOT_DRAINED
    in_flight == 0;
#endif
#ifndef M_HANDLERS_ARE_NOT_DRAINED
    write_lock();
    write_unlock();
#endif
}

/* Whoever migrates the guest: logging on, all pages, rounds, and one with the guest stopped. */
proctype harvester()
{
    byte round;
    byte seen;

    enable();
    copy(BOTH);
    do
    :: round < ROUNDS ->
       round++;
       harvest();
       if
#ifdef ABORTS
       :: put_back()
#endif
       :: copy_taken()
       fi
    :: round == ROUNDS -> break
    od;
    stop();
    harvest();
    copy_taken();
    assert(differs == 0)
}

init {
    atomic {
        in_guest = VCPUS;
#ifdef FOREIGN
        if
        :: foreign_open = true; pinned = true /* mapped and written to before logging begins */
        :: true
        fi;
        run foreign();
#endif
        run harvester();
        run vcpu(0);
#if VCPUS == 2
        run vcpu(1);
#endif
#ifdef HYP_WRITER
        run hyp_writer();
#endif
#ifdef SPLITTER
        run splitter();
#endif
#ifdef MERGER
        run merger();
#endif
#ifdef RETYPER
        run retyper();
#endif
    }
}
