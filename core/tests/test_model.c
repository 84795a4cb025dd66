/* SPDX-License-Identifier: MIT */
/*
 * Random operations on an address space and on a flat array of pages that says what they must do.
 * The seed is printed on failure; CORE_SEED and CORE_STEPS choose others.
 */
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOWS      3u
#define WINDOW_PAGES 2048u
#define PAGES        (WINDOWS * WINDOW_PAGES)
#define FRAMES       8192u

struct page {
    enum s2_type type;
    uint64_t frame;
    bool opened; /* an S2_FOREIGN_RW page that was opened */
    bool marked;
    bool taken;
    unsigned pins;
};

static struct s2_vm vm;
static struct page pages[PAGES];
static uint64_t content[FRAMES];
static uint64_t window_gfn[WINDOWS];
static struct fake_random rnd;
static bool logging; /* entirely on */
static bool session;
static uint64_t seed;

static void expect(bool ok, const char *what, unsigned page)
{
    if (!ok) {
        fake_die("seed %llu: %s at page %u", (unsigned long long)seed, what, page);
    }
}

static uint64_t gfn_of(unsigned page)
{
    return window_gfn[page / WINDOW_PAGES] + page % WINDOW_PAGES;
}

static ipa_t ipa_of(unsigned page)
{
    return ipa_from_gfn(gfn_of(page));
}

static pa_t pa_of(uint64_t frame)
{
    return pa_add(pa_make(FAKE_RAM_BASE), frame << PAGE_SHIFT);
}

static bool is_ram(enum s2_type type)
{
    return type == S2_RAM_RW || type == S2_RAM_RO;
}

static unsigned below(unsigned limit)
{
    return (unsigned)fake_random_below(&rnd, limit);
}

/* A range inside one window: single pages, any length, or whole 2 MiB regions. */
static void random_range(unsigned *first, unsigned *count)
{
    unsigned window = below(WINDOWS) * WINDOW_PAGES;
    unsigned start = below(WINDOW_PAGES);
    unsigned n = 1;

    switch (below(4)) {
    case 0:
        n += below(WINDOW_PAGES - start);
        break;
    case 1:
        start &= ~511u;
        n = 512 * (1 + below((WINDOW_PAGES - start) / 512));
        break;
    case 2:
        n += below(8);
        break;
    }
    if (n > WINDOW_PAGES - start) {
        n = WINDOW_PAGES - start;
    }
    *first = window + start;
    *count = n;
}

static void maybe_fail_allocation(void)
{
    fake_fail_allocation(below(6) == 0 ? (long)below(4) : -1);
}

static void do_map(void)
{
    static const enum s2_type types[] = {S2_RAM_RW,     S2_RAM_RW,     S2_RAM_RW, S2_RAM_RO,
                                         S2_FOREIGN_RW, S2_FOREIGN_RO, S2_SHARED, S2_DEVICE};
    enum s2_type type = types[below(8)];
    unsigned first, count;
    uint64_t frame;
    int expected = 0;
    int result;

    random_range(&first, &count);
    /* Usually frames that can form blocks with what lies around. */
    frame = below(4) == 0 ? below(FRAMES - count) : first;
    for (unsigned i = first; i < first + count; i++) {
        if (pages[i].type != S2_NONE) {
            expected = -CORE_EEXIST;
        }
    }
    maybe_fail_allocation();
    result = s2_map(&vm, ipa_of(first), pa_of(frame), (uint64_t)count << PAGE_SHIFT, type);
    fake_fail_allocation(-1);
    if (result == -CORE_ENOMEM && expected == 0) {
        return;
    }
    expect(result == expected, "map", first);
    for (unsigned i = first; result == 0 && i < first + count; i++) {
        pages[i].type = type;
        pages[i].frame = frame + (i - first);
        pages[i].opened = false;
        pages[i].marked = logging && is_ram(type);
        pages[i].taken = false;
    }
}

static void check_released(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                           bool writable)
{
    unsigned *next = context;

    for (uint64_t offset = 0; offset < bytes; offset += PAGE_SIZE_BYTES) {
        while (pages[*next].type == S2_NONE) {
            ++*next;
        }
        expect(ipa_of(*next).addr == ipa.addr + offset, "released address", *next);
        expect(pa_of(pages[*next].frame).addr == pa.addr + offset, "released frame", *next);
        expect(pages[*next].type == type, "released type", *next);
        if (type == S2_FOREIGN_RW) {
            expect(pages[*next].opened == writable, "released permission", *next);
        }
        ++*next;
    }
}

