/* SPDX-License-Identifier: MIT */
/*
 * What the hardware does in dirty_log.pml: descriptors, TLBs that keep what they were not told to
 * forget, walks at any time, and the MMU's own updates of descriptors (HARDWARE).
 */
#define PAGES  2
#define BOTH   3 /* a bit per page */
#define bit(p) (1 << (p))

/* What decides about the block: a descriptor in transit, a block, or a table of two pages. */
#define LOCKED  0
#define BLOCK   1 /* closed */
#define BLOCK_W 3
#define TABLE   4
/* A page's descriptor; find() adds TABLE. */
#define CLOSED 0
#define W      1 /* open, S2AP[1] */
#define DBM    2 /* the hardware may open it */
#define RAM_RO 4 /* of a type that nobody may open */

byte root = BLOCK_W;
byte leaf[PAGES];
bool table_in_use; /* the table's page holds a table */

/*
 * A TLB may keep whatever it has read until that is invalidated, and use any of it at any time: it
 * is a set. Two pages closed, two pages open, the block closed, open, and the pointer to the table.
 */
#define T_CLOSED(p) (1 << (p))
#define T_OPEN(p)   (4 << (p))
#define T_BLOCK     16
#define T_BLOCK_W   32
#define T_TABLE     64
#define T_PAGES     15
byte tlb[VCPUS];

/* What is cached for some pages: them, the block they may be part of, and the way to them. */
#define cached(pages) \
    ((pages) != 0 -> (pages) | ((pages) << 2) | T_BLOCK | T_BLOCK_W | T_TABLE : 0)

inline invalidate_local(c, pages)
{
    tlb[c] = tlb[c] & (255 - cached(pages))
}

/* A broadcast reaches one CPU after the other; their numbers mean nothing. */
inline invalidate_all(pages)
{
    invalidate_local(0, pages);
#if VCPUS == 2
    invalidate_local(1, pages)
#endif
}

/* Two sizes for one address in one TLB: what break-before-make prevents. */
#define conflicts(c) ((tlb[c] & (T_BLOCK | T_BLOCK_W)) != 0 && (tlb[c] & T_PAGES) != 0)

/* The MMU reads page q's descriptor in the table, and keeps it and the way there. */
inline cache_leaf(c, q)
{
    assert(table_in_use); /* else it walks through what is somebody else's memory by now */
    if
    :: (leaf[q] & W) != 0 -> tlb[c] = tlb[c] | T_OPEN(q) | T_TABLE
    :: else -> tlb[c] = tlb[c] | T_CLOSED(q) | T_TABLE
    fi;
    assert(!conflicts(c))
}

inline walk(c, q)
{
    if
    :: root == BLOCK -> tlb[c] = tlb[c] | T_BLOCK; assert(!conflicts(c))
    :: root == BLOCK_W -> tlb[c] = tlb[c] | T_BLOCK_W; assert(!conflicts(c))
    :: root == TABLE -> cache_leaf(c, q)
    :: else
    fi
}

#ifdef HARDWARE
#define TRACKED DBM /* what closed pages get in a new table */
#else
#define TRACKED 0
#endif

/* The MMU opens a closed page with DBM: it reads the descriptor again and changes it at once. */
#define hardware_may_open(c, q) \
    (TRACKED != 0 && (tlb[c] & T_CLOSED(q)) != 0 && (root == TABLE || (tlb[c] & T_TABLE) != 0) && \
     (leaf[q] & DBM) != 0)

inline hardware_open(c, q)
{
    assert(table_in_use);
    leaf[q] = leaf[q] | W;
    tlb[c] = tlb[c] | T_OPEN(q) | T_TABLE;
    assert(!conflicts(c))
}

#define may_store(c, q) ((tlb[c] & (T_BLOCK_W | T_OPEN(q))) != 0)
#define may_fault(c, q) ((tlb[c] & (T_BLOCK | T_CLOSED(q))) != 0)
