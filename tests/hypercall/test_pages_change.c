/* SPDX-License-Identifier: MIT */
/*
 * Pages that go away or become something else while their contents are copied: while their batch
 * lasts, before the next one, and from one call to the next. A batch copies the frames that it
 * found; the next one finds what is there then. Nothing stays held.
 */
#include <core/dirty_log.h>
#include <core/s2.h>
#include <godwit/ext.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/p2m.h>

#include "../../hypervisor/hypercall/godwit_ops.h"
#include "real_memory.h"

/* Pages of the control domain. */
#define REQUEST 1u
#define LIST    2u
#define DATA    16u
#define ROOM    192u

#define BATCH       64u /* pages of the guest that are found at once */
#define CALLER_PART 16u /* and of the caller */
#define WRITTEN     0xa0

static struct godwit_pages *request;
static uint64_t *list;
static unsigned victim; /* the page of the list that something happens to */
static pa_t victim_frame;
static uint64_t free_before;

static uint8_t *data(unsigned page)
{
    return memory_of_control(DATA + page);
}

static uint64_t gfn_of(unsigned index)
{
    return GUEST_LIST_GFN + index;
}

static uint64_t data_gfn(unsigned page)
{
    return memory_address(DATA + page) >> PAGE_SHIFT;
}

static void assert_filled(const void *page, uint8_t byte)
{
    const uint8_t *bytes = page;

    assert_int_equal(bytes[0], byte);
    assert_memory_equal(bytes, bytes + 1, PAGE_SIZE_BYTES - 1);
}

static uint8_t byte_of(unsigned index)
{
    return (uint8_t)(index % 150 + 1);
}

static void *guest_page(unsigned index)
{
    return pa_to_va(memory_frame(memory.guest, gfn_of(index)));
}

static int begin(void **state)
{
    memory_begin();
    request = memory_of_control(REQUEST);
    list = memory_of_control(LIST);
    for (unsigned i = 0; i < GUEST_LIST_PAGES; i++) {
        memset(guest_page(i), byte_of(i), PAGE_SIZE_BYTES);
    }
    return 0;
}

static int end(void **state)
{
    memory_end();
    return 0;
}

static void prepare(uint32_t flags, uint32_t count)
{
    for (unsigned i = 0; i < count; i++) {
        list[i] = gfn_of(i);
    }
    memset(data(0), flags == GODWIT_PAGES_READ ? 0xee : WRITTEN, ROOM << PAGE_SHIFT);
    *request = (struct godwit_pages){.domid = memory.guest->id,
                                     .flags = flags,
                                     .frames = memory_address(LIST),
                                     .data = memory_address(DATA),
                                     .count = count,
                                     .room = ROOM};
    free_before = frame_free_pages();
}

static long call(void)
{
    struct hcall call = {.d = memory.control, .arg = {GODWIT_OP_PAGES, memory_address(REQUEST)}};

    return godwit_pages(&call);
}

/* Something happens to a page before so many have been copied. */
static void act_on(unsigned page, int copies, void (*act)(void))
{
    victim = page;
    victim_frame = memory_frame(memory.guest, gfn_of(page));
    memory.copies_until_act = copies;
    memory.act = act;
    memory.acted = false;
}

static void remove_victim(void)
{
    assert_int_equal(p2m_remove(memory.guest, gfn_of(victim), 1), 0);
}

static void replace_victim(void)
{
    remove_victim();
    memory_populate(memory.guest, gfn_of(victim));
}

static void make_victim_read_only(void)
{
    assert_int_equal(p2m_set_type(memory.guest, gfn_of(victim), 1, S2_RAM_RO), 0);
}

static void make_victim_foreign(void)
{
    remove_victim();
    assert_int_equal(p2m_add_foreign(memory.guest, gfn_of(victim), memory.other, GUEST_LIST_GFN),
                     0);
}

static void make_victim_shared(void)
{
    remove_victim();
    assert_int_equal(p2m_add_shared(memory.guest, gfn_of(victim), memory.shared_page), 0);
}

static void kill_guest(void)
{
    memory_kill(memory.guest);
}

static const struct change {
    void (*act)(void);
    bool reads, writes; /* what the next batch may do to it */
    bool all;           /* it happens to all pages */
} changes[] = {
    {.act = remove_victim},
    {.act = replace_victim, .reads = true, .writes = true},
    {.act = make_victim_read_only, .reads = true},
    {.act = make_victim_foreign},
    {.act = make_victim_shared},
    {.act = kill_guest, .all = true},
};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))

