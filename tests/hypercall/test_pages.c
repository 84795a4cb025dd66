/* SPDX-License-Identifier: MIT */
/* Contents of pages: both directions, zeros, room that ends, errors in the middle, references. */
#include <cache.h>
#include <core/dirty_log.h>
#include <core/s2.h>
#include <godwit/ext.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <stdlib.h>

#include "../../hypervisor/hypercall/godwit_ops.h"
#include "fake_host.h"

#define GUEST_PAGES 200u
#define READONLY    7u
#define HOLE        9u
#define FOREIGN     11u

static uint8_t memory[GUEST_PAGES][4096] __attribute__((aligned(4096)));
static uint8_t mine[GUEST_PAGES][4096] __attribute__((aligned(4096)));
static uint64_t frames[GUEST_PAGES];
static struct godwit_pages request;
static int held;
static uint64_t marked[GUEST_PAGES];
static unsigned catch_ups, cleaned, translated, caller_marks, marks_before_clean;
static pa_t caller_foreign; /* a page of the caller that is not its own */

/* The caller's addresses are pointers of this test, and so are its frames. */
bool arch_translate_gva(uint64_t gva, bool write, ipa_t *ret_ipa)
{
    assert_int_equal(write, request.flags == GODWIT_PAGES_READ);
    assert_int_equal(gva & PAGE_MASK, 0);
    translated++;
    *ret_ipa = ipa_make(gva);
    return gva + PAGE_SIZE_BYTES <= fake.hole_start || gva >= fake.hole_end;
}

static bool find_frame(const struct s2_vm *vm, uint64_t gfn, bool write, pa_t *ret_frame)
{
    if (vm != &fake.guest->s2) {
        *ret_frame = pa_make(gfn << PAGE_SHIFT);
        return ret_frame->addr != caller_foreign.addr;
    }
    if (gfn >= GUEST_PAGES || gfn == HOLE || gfn == FOREIGN || (write && gfn == READONLY)) {
        return false;
    }
    *ret_frame = pa_make((uintptr_t)memory[gfn]);
    return true;
}

unsigned s2_lookup_hold_ram(struct s2_vm *vm, const uint64_t *gfns, unsigned n, bool write,
                            unsigned (*hold)(const pa_t *frames, unsigned count), pa_t *ret_frames)
{
    unsigned found = 0;

    while (found < n && find_frame(vm, gfns[found], write, &ret_frames[found])) {
        found++;
    }
    return hold(ret_frames, found);
}

unsigned frame_get_list(const pa_t *list, unsigned n)
{
    held += (int)n;
    return n;
}

void frame_put_list(const pa_t *list, unsigned n)
{
    held -= (int)n;
}

void page_copy(void *to, const void *from)
{
    assert_true(held > 0);
    memcpy(to, from, PAGE_SIZE_BYTES);
}

bool page_copy_contents(void *to, const void *from)
{
    static const uint8_t zeros[PAGE_SIZE_BYTES];

    if (memcmp(from, zeros, sizeof(zeros)) == 0) {
        return false;
    }
    page_copy(to, from);
    return true;
}

void cache_before_reading(const pa_t *pages, unsigned n)
{
    catch_ups += n;
}

void cache_after_writing(const pa_t *pages, unsigned n)
{
    assert_int_equal(fake.marks, marks_before_clean);
    cleaned += n;
    marks_before_clean += n;
}

void dirty_log_mark_list(struct s2_vm *vm, const uint64_t *gfns, unsigned n,
                         enum dirty_log_writer writer)
{
    assert_true(held >= (int)n);
    for (unsigned i = 0; i < n; i++) {
        if (vm == &fake.guest->s2) {
            dirty_log_mark(vm, ipa_from_gfn(gfns[i]), writer);
        } else {
            caller_marks++;
            assert_int_not_equal(*(const uint8_t *)(uintptr_t)(gfns[i] << PAGE_SHIFT), 0xee);
        }
    }
}

static void note_mark(ipa_t ipa)
{
    uint64_t gfn = ipa_gfn(ipa);

    marked[gfn] = ((const uint64_t *)memory[gfn])[0]; /* as a harvest would find it now */
}

static int reset(void **state)
{
    fake_reset();
    memset(memory, 0, sizeof(memory));
    memset(mine, 0xee, sizeof(mine));
    memset(marked, 0xff, sizeof(marked));
    held = 0;
    catch_ups = cleaned = translated = caller_marks = marks_before_clean = 0;
    caller_foreign = pa_make(0);
    fake.on_mark = note_mark;
    return 0;
}

static int end(void **state)
{
    assert_int_equal(held, 0);
    fake_end();
    return 0;
}

