/* SPDX-License-Identifier: MIT */
/* dm_op: what a device model may do to a guest's memory, in pieces and with every kind of nonsense.
 */
#include <core/s2.h>
#include <hv/errno.h>
#include <xen/domctl.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>

#include "fake_host.h"

static uint8_t display[2000];

static int reset(void **state)
{
    fake_reset();
    fake.guest->max_gfn = 2000;
    memset(display, 0, sizeof(display));
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static int64_t modified(struct xen_dm_op_modified_memory_extent *extents, uint32_t count)
{
    struct xen_dm_op op = {.op = XEN_DMOP_modified_memory, .u.modified_memory.nr_extents = count};
    struct xen_dm_op_buf buffers[2] = {
        {.h.p = &op, .size = sizeof(op)},
        {.h.p = extents, .size = count * sizeof(*extents)},
    };

    return fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 2, (uintptr_t)buffers);
}

static void device_models_mark(void **state)
{
    struct xen_dm_op_modified_memory_extent extents[2] = {{.nr = 3, .first_pfn = 100},
                                                          {.nr = 600, .first_pfn = 1000}};

    assert_int_equal(modified(extents, 2), 0);
    assert_int_equal(fake.marks, 0); /* logging is off */
    fake.log_state = FAKE_LOG_ON;
    fake.preempt_after = 1; /* whenever it asks */
    assert_int_equal(modified(extents, 2), 0);
    assert_int_equal(fake.marks, 603);
    assert_true(fake.dirty[100] && fake.dirty[102] && fake.dirty[1000] && fake.dirty[1599]);
    assert_false(fake.dirty[99] || fake.dirty[103] || fake.dirty[1600]);
    extents[0].nr = 0;
    assert_int_equal(modified(extents, 1), -EINVAL);
    extents[0] = (struct xen_dm_op_modified_memory_extent){.nr = 1, .first_pfn = 2000};
    assert_int_equal(modified(extents, 1), -EINVAL);
    extents[0] = (struct xen_dm_op_modified_memory_extent){.nr = 2, .first_pfn = UINT64_MAX};
    assert_int_equal(modified(extents, 1), -EINVAL);
    extents[0] = (struct xen_dm_op_modified_memory_extent){.nr = 1, .pad = 1};
    assert_int_equal(modified(extents, 1), -EINVAL);
    fake_run_as(fake.guest, 0);
    assert_int_equal(modified(extents, 1), -EINVAL); /* on itself */
    fake_run_as(fake.control, 0);
}

static int64_t set_type(uint16_t mem_type, uint64_t first, uint32_t nr, uint16_t pad)
{
    struct xen_dm_op op = {
        .op = XEN_DMOP_set_mem_type,
        .u.set_mem_type = {.nr = nr, .mem_type = mem_type, .pad = pad, .first_pfn = first}};
    struct xen_dm_op_buf buffer = {.h.p = &op, .size = sizeof(op)};

    return fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 1, (uintptr_t)&buffer);
}

static void types_change_exactly_where_asked(void **state)
{
    assert_int_equal(set_type(HVMMEM_ram_ro, 500, 1101, 0), 0);
    fake.preempt_after = 1; /* whenever it asks: the call continues with what is left */
    assert_int_equal(set_type(HVMMEM_ram_rw, 1000, 300, 0), 0);
    for (unsigned i = 0; i < 2000; i++) {
        bool ro = (i >= 500 && i < 1000) || (i >= 1300 && i < 1601);

        assert_int_equal(fake.types[i], ro                        ? S2_RAM_RO
                                        : (i >= 1000 && i < 1300) ? S2_RAM_RW
                                                                  : S2_NONE);
    }
    assert_int_equal(fake.set_type_calls, 4 + 2); /* never across 2 MiB */
}