/* What has taken the victim's place has not been written. */
static void assert_successor_untouched(const struct change *change)
{
    if (change->act == replace_victim) {
        assert_filled(guest_page(victim), 0);
    }
    assert_filled(pa_to_va(memory_frame(memory.other, GUEST_LIST_GFN)), 0);
    assert_filled(memory.shared_page, 0);
}

/* A batch reads what it found, whatever becomes of it. */
static void test_read_in_a_batch(void **state)
{
    for (unsigned i = 0; i < CHANGES; i++) {
        prepare(GODWIT_PAGES_READ, 10);
        act_on(5, 5, changes[i].act);
        assert_int_equal(call(), 0);
        assert_true(memory.acted);
        assert_int_equal(request->count, 10);
        assert_int_equal(request->room, 10);
        for (unsigned page = 0; page < 10; page++) {
            assert_filled(data(page), byte_of(page));
        }
        end(state);
        begin(state);
    }
}

/* A batch writes what it found, and nothing that took its place. */
static void test_write_in_a_batch(void **state)
{
    for (unsigned i = 0; i < CHANGES; i++) {
        memory_enable_log(memory.guest);
        prepare(GODWIT_PAGES_WRITE, 10);
        act_on(5, 5, changes[i].act);
        assert_int_equal(call(), 0);
        assert_true(memory.acted);
        assert_int_equal(request->count, 10);
        for (unsigned page = 0; page < 10 && !changes[i].all; page++) {
            if (page != 5) {
                assert_filled(guest_page(page), WRITTEN);
            }
        }
        assert_successor_untouched(&changes[i]);
        /* In the log is what the guest has of it; a page that is new there is in it anyway. */
        assert_int_equal(dirty_log_count(&memory.guest->s2),
                         changes[i].all ? 0 : 9 + (changes[i].reads ? 1 : 0));
        end(state);
        begin(state);
    }
}

static long act_before_the_next_batch(uint32_t flags, const struct change *change)
{
    prepare(flags, 100);
    act_on(BATCH + 6, 3, change->act);
    return call();
}

/* The next batch finds what is there by then, and what is said to be done is done. */
static void test_next_batch(void **state)
{
    for (unsigned i = 0; i < 2 * CHANGES; i++) {
        const struct change *change = &changes[i / 2];
        bool write = i % 2 == 1, may = write ? change->writes : change->reads;
        uint32_t flags = write ? GODWIT_PAGES_WRITE : GODWIT_PAGES_READ;
        uint32_t stops_at = change->all ? BATCH : BATCH + 6;

        assert_int_equal(act_before_the_next_batch(flags, change), may ? 0 : -EINVAL);
        assert_int_equal(request->count, may ? 100 : stops_at);
        assert_int_equal(request->room, request->count - (!write && change->act == replace_victim));
        for (unsigned page = 0; page < request->room && page < victim; page++) {
            assert_filled(write && !change->all ? guest_page(page) : data(page),
                          write ? WRITTEN : byte_of(page));
        }
        if (change->act == make_victim_read_only) {
            assert_filled(pa_to_va(victim_frame), byte_of(victim));
        } else if (!may) {
            assert_successor_untouched(change);
        }
        end(state);
        begin(state);
    }
}

/* The same from one call to the next one, where the rest is asked for. */
static void test_next_call(void **state)
{
    for (unsigned i = 0; i < 2 * CHANGES; i++) {
        const struct change *change = &changes[i / 2];
        bool write = i % 2 == 1, may = write ? change->writes : change->reads;

        memory.busy = true;
        prepare(write ? GODWIT_PAGES_WRITE : GODWIT_PAGES_READ, 40);
        assert_int_equal(call(), 0);
        assert_int_equal(request->count, CALLER_PART);
        act_on(CALLER_PART + 2, 0, NULL);
        change->act();
        request->frames += CALLER_PART * sizeof(list[0]);
        request->data += CALLER_PART * PAGE_SIZE_BYTES;
        request->count = 40 - CALLER_PART;
        request->room = ROOM - CALLER_PART;
        assert_int_equal(call(), may ? 0 : -EINVAL);
        assert_int_equal(request->count, may ? CALLER_PART : change->all ? 0 : 2);
        end(state);
        begin(state);
    }
}

/* Frames that a batch holds are nobody else's, and are free as soon as it is over. */
static void remove_and_take_all(void)
{
    uint64_t free_pages = frame_free_pages();
    unsigned taken = 0;
    pa_t frame;

    remove_victim();
    assert_int_equal(frame_free_pages(), free_pages);
    while (frame_alloc_domain(memory.other, 0, &frame)) {
        memset(pa_to_va(frame), 0xdd, PAGE_SIZE_BYTES);
        assert_int_equal(p2m_add_ram(memory.other, 0x1000 + taken++, frame, 0), 0);
    }
    assert_int_equal(taken, free_pages);
}

