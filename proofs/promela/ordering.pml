/* SPDX-License-Identifier: MIT */
/*
 * Pairs of barriers on a machine that reorders as Arm may: every CPU performs its accesses in any
 * order that acquires, releases and dependencies leave, loads also before the branch in front of
 * them; a store is seen by all others at once. A read-modify-write is a read and a write, between
 * which nobody else writes there (or it would be tried again). An address that depends on a load
 * orders nothing: C promises nothing about that.
 *
 * -D chooses a pair: MARK, WRITE, LEVELS, LOCK, MESSAGE, PIN, INVALIDATE; and M_..., a mutant that
 * weakens one order. Which code each stands for: docs/design/proofs.md.
 */

/* A thread's accesses are numbered; one may happen when those in after, a set, have happened. */
#define A(n)      (1 << (n))
#define BEFORE(n) (A(n) - 1) /* all accesses before n */
#define ACCESS(n, after, effect) \
    :: d_step { (done & A(n)) == 0 && (done & (after)) == (after) -> effect; done = done | A(n) }
#define ACCESS_WHEN(n, after, condition, effect) \
    :: d_step { (done & A(n)) == 0 && (done & (after)) == (after) && (condition) -> \
           effect; done = done | A(n) }
#define END(n) :: d_step { done == BEFORE(n) -> ended++ }; break