static void nonsense_changes_no_type(void **state)
{
    assert_int_equal(set_type(HVMMEM_ram_ro, 0, 0, 0), -EINVAL);
    assert_int_equal(set_type(HVMMEM_ram_ro, 5, 0, 0), -EINVAL);
    assert_int_equal(set_type(HVMMEM_ram_ro, 0, 2002, 0), -EINVAL);
    assert_int_equal(set_type(HVMMEM_ram_ro, UINT64_MAX, 2, 0), -EINVAL);
    assert_int_equal(set_type(HVMMEM_ram_ro, 1, 1, 1), -EINVAL);
    assert_int_equal(set_type(HVMMEM_unused, 1, 1, 0), -EINVAL);
    assert_int_equal(set_type(99, 1, 1, 0), -EINVAL);
    assert_int_equal(set_type(HVMMEM_mmio_dm, 1, 1, 0), -EOPNOTSUPP);
    assert_int_equal(set_type(HVMMEM_ioreq_server, 1, 1, 0), -EOPNOTSUPP);
    fake_run_as(fake.guest, 0);
    assert_int_equal(set_type(HVMMEM_ram_ro, 1, 1, 0), -EINVAL); /* on itself */
    fake_run_as(fake.control, 0);
    assert_int_equal(fake.set_type_calls, 0);
    assert_int_equal(set_type(HVMMEM_ram_ro, 0, 2001, 0), 0); /* up to the last page */
}

/* The structure that comes back says how far it came. */
static void a_failing_type_change_says_where(void **state)
{
    struct xen_dm_op op = {
        .op = XEN_DMOP_set_mem_type,
        .u.set_mem_type = {.nr = 1000, .mem_type = HVMMEM_ram_ro, .first_pfn = 100}};
    struct xen_dm_op_buf buffer = {.h.p = &op, .size = sizeof(op)};

    fake.set_type_fails_at = 3;
    assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 1, (uintptr_t)&buffer), -ENOMEM);
    assert_int_equal(op.u.set_mem_type.first_pfn, 1024);
    assert_int_equal(op.u.set_mem_type.nr, 76);
}

static int64_t track(uint64_t first, uint32_t nr, size_t bytes, uint32_t pad)
{
    struct xen_dm_op op = {.op = XEN_DMOP_track_dirty_vram,
                           .u.track_dirty_vram = {.nr = nr, .pad = pad, .first_pfn = first}};
    struct xen_dm_op_buf buffers[2] = {{.h.p = &op, .size = sizeof(op)},
                                       {.h.p = display, .size = bytes}};

    return fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 2, (uintptr_t)buffers);
}

static unsigned shown(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < 8 * sizeof(display); i++) {
        count += display[i / 8] >> (i % 8) & 1;
    }
    return count;
}

static void a_display_is_watched(void **state)
{
    assert_int_equal(track(1000, 9001, 1126, 0), 0);
    assert_int_equal(shown(), 9001); /* a new range: everything */
    assert_int_equal(display[1125], 1);
    assert_int_equal(track(1000, 9001, sizeof(display), 0), 0);
    assert_int_equal(shown(), 0);
    fake.written[1000] = fake.written[10000] = fake.written[10001] = 1;
    fake.track_steps = 5;
    fake.preempt_after = 1; /* whenever it asks */
    assert_int_equal(track(1000, 9001, sizeof(display), 0), 0);
    assert_int_equal(fake.track_scans, 3); /* one for each look, however often it was preempted */
    assert_true(display[0] == 1 && display[1125] == 1 && shown() == 2);
    assert_int_equal(track(1001, 9001, sizeof(display), 0), 0);
    assert_int_equal(shown(), 9001); /* another range */
    assert_int_equal(track(0, 0, 0, 0), 0);
    assert_int_equal(fake.track_pages, 0);
}

/* Whatever copy fails: the next look has all that was not delivered. */
static void a_display_loses_nothing(void **state)
{
    int64_t result = -EFAULT;

    assert_int_equal(track(0, 10000, sizeof(display), 0), 0);
    for (int n = 0; result != 0; n++) {
        fake.written[3] = fake.written[9999] = 1;
        fake.copies_until_fault = n;
        result = track(0, 10000, sizeof(display), 0);
        fake.copies_until_fault = -1;
        assert_true(n < 20);
        assert_true(result == 0 || (fake.written[3] && fake.written[9999]));
    }
    assert_int_equal(shown(), 2);
}