static void do_unmap(void)
{
    unsigned first, count, next;
    int result;

    random_range(&first, &count);
    next = first;
    maybe_fail_allocation();
    result = s2_unmap(&vm, ipa_of(first), (uint64_t)count << PAGE_SHIFT, check_released, &next);
    fake_fail_allocation(-1);
    if (result == -CORE_ENOMEM) {
        expect(next == first, "unmap without memory", first);
        return;
    }
    expect(result == 0, "unmap", first);
    for (; next < first + count; next++) {
        expect(pages[next].type == S2_NONE, "page not released", next);
    }
    for (unsigned i = first; i < first + count; i++) {
        pages[i].type = S2_NONE;
        pages[i].marked = false;
        pages[i].taken = false;
    }
}

static void do_set_type(void)
{
    enum s2_type type = below(2) ? S2_RAM_RW : S2_RAM_RO;
    unsigned first, count;
    int expected = 0;
    int result;

    random_range(&first, &count);
    for (unsigned i = first; expected == 0 && i < first + count; i++) {
        if (pages[i].type == S2_NONE) {
            expected = -CORE_ENOENT;
        } else if (!is_ram(pages[i].type)) {
            expected = -CORE_EINVAL;
        }
    }
    maybe_fail_allocation();
    result = s2_set_type(&vm, ipa_of(first), (uint64_t)count << PAGE_SHIFT, type);
    fake_fail_allocation(-1);
    if (result == -CORE_ENOMEM && expected == 0) {
        return;
    }
    expect(result == expected, "set_type", first);
    for (unsigned i = first; result == 0 && i < first + count; i++) {
        pages[i].type = type;
    }
}

static void do_store(void)
{
    unsigned i = below(PAGES);
    uint64_t value = fake_random_next(&rnd);
    enum fake_access expected = FAKE_DONE;
    struct page *page = &pages[i];

    fake_cpu = below(FAKE_CPUS);
    if (page->type == S2_NONE) {
        expected = FAKE_UNMAPPED;
    } else if (page->type == S2_RAM_RO || page->type == S2_FOREIGN_RO) {
        expected = FAKE_READONLY;
    } else if (page->type == S2_FOREIGN_RW && !page->opened) {
        expected = FAKE_FOREIGN;
    }
    expect(fake_store(&vm, ipa_of(i), value) == expected, "store", i);
    if (expected == FAKE_FOREIGN && below(2)) {
        expect(s2_open_foreign(&vm, ipa_of(i), pa_of(page->frame)), "open foreign", i);
        page->opened = true;
    }
    if (expected == FAKE_DONE) {
        content[page->frame] = value;
        page->marked |= logging && page->type == S2_RAM_RW;
    }
    fake_cpu = 0;
}

static void do_load(void)
{
    unsigned i = below(PAGES);
    uint64_t value = 0;

    fake_cpu = below(FAKE_CPUS);
    if (pages[i].type == S2_NONE) {
        expect(fake_load(&vm, ipa_of(i), &value) == FAKE_UNMAPPED, "load of a hole", i);
    } else {
        expect(fake_load(&vm, ipa_of(i), &value) == FAKE_DONE, "load", i);
        expect(value == content[pages[i].frame], "content", i);
    }
    fake_cpu = 0;
}

static void do_mark(void)
{
    unsigned i = below(PAGES);

    dirty_log_mark(&vm, ipa_of(i), DIRTY_WRITER_DEVICE);
    pages[i].marked |= logging && is_ram(pages[i].type);
}

static void do_pin(void)
{
    unsigned i = below(PAGES);

    if (pages[i].pins != 0 && below(2)) {
        dirty_log_unpin(&vm, ipa_of(i));
        pages[i].pins--;
    } else {
        maybe_fail_allocation();
        if (dirty_log_pin(&vm, ipa_of(i)) != 0) {
            fake_fail_allocation(-1);
            return;
        }
        fake_fail_allocation(-1);
        pages[i].pins++;
    }
    pages[i].marked |= logging && is_ram(pages[i].type);
}

/* The guest's first writes while logging was being enabled may be marked or not: take what is. */
static void adopt_marks(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint8_t bits[8];

        (void)dirty_log_peek(&vm, gfn_of(i) & ~UINT64_C(63), 64, bits);
        pages[i].marked = test_bit(bits, gfn_of(i) % 64);
        pages[i].taken = false;
        expect(pages[i].pins == 0 || !is_ram(pages[i].type) || pages[i].marked, "pin", i);
    }
}

static void do_switch(void)
{
    int result;

    if (logging ? below(4) != 0 : below(2)) {
        return;
    }
    if (logging) {
        logging = false;
        session = false;
        do {
            result = dirty_log_off(&vm);
        } while (result == -CORE_ERESTART && below(8) != 0);
        return;
    }
    maybe_fail_allocation();
    result = dirty_log_enable(&vm, &log_options);
    fake_fail_allocation(-1);
    expect(result == 0 || result == -CORE_ERESTART || result == -CORE_ENOMEM, "enable", 0);
    if (result == 0) {
        logging = true;
        adopt_marks();
    }
}