static void prepare(uint32_t flags, uint32_t count, uint32_t room)
{
    request = (struct godwit_pages){
        .domid = fake.guest->id,
        .flags = flags,
        .frames = (uintptr_t)frames,
        .data = (uintptr_t)mine,
        .count = count,
        .room = room,
    };
}

static long call(void)
{
    struct hcall call = {.d = fake.control, .arg = {GODWIT_OP_PAGES, (uintptr_t)&request}};

    return godwit_pages(&call);
}

static void fill(uint64_t gfn)
{
    memset(memory[gfn], (int)gfn + 1, sizeof(memory[gfn]));
}

static void test_reads(void **state)
{
    for (unsigned i = 0; i < 150; i++) {
        frames[i] = i == HOLE || i == FOREIGN ? 0 : i;
        if (i % 3 == 0) {
            fill(i);
        }
    }
    memory[10][4095] = 1; /* one byte at the very end is contents */
    prepare(GODWIT_PAGES_READ, 150, 150);
    assert_int_equal(call(), 0);
    assert_int_equal(request.count, 150);
    for (unsigned i = 0, at = 0; i < 150; i++) {
        uint64_t gfn = frames[i] & ~GODWIT_PAGE_ZERO;
        bool zero = gfn % 3 != 0 && gfn != 10;

        assert_int_equal((frames[i] & GODWIT_PAGE_ZERO) != 0, zero);
        if (!zero) {
            assert_memory_equal(mine[at++], memory[gfn], 4096);
        }
        assert_true(i < 149 || at == request.room);
    }
    assert_int_equal(mine[request.room][0], 0xee);
    assert_int_equal(catch_ups, 150);
    assert_int_equal(fake.marks, 0);
    assert_int_equal(caller_marks, request.room);
}

static void test_room_ends(void **state)
{
    for (unsigned i = 0; i < 6; i++) {
        frames[i] = i;
        fill(i);
    }
    memset(memory[3], 0, 4096);
    prepare(GODWIT_PAGES_READ, 6, 3);
    assert_int_equal(call(), 0);
    assert_int_equal(request.count, 3); /* nobody looks whether the fourth needs room */
    assert_int_equal(request.room, 3);
    frames[0] = 0;
    prepare(GODWIT_PAGES_READ, 1, 0);
    assert_int_equal(call(), -ENOBUFS);
    assert_int_equal(request.count, 0);
}

static void test_writes(void **state)
{
    for (unsigned i = 0; i < 5; i++) {
        frames[i] = 20 + i;
        fill(20 + i);
        memset(mine[i], 0x40 + (int)i, 4096);
    }
    frames[2] |= GODWIT_PAGE_ZERO;
    prepare(GODWIT_PAGES_WRITE, 5, 4);
    assert_int_equal(call(), 0);
    assert_int_equal(request.count, 5);
    assert_int_equal(request.room, 4);
    for (unsigned i = 0, at = 0; i < 5; i++) {
        assert_int_equal(memory[20 + i][4095], i == 2 ? 0 : 0x40 + at++);
        /* marked after the write */
        assert_int_equal(marked[20 + i], *(const uint64_t *)memory[20 + i]);
    }
    assert_int_equal(cleaned, 5);
    assert_int_equal(fake.marks, 5);
}

/* An error says how far it came. */
static void test_bad_frames(void **state)
{
    static const uint64_t bad[] = {HOLE,       FOREIGN,           GUEST_PAGES,
                                   UINT64_MAX, UINT64_C(1) << 52, GODWIT_PAGE_ZERO};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fill(1);
        frames[0] = 1;
        frames[1] = bad[i];
        prepare(GODWIT_PAGES_READ, 2, 2);
        assert_int_equal(call(), -EINVAL);
        assert_int_equal(request.count, 1);
        assert_int_equal(request.room, 1);
    }
    frames[0] = READONLY;
    prepare(GODWIT_PAGES_READ, 1, 1);
    assert_int_equal(call(), 0);
    prepare(GODWIT_PAGES_WRITE, 1, 1);
    frames[0] = READONLY;
    assert_int_equal(call(), -EINVAL);
    frames[0] = READONLY | GODWIT_PAGE_ZERO;
    prepare(GODWIT_PAGES_WRITE, 1, 1);
    assert_int_equal(call(), -EINVAL);
    assert_int_equal(fake.marks, 0);
}

