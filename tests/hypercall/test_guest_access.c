/* SPDX-License-Identifier: MIT */
/*
 * Copies from and to guest pointers, on a guest of a few pages with every kind of page in it.
 * The page model below counts references and marks, so that each copy is seen to leave none behind.
 */
#include <core/dirty_log.h>
#include <core/s2.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>

#define PAGES    8u
#define GVA_BASE UINT64_C(0xffff000012340000) /* a kernel address */
#define IPA_BASE UINT64_C(0x40000000)

struct model_page {
    bool stage1, stage1_write; /* what the guest's own tables permit */
    enum s2_type type;
    bool open; /* S2_FOREIGN_RW that was written before */
    int references;
    unsigned marks, opened;
    uint8_t bytes[PAGE_SIZE_BYTES];
    uint8_t bytes_at_mark[PAGE_SIZE_BYTES];
};

static struct model_page pages[PAGES];
static struct domain domain;
static struct vcpu vcpu = {.domain = &domain};
static uint8_t buffer[PAGES * PAGE_SIZE_BYTES];

void page_zero(void *page)
{
    memset(page, 0, PAGE_SIZE_BYTES);
}

struct vcpu *vcpu_current(void)
{
    return &vcpu;
}

bool arch_translate_gva(uint64_t gva, bool write, ipa_t *ret_ipa)
{
    uint64_t index = (gva - GVA_BASE) >> PAGE_SHIFT;

    if (gva < GVA_BASE || index >= PAGES || !pages[index].stage1 ||
        (write && !pages[index].stage1_write)) {
        return false;
    }
    *ret_ipa = ipa_make(gva - GVA_BASE + IPA_BASE);
    return true;
}

static struct model_page *page_at(ipa_t ipa)
{
    uint64_t index = (ipa.addr - IPA_BASE) >> PAGE_SHIFT;

    return ipa.addr >= IPA_BASE && index < PAGES ? &pages[index] : NULL;
}

/* The physical address of page i is i * 4096. */
struct s2_leaf s2_lookup_hold(struct s2_vm *vm, ipa_t ipa, bool (*hold)(pa_t pa))
{
    struct model_page *page = page_at(ipa);
    struct s2_leaf leaf = {.type = S2_NONE};

    if (page != NULL && page->type != S2_NONE) {
        leaf.type = page->type;
        leaf.writable = page->open;
        leaf.pa = pa_make((uint64_t)(page - pages) << PAGE_SHIFT | (ipa.addr & PAGE_MASK));
        if (page->type != S2_DEVICE && !hold(leaf.pa)) {
            leaf.type = S2_NONE;
        }
    }
    return leaf;
}

bool frame_get(pa_t pa)
{
    struct model_page *page = &pages[pa_mfn(pa)];

    if (page->type == S2_SHARED) {
        return false; /* the hypervisor's own */
    }
    page->references++;
    return true;
}

void frame_put(pa_t pa)
{
    pages[pa_mfn(pa)].references--;
}

void *pa_to_va(pa_t pa)
{
    return pages[pa_mfn(pa)].bytes + (pa.addr & PAGE_MASK);
}

enum s2_fault p2m_fault_write(struct domain *d, ipa_t ipa)
{
    struct model_page *page = page_at(ipa);

    page->opened++;
    page->open = true;
    return S2_FAULT_RETRY;
}

void dirty_log_mark(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer)
{
    (void)writer;
    struct model_page *page = page_at(ipa);

    assert_int_equal(page->references, 1); /* the frame is still held */
    page->marks++;
    memcpy(page->bytes_at_mark, page->bytes, PAGE_SIZE_BYTES);
}

static int reset(void **state)
{
    memset(pages, 0, sizeof(pages));
    for (unsigned i = 0; i < PAGES; i++) {
        pages[i].stage1 = pages[i].stage1_write = true;
        pages[i].type = S2_RAM_RW;
        memset(pages[i].bytes, (int)(i + 1), PAGE_SIZE_BYTES);
    }
    memset(buffer, 0xee, sizeof(buffer));
    return 0;
}

static int no_reference_left(void **state)
{
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(pages[i].references, 0);
        if (pages[i].marks != 0) { /* the mark comes after the write */
            assert_memory_equal(pages[i].bytes, pages[i].bytes_at_mark, PAGE_SIZE_BYTES);
        }
    }
    return 0;
}

static uint64_t gva(unsigned page, unsigned offset)
{
    return GVA_BASE + page * PAGE_SIZE_BYTES + offset;
}

static void any_alignment_over_pages(void **state)
{
    assert_int_equal(copy_from_guest(buffer, gva(0, 4093), 4096 + 6), 0);
    assert_int_equal(buffer[2], 1);
    assert_int_equal(buffer[3], 2);
    assert_int_equal(buffer[3 + 4096], 3);
    assert_int_equal(buffer[4096 + 5], 3);
    assert_int_equal(buffer[4096 + 6], 0xee);
    assert_int_equal(pages[0].marks + pages[1].marks + pages[2].marks, 0);
    assert_int_equal(copy_from_guest(buffer, gva(0, 0), 0), 0);
    assert_int_equal(copy_from_guest(buffer, 0, 0), 0);
}