/* Halves of a read-modify-write, and a store, of a variable that has a busy_ flag. */
#define RMW_READ(n, after, name, effect) \
    ACCESS_WHEN(n, after, !busy_##name, busy_##name = true; effect)
#define RMW_WRITE(n, after, name, effect) ACCESS(n, after, effect; busy_##name = false)
#define STORE(n, after, name, effect) ACCESS_WHEN(n, after, !busy_##name, effect)

/* log_set, log_take_word */
#ifdef M_LOG_SET_RELAXED
#define LOG_SET_RELEASE(n) 0
#else
#define LOG_SET_RELEASE(n) BEFORE(n)
#endif
#ifdef M_TAKE_WORD_RELAXED
#define TAKE_WORD_ACQUIRE(n) 0
#else
#define TAKE_WORD_ACQUIRE(n) A(n)
#endif

byte ended;
bool lost;

#ifdef MARK
/*
 * A handler opens the leaf, then marks. A harvest takes the mark, looks at the leaf, and closes it
 * if it is open. No page may stay open without a mark.
 */
#define THREADS 2
bool leaf, word, busy_leaf, busy_word;

proctype handler()
{
    byte done;

    do
    RMW_READ(0, 0, leaf, skip)
    RMW_WRITE(1, A(0), leaf, leaf = true)
    RMW_READ(2, A(0), word, skip)
    RMW_WRITE(3, A(2) | LOG_SET_RELEASE(3), word, word = true)
    END(4)
    od
}

proctype harvest()
{
    byte done;
    bool taken, is_open;

    do
    RMW_READ(0, 0, word, taken = word)
    RMW_WRITE(1, A(0), word, word = false)
    ACCESS(2, TAKE_WORD_ACQUIRE(0), is_open = leaf)
    STORE(3, A(0) | A(2), leaf, leaf = (taken && is_open -> false : leaf))
    END(4)
    od
}

inline start() { run handler(); run harvest() }
inline check() { lost = leaf && !word }
#endif

#ifdef WRITE
/*
 * The hypervisor writes to a page, then marks. A harvest takes the mark, then the page is copied.
 */
#define THREADS 2
bool memory, copy, word, busy_word;

proctype writer()
{
    byte done;

    do
    ACCESS(0, 0, memory = true)
    RMW_READ(1, 0, word, skip)
    RMW_WRITE(2, A(1) | LOG_SET_RELEASE(2), word, word = true)
    END(3)
    od
}

proctype harvest()
{
    byte done;
    bool taken, seen;

    do
    RMW_READ(0, 0, word, taken = word)
    RMW_WRITE(1, A(0), word, word = false)
    ACCESS(2, TAKE_WORD_ACQUIRE(0), seen = memory)
    ACCESS(3, A(0) | A(2), copy = (taken && seen))
    END(4)
    od
}

inline start() { run writer(); run harvest() }
inline check() { lost = memory != copy && !word }
#endif

#ifdef PIN
/*
 * A pin is stored, then its page marked. A harvest that took the mark finds the pin, marks again.
 */
#define THREADS 2
bool pins_used, word, busy_word;

proctype pinner()
{
    byte done;

    do
    ACCESS(0, 0, pins_used = true)
    RMW_READ(1, 0, word, skip)
    RMW_WRITE(2, A(1) | LOG_SET_RELEASE(2), word, word = true)
    END(3)
    od
}

proctype harvest()
{
    byte done;
    bool taken, seen;

    do
    RMW_READ(0, 0, word, taken = word)
    RMW_WRITE(1, A(0), word, word = false)
    ACCESS(2, TAKE_WORD_ACQUIRE(0), seen = pins_used)
    STORE(3, A(1) | A(2), word, word = word || seen)
    END(4)
    od
}

inline start() { run pinner(); run harvest() }
inline check() { lost = pins_used && !word }
#endif

#ifdef LEVELS
/*
 * Two words that one summary word stands for, and the chunk's bit in top. CPUs mark pages; a
 * harvest takes the chunk, or the first word only. What is marked must be found from the top.
 */
#define THREADS 3
#ifdef M_LOG_SET_TOP_RELAXED
#define TOP_RELEASE(n) 0
#else
#define TOP_RELEASE(n) BEFORE(n)
#endif
#ifdef M_TAKE_TOP_RELAXED
#define TOP_ACQUIRE 0
#else
#define TOP_ACQUIRE A(1)
#endif

byte word[2];
byte summary; /* a bit per word */
bool top;
bool busy_word[2];
bool busy_summary, busy_top;

/* log_set: each level that was zero is told to the one above. */
proctype marker(byte w; byte page)
{
    byte done, old, old_summary;

    do
    ACCESS_WHEN(0, 0, !busy_word[w], busy_word[w] = true; old = word[w])
    ACCESS(1, A(0), word[w] = word[w] | page; busy_word[w] = false)
    :: d_step { done == BEFORE(2) && old != 0 -> done = BEFORE(6) }
    ACCESS_WHEN(2, A(0), old == 0 && !busy_summary, busy_summary = true; old_summary = summary)
    RMW_WRITE(3, A(2) | BEFORE(3), summary, summary = summary | (1 << w))
    :: d_step { done == BEFORE(4) && old_summary != 0 -> done = BEFORE(6) }
    ACCESS_WHEN(4, A(2), old_summary == 0 && !busy_top, busy_top = true)
    RMW_WRITE(5, A(4) | TOP_RELEASE(5), top, top = true)
    END(6)
    od
}

/*
 * log_next_marked and take_chunk. The read-modify-writes of summary and word are one step each:
 * they are behind branches on what was read before them, and what they find between their halves
 * is their own.
 */
#define take(w) \
    word[w] = ((found & (1 << (w))) != 0 -> 0 : word[w])

proctype harvest(byte mask)
{
    short done;
    byte look, found, left;
    bool marked;

    do
    ACCESS(0, 0, marked = top)
    :: d_step { done == A(0) && !marked -> done = BEFORE(9) } /* nothing to do */
#ifdef M_TOP_CLEARED_LAST
    ACCESS_WHEN(3, A(0), marked && !busy_summary, look = summary; found = look & mask;
                summary = summary & (3 - mask))
    ACCESS_WHEN(4, A(3), !busy_word[0], take(0))
    ACCESS_WHEN(5, A(3), !busy_word[1], take(1))
    ACCESS(6, A(3), left = summary)
    RMW_READ(1, A(0) | A(4) | A(5) | A(6), top, skip)
    RMW_WRITE(2, A(1), top, top = false)
#else
    ACCESS_WHEN(1, A(0), marked && !busy_top, busy_top = true)
    RMW_WRITE(2, A(1), top, top = false)
    ACCESS(3, TOP_ACQUIRE, look = summary)
    ACCESS_WHEN(4, A(3) | A(0), marked && (!busy_summary || (look & mask) == 0),
                found = ((look & mask) != 0 -> summary & mask : 0);
                summary = summary & (255 - found))
    ACCESS_WHEN(5, A(4), !busy_word[0], take(0))
    ACCESS_WHEN(6, A(4), !busy_word[1], take(1))
#endif
#if defined(M_NO_LAST_LOOK) || defined(M_TOP_CLEARED_LAST)
    ACCESS(7, 0, skip)
#else
    ACCESS(7, TOP_ACQUIRE | A(4), left = summary)
#endif
    ACCESS_WHEN(8, A(2) | A(7), !busy_top || left == 0, top = (top || left != 0))
    END(9)
    od
}

#define is_lost(w) (word[w] != 0 && ((summary & (1 << (w))) == 0 || !top))

inline start()
{
    if
    :: run harvest(1)
    :: run harvest(3)
    fi;
    if
    :: word[0] = 1; summary = 1; top = true /* something is marked already */
    :: true
    fi;
    run marker(0, 2);
    if
    :: run marker(0, 4)
    :: run marker(1, 1)
    fi
}
inline check() { lost = is_lost(0) || is_lost(1) }
#endif

#ifdef LOCK
/*
 * The reader-writer lock. A reader must not see what a writer frees, unless it came after it; who
 * comes after sees what was done before. For reading and writing: 1 is held, 2 is released again.
 */
#define THREADS 2
#ifdef M_READ_LOCK_IS_NOT_SEQ_CST
#define READ_LOCK_ORDER 0
#else
#define READ_LOCK_ORDER A(0)
#endif
#ifdef M_READ_LOCK_DOES_NOT_ACQUIRE
#define READ_LOCK_ACQUIRE 0
#else
#define READ_LOCK_ACQUIRE A(1)
#endif
#ifdef M_READ_UNLOCK_RELAXED
#define READ_UNLOCK_RELEASE A(0)
#else
#define READ_UNLOCK_RELEASE BEFORE(4)
#endif
#ifdef M_WRITE_LOCK_IS_NOT_SEQ_CST
#define WRITE_LOCK_ORDER 0
#else
#define WRITE_LOCK_ORDER A(0)
#endif
#ifdef M_WRITE_LOCK_DOES_NOT_ACQUIRE
#define WRITE_LOCK_ACQUIRE 0
#else
#define WRITE_LOCK_ACQUIRE A(1)
#endif
#ifdef M_WRITE_UNLOCK_RELAXED
#define WRITE_UNLOCK_RELEASE A(1)
#else
#define WRITE_UNLOCK_RELEASE BEFORE(4)
#endif

byte reading, writing;
bool freed, marked;
byte reader_saw_writing, writer_saw_reading;
bool reader_saw_freed, writer_saw_mark;

proctype reader()
{
    byte done;

    do
    ACCESS(0, 0, reading = 1)
    ACCESS(1, READ_LOCK_ORDER, reader_saw_writing = writing)
    ACCESS(2, READ_LOCK_ACQUIRE, reader_saw_freed = freed)
    ACCESS(3, A(1), marked = (reader_saw_writing != 1))
    ACCESS(4, A(1) | READ_UNLOCK_RELEASE, reading = (reader_saw_writing == 1 -> 0 : 2))
    END(5)
    od
}

proctype writer()
{
    byte done;

    do
    ACCESS(0, 0, writing = 1)
    ACCESS_WHEN(1, WRITE_LOCK_ORDER, reading != 1, writer_saw_reading = reading)
    ACCESS(2, WRITE_LOCK_ACQUIRE, writer_saw_mark = marked)
    ACCESS(3, A(1), freed = true)
    ACCESS(4, WRITE_UNLOCK_RELEASE, writing = 2)
    END(5)
    od
}

inline start() { run reader(); run writer() }
inline check()
{
    lost = (reader_saw_writing == 0 && reader_saw_freed) ||
           (reader_saw_writing == 2 && !reader_saw_freed) ||
           (writer_saw_reading == 2 && !writer_saw_mark)
}
#endif

#ifdef MESSAGE
/*
 * Something is done, then a flag is set with release; who sees the flag with acquire sees all that
 * was done, and what it does itself is not seen by what came before.
 */
#define THREADS 2
#ifdef M_RELEASE_RELAXED
#define RELEASE(n) 0
#else
#define RELEASE(n) BEFORE(n)
#endif
#ifdef M_ACQUIRE_RELAXED
#define ACQUIRE(n) 0
#else
#define ACQUIRE(n) A(n)
#endif
bool content, flag, later;
bool saw_later, saw_flag, saw_content;

proctype sender()
{
    byte done;

    do
    ACCESS(0, 0, content = true)
    ACCESS(1, 0, saw_later = later)
    ACCESS(2, RELEASE(2), flag = true)
    END(3)
    od
}

proctype receiver()
{
    byte done;

    do
    ACCESS(0, 0, saw_flag = flag)
    ACCESS(1, ACQUIRE(0), saw_content = content)
    ACCESS(2, A(0), later = saw_flag)
    END(3)
    od
}

inline start() { run sender(); run receiver() }
inline check() { lost = (saw_flag && !saw_content) || saw_later }
#endif

#ifdef INVALIDATE
/*
 * port_tlb_flush after a leaf was closed, and another CPU with a stage-2 entry, one that combines
 * both stages (made from memory or from the stage-2 entry), and a store on its way to memory.
 */
#define THREADS 1
#ifdef M_NO_DSB_BEFORE
#define DSB_BEFORE 0
#else
#define DSB_BEFORE A(0)
#endif
#ifdef M_NO_DSB_BETWEEN
#define DSB_BETWEEN 0
#else
#define DSB_BETWEEN A(1)
#endif
#ifdef M_NO_DSB_AFTER
#define DSB_AFTER 0
#else
#define DSB_AFTER A(3)
#endif
bool leaf_is_open = true;
bool stage2, combined, on_its_way, memory, copy;

proctype flush()
{
    byte done;

    do
    ACCESS(0, 0, leaf_is_open = false)
    ACCESS(1, DSB_BEFORE, stage2 = false)
    ACCESS(2, DSB_BEFORE | DSB_BETWEEN, combined = false)
    ACCESS_WHEN(3, A(1) | A(2), !on_its_way, skip) /* the last DSB waits for it */
    ACCESS(4, DSB_AFTER, copy = memory)
    END(5)
    od
}

proctype other_cpu()
{
    do
    :: d_step { leaf_is_open -> stage2 = true }
    :: d_step { leaf_is_open -> combined = true }
    :: d_step { stage2 -> combined = true }
    :: d_step { combined && !on_its_way -> on_its_way = true }
    :: d_step { on_its_way -> on_its_way = false; memory = true }
    :: ended == THREADS -> break
    od
}

inline start() { run flush(); run other_cpu() }
inline check() { lost = stage2 || combined || on_its_way || memory != copy }
#endif

init {
    atomic { start() };
    atomic { ended == THREADS -> check(); assert(!lost) }
}