static void test_bad_memory(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        frames[i] = i;
        fill(i);
    }
    fake.hole_start = (uintptr_t)mine[1] + 100;
    fake.hole_end = fake.hole_start + 1;
    prepare(GODWIT_PAGES_READ, 3, 3);
    assert_int_equal(call(), -EFAULT);
    assert_int_equal(request.count, 1);
    memset(mine, 0xee, sizeof(mine));
    prepare(GODWIT_PAGES_WRITE, 3, 3);
    assert_int_equal(call(), -EFAULT);
    assert_int_equal(request.count, 1);
    assert_int_equal(memory[1][99], 0xee);
    assert_int_equal(marked[1], UINT64_C(0xeeeeeeeeeeeeeeee)); /* half written is written */
    fake.hole_start = (uintptr_t)frames;
    prepare(GODWIT_PAGES_READ, 3, 3);
    fake.hole_end = fake.hole_start + 1;
    assert_int_equal(call(), -EFAULT);
}

static void test_bad_requests(void **state)
{
    frames[0] = 1;
    prepare(2, 1, 1);
    assert_int_equal(call(), -EINVAL);
    prepare(GODWIT_PAGES_READ, 1, 1);
    request.pad = 1;
    assert_int_equal(call(), -EINVAL);
    prepare(GODWIT_PAGES_READ, 1, 1);
    request.domid = fake.control->id;
    assert_int_equal(call(), -EINVAL);
    prepare(GODWIT_PAGES_READ, 1, 1);
    request.domid = 77;
    assert_int_equal(call(), -ESRCH);
    prepare(GODWIT_PAGES_READ, 0, 0);
    assert_int_equal(call(), 0);
}

/* With something waiting for the CPU all the time, each call still does something, and not much. */
static void test_bounded(void **state)
{
    uint32_t calls = 0;

    for (unsigned i = 0; i < 150; i++) {
        frames[i] = i < 20 ? 20 : i;
        fill(frames[i]);
    }
    fake.preempt_after = 1;
    for (uint32_t done = 0; done < 150; calls++) {
        prepare(GODWIT_PAGES_READ, 150 - done, 150);
        request.frames += done * sizeof(frames[0]);
        assert_int_equal(call(), 0);
        assert_in_range(request.count, 1, 16);
        assert_memory_equal(mine[0], memory[frames[done]], 4096);
        done += request.count;
    }
    assert_int_equal(calls, 10);
}

/* What the caller has is found once for each page, and once more where the list ends meanwhile. */
static void test_caller_is_found_once(void **state)
{
    for (unsigned i = 0; i < 40; i++) {
        frames[i] = 20 + i;
        fill(frames[i]);
    }
    prepare(GODWIT_PAGES_READ, 40, 40);
    assert_int_equal(call(), 0);
    assert_int_equal(translated, 40);
    prepare(GODWIT_PAGES_WRITE, 40, 40);
    assert_int_equal(call(), 0);
    assert_int_equal(translated, 80);
    assert_int_equal(fake.marks, 40);
}

/* Contents that do not begin at a page, and a page that is not the caller's own: dearer, but right.
 */
static void test_other_ways(void **state)
{
    for (unsigned i = 0; i < 40; i++) {
        frames[i] = 20 + i;
        fill(frames[i]);
    }
    memset(memory[25], 0, 4096);
    prepare(GODWIT_PAGES_READ, 40, 40);
    request.data += 24;
    assert_int_equal(call(), 0);
    assert_int_equal(request.count, 40);
    assert_int_equal(translated, 0);
    assert_memory_equal(mine[0] + 24, memory[20], 4096);
    assert_memory_equal(mine[38] + 24, memory[59], 4096);
    frames[5] = 25;
    caller_foreign = pa_make((uintptr_t)mine[7]);
    prepare(GODWIT_PAGES_READ, 40, 40);
    assert_int_equal(call(), 0);
    for (unsigned i = 0; i < 39; i++) {
        assert_memory_equal(mine[i], memory[20 + i + (i >= 5)], 4096);
    }
    caller_foreign = pa_make((uintptr_t)mine[0]);
    frames[5] = 25;
    prepare(GODWIT_PAGES_WRITE, 40, 40);
    assert_int_equal(call(), 0);
    assert_int_equal(fake.marks, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads, reset, end),
        cmocka_unit_test_setup_teardown(test_room_ends, reset, end),
        cmocka_unit_test_setup_teardown(test_writes, reset, end),
        cmocka_unit_test_setup_teardown(test_bad_frames, reset, end),
        cmocka_unit_test_setup_teardown(test_bad_memory, reset, end),
        cmocka_unit_test_setup_teardown(test_bad_requests, reset, end),
        cmocka_unit_test_setup_teardown(test_bounded, reset, end),
        cmocka_unit_test_setup_teardown(test_caller_is_found_once, reset, end),
        cmocka_unit_test_setup_teardown(test_other_ways, reset, end),
    };

    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