/* A second caller in the middle of a look begins its own. */
static void two_displays_are_looked_at(void **state)
{
    struct xen_dm_op op = {.op = XEN_DMOP_track_dirty_vram,
                           .u.track_dirty_vram = {.nr = 5000, .first_pfn = 0}};
    struct xen_dm_op_buf buffers[2] = {{.h.p = &op, .size = sizeof(op)},
                                       {.h.p = display, .size = sizeof(display)}};
    bool again;

    fake.track_steps = 5;
    fake.preempt_after = 1;
    fake_hvc_once(__HYPERVISOR_dm_op, fake.guest->id, 2, (uintptr_t)buffers, &again);
    assert_true(again);
    assert_int_equal(fake.track_scans, 1);
    fake_run_as(fake.control, 1);
    assert_int_equal(track(0, 5000, sizeof(display), 0), 0);
    assert_int_equal(fake.track_scans, 2);
    assert_int_equal(shown(), 5000);
    fake_run_as(fake.control, 0);
    assert_int_equal(fake_continue(), 0);
    assert_int_equal(fake.track_scans, 3);
    fake.guest->vram_busy = true; /* at this moment on another CPU */
    assert_int_equal(track(0, 5000, sizeof(display), 0), -EBUSY);
    fake.guest->vram_busy = false;
}

static void odd_displays_are_refused(void **state)
{
    assert_int_equal(track(0, 64, 7, 0), -EINVAL);
    assert_int_equal(track(0, 65, 8, 0), -EINVAL);
    assert_int_equal(track(0, (1u << 18) + 1, 1u << 20, 0), -EINVAL);
    assert_int_equal(track(0, 64, 8, 1), -EINVAL);
    fake.out_of_memory = true;
    assert_int_equal(track(0, 64, 8, 0), -ENOMEM);
    fake.out_of_memory = false;
    fake.guest->dying = DOMAIN_DYING;
    assert_int_equal(track(0, 64, 8, 0), -ESRCH);
    fake.guest->dying = DOMAIN_ALIVE;
    assert_int_equal(track(0, 64, 8, 0), 0);
}

static void envelopes_are_checked(void **state)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_mem_type};
    struct xen_dm_op_buf buffer = {.h.p = &op, .size = sizeof(op)};

    assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, 77, 1, (uintptr_t)&buffer), -ESRCH);
    assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 0, (uintptr_t)&buffer), -EINVAL);
    op.pad = 1;
    assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 1, (uintptr_t)&buffer), -EINVAL);
    op.pad = 0;
    buffer.size = 23;
    assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 1, (uintptr_t)&buffer), -EFAULT);
    buffer.size = sizeof(op);
    for (uint32_t number = 0; number < 64; number++) {
        op.op = number;
        if (number != XEN_DMOP_set_mem_type && number != XEN_DMOP_modified_memory &&
            number != XEN_DMOP_track_dirty_vram) {
            assert_int_equal(fake_hvc(__HYPERVISOR_dm_op, fake.guest->id, 1, (uintptr_t)&buffer),
                             -EOPNOTSUPP);
        }
    }
    for (int n = 0; n < 3; n++) {
        fake.copies_until_fault = n;
        assert_int_equal(set_type(HVMMEM_ram_ro, 1, 1, 0), -EFAULT);
    }
    fake.copies_until_fault = -1;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, end)
    const struct CMUnitTest tests[] = {
        CASE(device_models_mark),         CASE(types_change_exactly_where_asked),
        CASE(nonsense_changes_no_type),   CASE(a_failing_type_change_says_where),
        CASE(a_display_is_watched),       CASE(a_display_loses_nothing),
        CASE(two_displays_are_looked_at), CASE(odd_displays_are_refused),
        CASE(envelopes_are_checked),
    };

    return cmocka_run_group_tests_name("dm_op", tests, NULL, NULL);
}