static void do_take(void)
{
    static uint8_t bits[WINDOW_PAGES / 8];
    unsigned first = below(PAGES) & ~63u;
    unsigned count = 64 * (1 + below((WINDOW_PAGES - first % WINDOW_PAGES) / 64));
    uint64_t taken = 0;

    if (!session) {
        expect(dirty_log_harvest_begin(&vm) == 0, "begin", 0);
        session = true;
    }
    for (unsigned i = first; i < first + count; i++) {
        taken += pages[i].marked;
    }
    expect(dirty_log_harvest_take(&vm, gfn_of(first), count, bits) == taken, "number taken", first);
    for (unsigned i = first; i < first + count; i++) {
        expect(test_bit(bits, i - first) == pages[i].marked, "taken bit", i);
        pages[i].taken |= pages[i].marked;
        pages[i].marked = pages[i].pins != 0 && is_ram(pages[i].type);
    }
}

static void do_finish(void)
{
    bool commit = below(2);

    if (!session) {
        return;
    }
    if (below(4) == 0) {
        unsigned i = below(PAGES);

        dirty_log_harvest_untake(&vm, gfn_of(i), 1);
        pages[i].marked |= pages[i].taken;
        pages[i].taken = false;
        return;
    }
    if (commit) {
        dirty_log_harvest_commit(&vm);
    } else {
        abort_session(&vm);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        pages[i].marked |= pages[i].taken && !commit;
        pages[i].taken = false;
    }
    session = false;
}

static void do_merge(void)
{
    ipa_t cursor = ipa_of(below(PAGES));

    if (below(2)) {
        s2_merge_at(&vm, cursor);
    } else {
        (void)s2_merge(&vm, &cursor);
    }
}

static void check_page(unsigned i)
{
    const struct page *page = &pages[i];
    struct s2_leaf leaf = s2_lookup(&vm, ipa_of(i));

    expect(leaf.type == page->type, "type", i);
    if (page->type == S2_NONE) {
        return;
    }
    expect(leaf.pa.addr == pa_of(page->frame).addr, "frame", i);
    /* The invariant of the log. */
    expect(!logging || page->type != S2_RAM_RW || page->marked || !leaf.writable,
           "writable and unmarked", i);
}

static void check_all(void)
{
    uint64_t marked = 0;

    for (unsigned i = 0; i < PAGES; i++) {
        check_page(i);
        marked += pages[i].marked;
    }
    expect(!logging || dirty_log_count(&vm) == marked, "number of marks", 0);
}

static void run_seed(uint8_t ipa_bits, unsigned steps)
{
    rnd.state = seed;
    memset(pages, 0, sizeof(pages));
    memset(content, 0, sizeof(content));
    logging = session = false;
    window_gfn[0] = 0;
    window_gfn[1] = (GIB(1) - MIB(4)) >> PAGE_SHIFT;
    window_gfn[2] = (UINT64_C(1) << (ipa_bits - PAGE_SHIFT)) - WINDOW_PAGES;
    make_vm(&vm, ipa_bits);
    for (unsigned step = 0; step < steps; step++) {
        switch (below(16)) {
        case 0:
        case 1:
            do_map();
            break;
        case 2:
            do_unmap();
            break;
        case 3:
            do_set_type();
            break;
        case 4:
            do_mark();
            break;
        case 5:
            do_pin();
            break;
        case 6:
        case 7:
            do_switch();
            break;
        case 8:
            do_merge();
            break;
        case 9:
        case 10:
            if (logging) {
                do_take();
            }
            break;
        case 11:
            if (logging) {
                do_finish();
            }
            break;
        case 12:
            do_load();
            break;
        default:
            do_store();
        }
        fake_check_tlbs(&vm);
        if (step % 64 == 0) {
            check_all();
        }
    }
    check_all();
    end_vm(&vm);
}

static unsigned setting(const char *name, unsigned fallback)
{
    const char *text = getenv(name);

    return text == NULL ? fallback : (unsigned)strtoul(text, NULL, 0);
}

static void random_operations_match_the_model(void **state)
{
    static const uint8_t widths[] = {32, 39, 40, 43, 44, 48};
    unsigned steps = setting("CORE_STEPS", 4000);

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        fake_reset();
        seed = setting("CORE_SEED", 1) + i;
        run_seed(widths[i % 6], steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_operations_match_the_model, fresh_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