static void test_frames_are_held_and_let_go(void **state)
{
    prepare(GODWIT_PAGES_READ, 10);
    act_on(5, 2, remove_and_take_all);
    assert_int_equal(call(), 0);
    assert_filled(data(5), byte_of(5));
    assert_int_equal(frame_free_pages(), 1);
    assert_int_equal(frame_owner(victim_frame), DOMID_INVALID);
}

/* The guest's last frames are those of the batch: they keep it, and go with it. */
static void kill_and_count(void)
{
    memory_kill(memory.guest);
    assert_int_equal(memory.guest->tot_pages, 10);
    assert_int_equal(memory.guest->refcount, 3); /* existence, frames, call */
}

static void test_owner_dies(void **state)
{
    for (uint32_t flags = GODWIT_PAGES_READ; flags <= GODWIT_PAGES_WRITE; flags++) {
        memory_enable_log(memory.guest);
        prepare(flags, 10);
        act_on(0, 9, kill_and_count);
        assert_int_equal(call(), 0);
        assert_true(memory.acted);
        assert_int_equal(memory.guest->tot_pages, 0);
        assert_int_equal(memory.guest->refcount, 1);
        prepare(flags, 10);
        assert_int_equal(call(), -EINVAL);
        assert_int_equal(request->count, 0);
        end(state);
        begin(state);
    }
}

/* The log is another one by the time of the mark: it is in that one. */
static void begin_another_log(void)
{
    memory_disable_log(memory.guest);
    memory_enable_log(memory.guest);
}

static void test_log_begins_anew(void **state)
{
    memory_enable_log(memory.guest);
    prepare(GODWIT_PAGES_WRITE, 10);
    act_on(5, 5, begin_another_log);
    assert_int_equal(call(), 0);
    assert_int_equal(dirty_log_count(&memory.guest->s2), 10);
}

static unsigned lost_data; /* page of the caller's that goes */

/* Its own frame is never given to anybody else; it is held like every other. */
static void remove_data(void)
{
    pa_t frame = memory_frame(memory.control, data_gfn(lost_data));

    assert_int_equal(memory_references(frame), lost_data < CALLER_PART ? 2 : 1);
    assert_int_equal(p2m_remove(memory.control, data_gfn(lost_data), 1), 0);
}

/* A page of the caller's goes: those that are held are used, the next ones are not there. */
static void test_callers_page_goes(void **state)
{
    for (uint32_t flags = GODWIT_PAGES_READ; flags <= GODWIT_PAGES_WRITE; flags++) {
        for (lost_data = 10; lost_data < 40; lost_data += 10) {
            bool held = lost_data < CALLER_PART;

            prepare(flags, 50);
            act_on(0, 3, remove_data);
            assert_int_equal(call(), held ? 0 : -EFAULT);
            assert_int_equal(request->count, held ? 50 : lost_data);
            assert_int_equal(request->room, request->count);
            assert_int_equal(p2m_refill(memory.control, data_gfn(lost_data), 0), 0);
        }
    }
}

static void remove_list(void)
{
    assert_int_equal(p2m_remove(memory.control, memory_address(LIST) >> PAGE_SHIFT, 1), 0);
}

/* Where nobody can be told which pages were zeros, their batch counts as not done. */
static void test_callers_list_goes(void **state)
{
    memset(guest_page(2), 0, PAGE_SIZE_BYTES);
    memset(guest_page(BATCH + 2), 0, PAGE_SIZE_BYTES);
    for (unsigned batches = 0; batches < 2; batches++) {
        prepare(GODWIT_PAGES_READ, 100);
        act_on(0, batches == 0 ? 3 : BATCH + 3, remove_list);
        assert_int_equal(call(), -EFAULT);
        assert_int_equal(request->count, batches * BATCH);
        assert_int_equal(request->room, batches * (BATCH - 1));
        assert_int_equal(p2m_refill(memory.control, memory_address(LIST) >> PAGE_SHIFT, 0), 0);
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(list[i], gfn_of(i) | (batches && i == 2 ? GODWIT_PAGE_ZERO : 0));
        }
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(test_read_in_a_batch),
        CASE(test_write_in_a_batch),
        CASE(test_next_batch),
        CASE(test_next_call),
        CASE(test_frames_are_held_and_let_go),
        CASE(test_owner_dies),
        CASE(test_log_begins_anew),
        CASE(test_callers_page_goes),
        CASE(test_callers_list_goes),
    };

    return cmocka_run_group_tests_name("pages that change", tests, NULL, NULL);
}