/* A device's log had the ring that announces the data, and not all pages of the data. */
static void bug_12_every_page_of_a_result(void **state)
{
    memset(buffer, 0x77, sizeof(buffer));
    assert_int_equal(copy_to_guest(gva(1, 4095), buffer, 4098), 0);
    assert_int_equal(pages[1].bytes[4094], 2);
    assert_int_equal(pages[1].bytes[4095], 0x77);
    assert_int_equal(pages[2].bytes[4095], 0x77);
    assert_int_equal(pages[3].bytes[0], 0x77);
    assert_int_equal(pages[3].bytes[1], 4);
    assert_int_equal(pages[0].marks, 0);
    assert_int_equal(pages[1].marks, 1);
    assert_int_equal(pages[2].marks, 1);
    assert_int_equal(pages[3].marks, 1);
    assert_int_equal(pages[4].marks, 0);
    assert_int_equal(clear_guest(gva(1, 4095), 2), 0);
    assert_int_equal(pages[1].bytes[4095], 0);
    assert_int_equal(pages[2].bytes[0], 0);
    assert_int_equal(pages[2].bytes[1], 0x77);
    assert_int_equal(pages[2].marks, 2);
}

static void stops_at_the_first_bad_page(void **state)
{
    pages[2].stage1 = false;
    assert_int_equal(copy_from_guest(buffer, gva(1, 4000), 300), 204);
    assert_int_equal(buffer[95], 2);
    assert_int_equal(buffer[96], 0xee);
    assert_int_equal(copy_to_guest(gva(1, 4000), buffer, 300), 204);
    assert_int_equal(pages[1].marks, 1);
    pages[2].stage1 = true;
    pages[2].type = S2_NONE;
    assert_int_equal(copy_from_guest(buffer, gva(1, 4000), 300), 204);
    assert_int_equal(copy_from_guest(buffer, gva(7, 4000), 300), 204); /* the end of the world */
}

static void what_may_only_be_read(void **state)
{
    pages[1].stage1_write = false;
    pages[2].type = S2_RAM_RO;
    pages[3].type = S2_FOREIGN_RO;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(copy_from_guest(buffer, gva(i, 0), 8), 0);
        assert_int_equal(buffer[0], i + 1);
        assert_int_equal(copy_to_guest(gva(i, 0), buffer, 8), 8);
        assert_int_equal(clear_guest(gva(i, 0), 8), 8);
        assert_int_equal(probe_guest_write(gva(i, 0), 8), 8);
        assert_int_equal(pages[i].marks, 0);
    }
    assert_int_equal(pages[1].bytes[0], 2);
}

static void neither_devices_nor_shared_pages(void **state)
{
    pages[1].type = S2_DEVICE;
    pages[2].type = S2_SHARED;
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(copy_from_guest(buffer, gva(i, 0), 8), 8);
        assert_int_equal(copy_to_guest(gva(i, 0), buffer, 8), 8);
    }
}

static void foreign_pages_open_at_the_first_write(void **state)
{
    pages[1].type = S2_FOREIGN_RW;
    assert_int_equal(copy_from_guest(buffer, gva(1, 0), 8), 0);
    assert_int_equal(pages[1].opened, 0);
    assert_int_equal(copy_to_guest(gva(1, 0), buffer, 8), 0);
    assert_int_equal(pages[1].opened, 1);
    assert_int_equal(copy_to_guest(gva(1, 0), buffer, 8), 0);
    assert_int_equal(pages[1].opened, 1);
}

static void wrapping_ranges_touch_nothing(void **state)
{
    assert_int_equal(copy_to_guest(UINT64_MAX - 3, buffer, 8), 8);
    assert_int_equal(copy_to_guest(gva(0, 0), buffer, SIZE_MAX), SIZE_MAX);
    assert_int_equal(clear_guest(gva(0, 0), SIZE_MAX - 100), SIZE_MAX - 100);
    assert_int_equal(pages[0].marks, 0);
    assert_int_equal(copy_to_ipa(&domain, ipa_make(UINT64_MAX - 3), buffer, 8), -EFAULT);
}

static void probing_changes_nothing(void **state)
{
    assert_int_equal(probe_guest_write(gva(0, 10), 8000), 0);
    assert_int_equal(pages[0].marks + pages[1].marks, 0);
    assert_int_equal(pages[0].bytes[10], 1);
    pages[1].stage1 = false;
    assert_int_equal(probe_guest_write(gva(0, 10), 8000), 8000 - 4086);
}

static void by_physical_address(void **state)
{
    assert_int_equal(copy_from_ipa(&domain, buffer, ipa_make(IPA_BASE + 4094), 4), 0);
    assert_int_equal(buffer[1], 1);
    assert_int_equal(buffer[2], 2);
    assert_int_equal(copy_to_ipa(&domain, ipa_make(IPA_BASE + 4094), buffer, 4), 0);
    assert_int_equal(pages[0].marks + pages[1].marks, 2);
    assert_int_equal(copy_from_ipa(&domain, buffer, ipa_make(IPA_BASE - 2), 4), -EFAULT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, no_reference_left)
    const struct CMUnitTest tests[] = {
        CASE(any_alignment_over_pages),
        CASE(bug_12_every_page_of_a_result),
        CASE(stops_at_the_first_bad_page),
        CASE(what_may_only_be_read),
        CASE(neither_devices_nor_shared_pages),
        CASE(foreign_pages_open_at_the_first_write),
        CASE(wrapping_ranges_touch_nothing),
        CASE(probing_changes_nothing),
        CASE(by_physical_address),
    };

    return cmocka_run_group_tests_name("guest access", tests, NULL, NULL);
}
