/* SPDX-License-Identifier: MIT */
/*
 * Mappings of another domain's frames: the owner is told before the page is opened, by the owner's
 * own address of it, and as often as there are open mappings.
 */
#include <core/dirty_log.h>
#include <core/s2.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/p2m.h>

#include "../../hypervisor/p2m/p2m.h"

#define FRAME     UINT64_C(0x80005000)
#define OWNER_GFN UINT64_C(0x40123)
#define HERE      UINT64_C(0xa0007000) /* where the mapper has it */

static struct domain mapper, owner;
static struct s2_leaf leaf;
static int references, owner_references, pins;
static int pin_error;
static bool lose_the_race; /* another CPU opens the page first */

struct domain *domain_get(domid_t id)
{
    if (id != owner.id) {
        return NULL;
    }
    owner_references++;
    return &owner;
}

void domain_put(struct domain *d)
{
    assert_ptr_equal(d, &owner);
    owner_references--;
}

bool frame_get(pa_t pa)
{
    references++;
    return true;
}

void frame_put(pa_t pa)
{
    references--;
}

domid_t frame_owner(pa_t pa)
{
    assert_int_equal(pa.addr, FRAME);
    return owner.id;
}

uint64_t frame_gfn(pa_t pa)
{
    return OWNER_GFN;
}

struct s2_leaf s2_lookup_hold(struct s2_vm *vm, ipa_t ipa, bool (*hold)(pa_t pa))
{
    if (leaf.type != S2_NONE && !hold(leaf.pa)) {
        return (struct s2_leaf){.type = S2_NONE};
    }
    return leaf;
}

int p2m_map_alive(struct domain *d, uint64_t gfn, pa_t pa, uint64_t pages, enum s2_type type)
{
    assert_int_equal(pages, 1);
    leaf = (struct s2_leaf){.pa = pa, .bytes = PAGE_SIZE_BYTES, .type = type};
    return 0;
}

bool p2m_range_valid(uint64_t gfn, uint64_t pages)
{
    return true;
}

void p2m_raise_max_gfn(struct domain *d, uint64_t gfn)
{
}

enum s2_fault s2_fault_write(struct s2_vm *vm, ipa_t ipa)
{
    assert_ptr_equal(vm, &mapper.s2);
    return leaf.type == S2_FOREIGN_RW && !leaf.writable ? S2_FAULT_FOREIGN : S2_FAULT_READONLY;
}

int dirty_log_pin(struct s2_vm *vm, ipa_t ipa)
{
    assert_ptr_equal(vm, &owner.s2);
    assert_int_equal(ipa_gfn(ipa), OWNER_GFN);
    assert_false(leaf.writable); /* nobody writes before the log knows */
    pins += pin_error == 0;
    return pin_error;
}

void dirty_log_unpin(struct s2_vm *vm, ipa_t ipa)
{
    assert_ptr_equal(vm, &owner.s2);
    assert_int_equal(ipa_gfn(ipa), OWNER_GFN);
    pins--;
}

bool s2_open_foreign(struct s2_vm *vm, ipa_t ipa, pa_t pa)
{
    assert_ptr_equal(vm, &mapper.s2);
    assert_int_equal(ipa.addr, HERE);
    assert_int_equal(pa.addr, FRAME);
    assert_int_equal(pins, 1);
    if (lose_the_race) {
        return false;
    }
    leaf.writable = true;
    return true;
}

static int reset(void **state)
{
    owner.id = 5;
    leaf = (struct s2_leaf){.pa = pa_make(FRAME), .bytes = PAGE_SIZE_BYTES, .type = S2_RAM_RW};
    references = owner_references = pins = 0;
    pin_error = 0;
    lose_the_race = false;
    assert_int_equal(p2m_add_foreign(&mapper, ipa_gfn(ipa_make(HERE)), &owner, OWNER_GFN), 0);
    assert_int_equal(references, 1);
    assert_int_equal(leaf.type, S2_FOREIGN_RW);
    assert_int_equal(pins, 0); /* reading needs none */
    return 0;
}

static int no_reference_left(void **state)
{
    assert_int_equal(references, 1); /* the mapping's */
    assert_int_equal(owner_references, 0);
    return 0;
}

/* A device's log held the address that the device had used. */
static void bug_11_logged_by_the_owners_address(void **state)
{
    assert_int_equal(p2m_fault_write(&mapper, ipa_make(HERE + 8)), S2_FAULT_RETRY);
    assert_true(leaf.writable);
    assert_int_equal(pins, 1);
    p2m_foreign_released(&mapper, pa_make(FRAME), true);
    assert_int_equal(pins, 0);
    references++;
}

static void not_opened_without_a_pin(void **state)
{
    pin_error = -ENOMEM;
    assert_int_equal(p2m_fault_write(&mapper, ipa_make(HERE)), S2_FAULT_READONLY);
    assert_false(leaf.writable);
    assert_int_equal(pins, 0);
}

static void one_pin_for_two_that_open(void **state)
{
    lose_the_race = true;
    assert_int_equal(p2m_fault_write(&mapper, ipa_make(HERE)), S2_FAULT_RETRY);
    assert_int_equal(pins, 0);
}

static void a_mapping_that_only_read_had_no_pin(void **state)
{
    p2m_foreign_released(&mapper, pa_make(FRAME), false);
    assert_int_equal(pins, 0);
    references++;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, no_reference_left)
    const struct CMUnitTest tests[] = {
        CASE(bug_11_logged_by_the_owners_address),
        CASE(not_opened_without_a_pin),
        CASE(one_pin_for_two_that_open),
        CASE(a_mapping_that_only_read_had_no_pin),
    };

    return cmocka_run_group_tests_name("foreign mappings", tests, NULL, NULL);
}
