/* SPDX-License-Identifier: MIT */
#include "real_memory.h"

#include <cache.h>
#include <core/dirty_log.h>
#include <core/s2.h>
#include <fake.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>

#include "../../hypervisor/mm/frame_internal.h"

#define RAM_PAGES 4096u

struct real_memory memory;

static uint8_t ram[RAM_PAGES][PAGE_SIZE_BYTES] __attribute__((aligned(4096)));
static struct frame records[RAM_PAGES];
static struct domain domains[3];
static struct vcpu vcpu;
static uint64_t free_at_begin;

void spin_lock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 0);
    lock->held = 1;
    memory.locks_held++;
}

void spin_unlock(struct spinlock *lock)
{
    assert_int_equal(lock->held, 1);
    lock->held = 0;
    memory.locks_held--;
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

void *pa_to_va(pa_t pa)
{
    uint64_t offset = pa.addr - FAKE_RAM_BASE;

    assert_in_range(offset, 0, sizeof(ram) - 1);
    return (uint8_t *)ram + offset;
}

pa_t va_to_pa(const void *va)
{
    return pa_make(FAKE_RAM_BASE + (uint64_t)((const uint8_t *)va - (const uint8_t *)ram));
}

void cache_zero(void *va, size_t bytes)
{
    memset(va, 0, bytes);
}

void cache_before_reading(const pa_t *pages, unsigned n)
{
}

void cache_after_writing(const pa_t *pages, unsigned n)
{
}

struct vcpu *vcpu_current(void)
{
    return &vcpu;
}

bool cpu_preempt_pending(void)
{
    return memory.busy;
}

struct domain *domain_get(domid_t id)
{
    for (unsigned i = 0; i < 3; i++) {
        if (domains[i].id == id && domains[i].refcount != 0) {
            domains[i].refcount++;
            return &domains[i];
        }
    }
    return NULL;
}

void domain_put(struct domain *d)
{
    assert_int_not_equal(d->refcount, 0);
    d->refcount--;
}

/* The control domain's MMU is off. */
bool arch_translate_gva(uint64_t gva, bool write, ipa_t *ret_ipa)
{
    *ret_ipa = ipa_make(gva);
    return true;
}

static void note_copy(void)
{
    assert_int_equal(memory.locks_held, 0);
    memory.copies++;
    if (memory.act != NULL && !memory.acted && memory.copies_until_act-- == 0) {
        memory.acted = true;
        memory.act();
    }
}

void page_copy(void *to, const void *from)
{
    note_copy();
    memcpy(to, from, PAGE_SIZE_BYTES);
}

bool page_copy_contents(void *to, const void *from)
{
    static const uint8_t zeros[PAGE_SIZE_BYTES];

    note_copy();
    if (memcmp(from, zeros, sizeof(zeros)) == 0) {
        return false;
    }
    memcpy(to, from, PAGE_SIZE_BYTES);
    return true;
}

static struct domain *make_domain(unsigned index, domid_t id)
{
    struct domain *d = &domains[index];
    struct s2_config config = {.vmid = id + 1, .ipa_bits = 40, .cpus = 1};

    memset(d, 0, sizeof(*d));
    d->id = id;
    d->is_control = index == 0;
    d->refcount = 1;
    d->max_pages = RAM_PAGES;
    assert_int_equal(s2_init(&d->s2, &config), 0);
    return d;
}

void memory_populate(struct domain *d, uint64_t gfn)
{
    pa_t frame;

    assert_true(frame_alloc_domain(d, 0, &frame));
    assert_int_equal(p2m_add_ram(d, gfn, frame, 0), 0);
}

static void add_memory_once(void)
{
    static bool done;

    if (!done) {
        assert_in_range(frame_record_bytes(sizeof(ram)), 1, sizeof(records));
        frame_add_bank(pa_make(FAKE_RAM_BASE), sizeof(ram), records);
        frame_add_region(pa_make(FAKE_RAM_BASE), sizeof(ram));
    }
    done = true;
}

void memory_begin(void)
{
    const pa_t base = pa_make(FAKE_RAM_BASE);
    pa_t block;

    fake_reset();
    add_memory_once();
    memset(&memory, 0, sizeof(memory));
    free_at_begin = frame_free_pages();
    memory.control = make_domain(0, 0);
    memory.guest = make_domain(1, 5);
    memory.other = make_domain(2, 7);
    vcpu.domain = memory.control;
    assert_true(frame_claim_domain(memory.control, base, CONTROL_PAGES << PAGE_SHIFT));
    for (unsigned i = 0; i < CONTROL_PAGES; i++) {
        frame_set_gfn(pa_add(base, (uint64_t)i << PAGE_SHIFT), pa_mfn(base) + i);
    }
    assert_int_equal(s2_map(&memory.control->s2, ipa_make(base.addr), base,
                            CONTROL_PAGES << PAGE_SHIFT, S2_RAM_RW),
                     0);
    memory.control->max_gfn = pa_mfn(base) + CONTROL_PAGES - 1;
    memset(ram, 0, CONTROL_PAGES << PAGE_SHIFT);
    assert_true(frame_alloc_domain(memory.guest, 9, &block));
    assert_int_equal(p2m_add_ram(memory.guest, GUEST_BLOCK_GFN, block, 9), 0);
    for (unsigned i = 0; i < GUEST_LIST_PAGES; i++) {
        memory_populate(memory.guest, GUEST_LIST_GFN + i);
    }
    memory_populate(memory.other, GUEST_LIST_GFN);
    memory.shared_page = frame_alloc_hv(0);
    assert_non_null(memory.shared_page);
}

void memory_disable_log(struct domain *d)
{
    while (dirty_log_off(&d->s2) == -CORE_ERESTART) {
    }
}

void memory_kill(struct domain *d)
{
    uint64_t cursor = 0;

    spin_lock(&d->lock);
    d->dying = DOMAIN_DYING;
    spin_unlock(&d->lock);
    memory_disable_log(d);
    while (p2m_relinquish_step(d, &cursor) == -ERESTART) {
    }
}

/* The control domain's own frames stay reserved for it, whatever it has unmapped. */
static void end_domain(struct domain *d)
{
    memory_kill(d);
    if (d->is_control) {
        frame_put_run(pa_make(FAKE_RAM_BASE), CONTROL_PAGES);
    }
    assert_int_equal(d->tot_pages, 0);
    assert_int_equal(d->foreign_pages, 0);
    assert_int_equal(d->refcount, 1);
    assert_null(d->s2.pins.entries);
    s2_destroy(&d->s2);
    d->refcount = 0;
}

void memory_end(void)
{
    end_domain(memory.control); /* first: it may hold frames of the others */
    end_domain(memory.guest);
    end_domain(memory.other);
    frame_free_hv(memory.shared_page, 0);
    assert_int_equal(memory.locks_held, 0);
    assert_int_equal(frame_free_pages(), free_at_begin);
    assert_int_equal(fake_pages_allocated(), 0);
}

void *memory_of_control(unsigned page)
{
    return ram[page];
}

uint64_t memory_address(unsigned page)
{
    return FAKE_RAM_BASE + ((uint64_t)page << PAGE_SHIFT);
}

pa_t memory_frame(struct domain *d, uint64_t gfn)
{
    struct s2_leaf leaf = s2_lookup(&d->s2, ipa_from_gfn(gfn));

    assert_int_not_equal(leaf.type, S2_NONE);
    return leaf.pa;
}

unsigned memory_references(pa_t frame)
{
    return frame_of(frame)->count;
}

void memory_enable_log(struct domain *d)
{
    const struct dirty_log_options options = {0};
    int error;

    while ((error = dirty_log_enable(&d->s2, &options)) == -CORE_ERESTART) {
    }
    assert_int_equal(error, 0);
}
