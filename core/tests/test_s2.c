/* SPDX-License-Identifier: MIT */
/* Mapping, looking up, unmapping, splitting and merging, one thing at a time. */
#include "util.h"

static struct s2_vm vm;

static struct s2_leaf at(uint64_t ipa)
{
    return s2_lookup(&vm, ipa_make(ipa));
}

static uint64_t leaves_at(unsigned level)
{
    struct s2_stats stats;

    s2_stats_get(&vm, &stats);
    return stats.leaves[level];
}

static void merge_all(void)
{
    ipa_t cursor = ipa_make(0);

    while (s2_merge(&vm, &cursor) != 0) {
    }
}

static void every_address_width_has_a_root(void **state)
{
    (void)state;
    for (uint8_t bits = 32; bits <= 48; bits++) {
        uint64_t top = (UINT64_C(1) << bits) - PAGE_SIZE_BYTES;

        make_vm(&vm, bits);
        assert_int_equal(vm.root_level, bits > 43 ? 0 : 1);
        assert_int_equal(fake_pages_allocated(), bits > 39 && bits < 44 ? 1u << (bits - 39) : 1);
        /* The lowest and the highest page. */
        assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), KIB(4), S2_RAM_RW), 0);
        assert_int_equal(s2_map(&vm, ipa_make(top), frame_for(KIB(4)), KIB(4), S2_RAM_RO), 0);
        assert_int_equal(at(0).pa.addr, frame_for(0).addr);
        assert_int_equal(at(top).pa.addr, frame_for(KIB(4)).addr);
        assert_int_equal(at(top + PAGE_SIZE_BYTES).type, S2_NONE);
        assert_int_equal(s2_map(&vm, ipa_make(top), frame_for(0), KIB(8), S2_RAM_RW), -CORE_EINVAL);
        end_vm(&vm);
    }
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    assert_int_equal(s2_init(&vm, &(struct s2_config){.ipa_bits = 31}), -CORE_EINVAL);
    assert_int_equal(s2_init(&vm, &(struct s2_config){.ipa_bits = 40, .cpus = S2_CPUS_MAX + 1}),
                     -CORE_EINVAL);
    assert_int_equal(s2_init(&vm, &(struct s2_config){.ipa_bits = 49}), -CORE_EINVAL);
    fake_set_pa_bits(40);
    assert_int_equal(s2_ipa_bits_max(), 40);
    assert_int_equal(s2_init(&vm, &(struct s2_config){.ipa_bits = 41}), -CORE_EINVAL);
    fake_fail_allocation(0);
    assert_int_equal(s2_init(&vm, &(struct s2_config){.ipa_bits = 40}), -CORE_ENOMEM);
    fake_fail_allocation(-1);
    make_vm(&vm, 40);
    /* A frame that the machine cannot address. */
    assert_int_equal(s2_map(&vm, ipa_make(0), pa_make(UINT64_C(1) << 40), KIB(4), S2_RAM_RW),
                     -CORE_EINVAL);
    end_vm(&vm);
}

static void bad_ranges_are_refused(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    assert_int_equal(s2_map(&vm, ipa_make(1), frame_for(0), KIB(4), S2_RAM_RW), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(0), pa_make(1), KIB(4), S2_RAM_RW), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), 0, S2_RAM_RW), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), 1, S2_RAM_RW), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), KIB(4), S2_NONE), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), KIB(4), (enum s2_type)7), -CORE_EINVAL);
    assert_int_equal(
        s2_map(&vm, ipa_make(KIB(4)), frame_for(0), ~UINT64_C(0) & ~PAGE_MASK, S2_RAM_RW),
        -CORE_EINVAL);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), GIB(2048), NULL, NULL), -CORE_EINVAL);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), 0, NULL, NULL), -CORE_EINVAL);
    assert_int_equal(s2_fault_write(&vm, ipa_make(UINT64_C(1) << 40)), S2_FAULT_UNMAPPED);
    assert_false(s2_open_foreign(&vm, ipa_make(UINT64_C(1) << 40), frame_for(0)));
    end_vm(&vm);
}

static void largest_leaves_are_used(void **state)
{
    unsigned gibibytes = BLOCKS_OF_1G ? 1 : 0;
    unsigned blocks = BLOCKS_OF_1G ? 1 : 512 + 1;

    (void)state;
    make_vm(&vm, 40);
    /* 4 KiB below a 1 GiB boundary, 1 GiB, 2 MiB and 4 KiB above it. */
    map_ram(&vm, GIB(1) - KIB(4), GIB(1) + MIB(2) + KIB(8));
    assert_int_equal(leaves_at(1), gibibytes);
    assert_int_equal(leaves_at(2), blocks);
    assert_int_equal(leaves_at(3), 2);
    assert_int_equal(at(GIB(1) + KIB(12) + 5).pa.addr, frame_for(GIB(1) + KIB(12) + 5).addr);
    assert_int_equal(at(GIB(2) + MIB(1)).bytes, MIB(2));
    /* Frames that are not aligned with the addresses: pages only. */
    assert_int_equal(s2_map(&vm, ipa_make(GIB(4)), frame_for(KIB(4)), MIB(4), S2_RAM_RO), 0);
    assert_int_equal(leaves_at(3), 2 + 1024);
    /* Devices may be blocks, frames of others may not. */
    assert_int_equal(s2_map(&vm, ipa_make(GIB(5)), frame_for(0), MIB(2), S2_DEVICE), 0);
    assert_int_equal(leaves_at(2), blocks + 1);
    assert_int_equal(s2_map(&vm, ipa_make(GIB(6)), frame_for(0), MIB(2), S2_FOREIGN_RW), 0);
    assert_int_equal(s2_map(&vm, ipa_make(GIB(7)), frame_for(0), MIB(2), S2_FOREIGN_RO), 0);
    assert_int_equal(leaves_at(2), blocks + 1);
    end_vm(&vm);
}

static void types_start_with_their_permission(void **state)
{
    static const struct {
        enum s2_type type;
        bool writable;
        enum s2_fault fault;
    } expected[] = {
        {S2_RAM_RW, true, S2_FAULT_RETRY},         {S2_RAM_RO, false, S2_FAULT_READONLY},
        {S2_DEVICE, true, S2_FAULT_RETRY},         {S2_FOREIGN_RW, false, S2_FAULT_FOREIGN},
        {S2_FOREIGN_RO, false, S2_FAULT_READONLY}, {S2_SHARED, true, S2_FAULT_RETRY},
    };

    (void)state;
    make_vm(&vm, 40);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t ipa = KIB(4) * i;

        assert_int_equal(s2_map(&vm, ipa_make(ipa), frame_for(ipa), KIB(4), expected[i].type), 0);
        assert_int_equal(at(ipa).type, expected[i].type);
        assert_int_equal(at(ipa).writable, expected[i].writable);
        assert_int_equal(s2_fault_write(&vm, ipa_make(ipa)), expected[i].fault);
    }
    assert_int_equal(s2_fault_write(&vm, ipa_make(MIB(1))), S2_FAULT_UNMAPPED);
    end_vm(&vm);
}

static void mapping_twice_changes_nothing(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, MIB(2), KIB(4));
    /* The mapped page is the first, the last, and in the middle of the range. */
    for (uint64_t start = 0; start <= MIB(2); start += MIB(1)) {
        assert_int_equal(s2_map(&vm, ipa_make(start), frame_for(0), MIB(2) + KIB(4), S2_RAM_RW),
                         -CORE_EEXIST);
    }
    assert_int_equal(leaves_at(3), 1);
    assert_int_equal(leaves_at(2), 0);
    end_vm(&vm);
}

static void map_without_memory_changes_nothing(void **state)
{
    int result = -CORE_ENOMEM;

    (void)state;
    for (long n = 0; result != 0; n++) {
        make_vm(&vm, 48);
        fake_fail_allocation(n);
        result = s2_map(&vm, ipa_make(GIB(1) - KIB(4)), frame_for(KIB(4)), MIB(2), S2_RAM_RW);
        fake_fail_allocation(-1);
        if (result != 0) {
            assert_int_equal(result, -CORE_ENOMEM);
            assert_int_equal(leaves_at(1) + leaves_at(2) + leaves_at(3), 0);
            assert_true(n < 10);
        }
        end_vm(&vm);
    }
}

struct released {
    uint64_t bytes;
    unsigned calls;
    uint64_t next_ipa; /* pieces come in order */
};

static void count_released(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                           bool writable)
{
    struct released *released = context;

    assert_true(ipa.addr >= released->next_ipa);
    assert_int_equal(pa.addr, frame_for(ipa.addr).addr);
    assert_int_equal(type, S2_RAM_RW);
    assert_true(writable);
    fake_check_tlbs(&vm);
    released->next_ipa = ipa.addr + bytes;
    released->bytes += bytes;
    released->calls++;
}

static void unmap_splits_blocks_at_both_ends(void **state)
{
    struct released released = {0};
    uint64_t value;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, GIB(2));
    /* All CPUs have the pages in question in their TLBs. */
    for (fake_cpu = 0; fake_cpu < FAKE_CPUS; fake_cpu++) {
        assert_int_equal(fake_store(&vm, ipa_make(GIB(1)), 1), FAKE_DONE);
        assert_int_equal(fake_store(&vm, ipa_make(GIB(1) - KIB(8)), 2), FAKE_DONE);
    }
    fake_cpu = 0;
    assert_int_equal(
        s2_unmap(&vm, ipa_make(GIB(1) - KIB(4)), KIB(4) + MIB(3), count_released, &released), 0);
    assert_int_equal(released.bytes, KIB(4) + MIB(3));
    assert_int_equal(released.calls, 1 + 1 + 256);
    assert_int_equal(at(GIB(1) - KIB(4)).type, S2_NONE);
    assert_int_equal(at(GIB(1) + MIB(3) - 1).type, S2_NONE);
    assert_int_equal(at(GIB(1) + MIB(3)).pa.addr, frame_for(GIB(1) + MIB(3)).addr);
    assert_int_equal(fake_load(&vm, ipa_make(GIB(1)), &value), FAKE_UNMAPPED);
    assert_int_equal(fake_load(&vm, ipa_make(GIB(1) - KIB(8)), &value), FAKE_DONE);
    assert_int_equal(value, 2);
    end_vm(&vm);
}

static void unmap_without_memory_changes_nothing(void **state)
{
    int result = -CORE_ENOMEM;

    (void)state;
    for (long n = 0; result != 0; n++) {
        struct released released = {0};

        make_vm(&vm, 40);
        map_ram(&vm, 0, GIB(2));
        fake_fail_allocation(n);
        result = s2_unmap(&vm, ipa_make(KIB(4)), GIB(1), count_released, &released);
        fake_fail_allocation(-1);
        if (result != 0) {
            assert_int_equal(result, -CORE_ENOMEM);
            assert_int_equal(released.calls, 0);
            for (uint64_t ipa = 0; ipa < GIB(2); ipa += MIB(1)) {
                assert_int_equal(at(ipa).pa.addr, frame_for(ipa).addr);
            }
            assert_true(n < 8);
        } else {
            assert_int_equal(n, BLOCKS_OF_1G ? 4 : 2); /* two tables, or one, at each end */
            assert_int_equal(released.bytes, GIB(1));
        }
        end_vm(&vm);
    }
}

/* The control domain: single pages out of its RAM, frames of others in, its own back. */
static void refilled_hole_merges_to_a_block(void **state)
{
    uint64_t pages[] = {MIB(2), MIB(2) + KIB(4), MIB(3), MIB(4) - KIB(4)};

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, GIB(1));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(s2_unmap(&vm, ipa_make(pages[i]), KIB(4), NULL, NULL), 0);
        assert_int_equal(
            s2_map(&vm, ipa_make(pages[i]), pa_make(FAKE_RAM_BASE + GIB(3)), KIB(4), S2_FOREIGN_RW),
            0);
    }
    merge_all();
    assert_int_equal(leaves_at(3), 512);
    for (unsigned i = 0; i < 4; i++) {
        s2_merge_at(&vm, ipa_make(pages[i]));
        assert_int_equal(leaves_at(3), 512);
        assert_int_equal(s2_unmap(&vm, ipa_make(pages[i]), KIB(4), NULL, NULL), 0);
        s2_merge_at(&vm, ipa_make(pages[i]));
        assert_int_equal(leaves_at(3), 511);
        map_ram(&vm, pages[i], KIB(4));
    }
    s2_merge_at(&vm, ipa_make(pages[0]));
    assert_int_equal(leaves_at(1) * 512 + leaves_at(2), 512);
    assert_int_equal(leaves_at(1), BLOCKS_OF_1G ? 1 : 0);
    assert_int_equal(leaves_at(3), 0);
    assert_int_equal(fake_pages_allocated(), BLOCKS_OF_1G ? 2 : 3);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(3)), 1), FAKE_DONE);
    end_vm(&vm);
}

static void merge_refuses_what_differs(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    /* Another frame, a hole, another type: each in one 2 MiB region. */
    map_ram(&vm, 0, MIB(1));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(1)), frame_for(GIB(1)), MIB(1), S2_RAM_RW), 0);
    map_ram(&vm, MIB(2), MIB(2) - KIB(4));
    map_ram(&vm, MIB(4), MIB(1));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(5)), frame_for(MIB(5)), MIB(1), S2_RAM_RO), 0);
    /* Contiguous, but not where a block could begin. */
    assert_int_equal(s2_map(&vm, ipa_make(MIB(6)), frame_for(MIB(9)), MIB(2), S2_RAM_RW), 0);
    /* Not ours. */
    assert_int_equal(s2_map(&vm, ipa_make(MIB(8)), frame_for(MIB(12)), MIB(2), S2_FOREIGN_RO), 0);
    merge_all();
    assert_int_equal(leaves_at(2), 0);
    assert_int_equal(leaves_at(3), 5 * 512 - 1);
    /* With the hole filled, one of them merges. */
    map_ram(&vm, MIB(4) - KIB(4), KIB(4));
    merge_all();
    assert_int_equal(leaves_at(2), 1);
    end_vm(&vm);
}

static void merge_keeps_types(void **state)
{
    static const enum s2_type types[] = {S2_RAM_RW, S2_RAM_RO, S2_DEVICE};

    (void)state;
    make_vm(&vm, 40);
    for (unsigned i = 0; i < 3; i++) {
        for (uint64_t ipa = 0; ipa < MIB(2); ipa += MIB(1)) {
            uint64_t start = i * MIB(2) + ipa;

            assert_int_equal(s2_map(&vm, ipa_make(start), frame_for(start), MIB(1), types[i]), 0);
        }
    }
    merge_all();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(at(i * MIB(2)).bytes, MIB(2));
        assert_int_equal(at(i * MIB(2)).type, types[i]);
        assert_int_equal(at(i * MIB(2)).writable, types[i] != S2_RAM_RO);
    }
    end_vm(&vm);
}

static void empty_tables_go_away(void **state)
{
    (void)state;
    make_vm(&vm, 48);
    map_ram(&vm, KIB(4), KIB(4));
    map_ram(&vm, GIB(1) + KIB(4), KIB(4));
    assert_int_equal(fake_pages_allocated(), 6);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), GIB(2), NULL, NULL), 0);
    /* A block goes where an empty table was, at both sizes. */
    map_ram(&vm, 0, MIB(2));
    assert_int_equal(fake_pages_allocated(), 5);
    map_ram(&vm, GIB(1), GIB(1));
    assert_int_equal(leaves_at(1), BLOCKS_OF_1G ? 1 : 0);
    assert_int_equal(leaves_at(2), BLOCKS_OF_1G ? 1 : 513);
    assert_int_equal(fake_pages_allocated(), BLOCKS_OF_1G ? 3 : 4);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), GIB(1), NULL, NULL), 0);
    merge_all();
    /* Root and the table of the 1 GiB block. */
    assert_int_equal(fake_pages_allocated(), BLOCKS_OF_1G ? 2 : 3);
    end_vm(&vm);
}

static void set_type_splits_and_closes(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1)), 1), FAKE_DONE);
    assert_int_equal(s2_set_type(&vm, ipa_make(MIB(1)), KIB(8), S2_RAM_RO), 0);
    fake_check_tlbs(&vm);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1) + KIB(4)), 1), FAKE_READONLY);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1)), 1), FAKE_READONLY);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1) + KIB(8)), 1), FAKE_DONE);
    assert_int_equal(s2_set_type(&vm, ipa_make(MIB(1)), KIB(8), S2_RAM_RW), 0);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1)), 1), FAKE_DONE);
    merge_all();
    assert_int_equal(leaves_at(2), 2);
    /* A whole block that all CPUs could write: no split invalidates by the way. */
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1)), 1), FAKE_DONE);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RO), 0);
    assert_int_equal(leaves_at(2), 2);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(1)), 1), FAKE_READONLY);
    /* Its pages are read-only for ever too. */
    assert_int_equal(s2_unmap(&vm, ipa_make(0), KIB(4), NULL, NULL), 0);
    assert_int_equal(at(KIB(4)).bytes, KIB(4));
    assert_int_equal(at(KIB(4)).type, S2_RAM_RO);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RW), 0);
    merge_all();
    assert_int_equal(leaves_at(2), 2);
    assert_int_equal(s2_set_type(&vm, ipa_make(MIB(3)), MIB(2), S2_RAM_RO), -CORE_ENOENT);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_DEVICE), -CORE_EINVAL);
    assert_int_equal(s2_map(&vm, ipa_make(MIB(4)), frame_for(0), KIB(4), S2_DEVICE), 0);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(4) + KIB(4), S2_RAM_RO), -CORE_EINVAL);
    fake_fail_allocation(0);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), KIB(4), S2_RAM_RO), -CORE_ENOMEM);
    fake_fail_allocation(-1);
    assert_int_equal(at(0).bytes, MIB(2));
    end_vm(&vm);
}

static void next_finds_leaves_in_order(void **state)
{
    static const uint64_t pages[] = {0, KIB(4), MIB(2) - KIB(4), GIB(3), GIB(700)};
    ipa_t found = ipa_make(0);
    ipa_t from = ipa_make(0);

    (void)state;
    make_vm(&vm, 48);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(s2_map(&vm, ipa_make(pages[i]), frame_for(KIB(4) * i), KIB(4), S2_RAM_RW),
                         0);
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(s2_next(&vm, from, ipa_make(GIB(1024)), &found).type, S2_RAM_RW);
        assert_int_equal(found.addr, pages[i]);
        from = ipa_add(found, KIB(4));
    }
    assert_int_equal(s2_next(&vm, from, ipa_make(~UINT64_C(0)), &found).type, S2_NONE);
    /* The end is exclusive. */
    assert_int_equal(s2_next(&vm, ipa_make(KIB(8)), ipa_make(MIB(2) - KIB(4)), &found).type,
                     S2_NONE);
    end_vm(&vm);
}

static unsigned holds;

static bool hold_yes(pa_t pa)
{
    assert_int_equal(pa.addr, frame_for(KIB(4)).addr + 16);
    holds++;
    return true;
}

static bool hold_no(pa_t pa)
{
    (void)pa;
    return false;
}

static void lookup_hold_takes_the_frame(void **state)
{
    (void)state;
    holds = 0;
    make_vm(&vm, 40);
    map_ram(&vm, 0, KIB(8));
    assert_int_equal(s2_map(&vm, ipa_make(KIB(8)), frame_for(0), KIB(4), S2_DEVICE), 0);
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(4) + 16), hold_yes).type, S2_RAM_RW);
    assert_int_equal(holds, 1);
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(4)), hold_no).type, S2_NONE);
    /* There is no frame to hold behind a device or a hole. */
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(8)), hold_no).type, S2_DEVICE);
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(12)), hold_yes).type, S2_NONE);
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(~UINT64_C(0)), hold_yes).type, S2_NONE);
    assert_int_equal(holds, 1);
    end_vm(&vm);
}

static unsigned hold_limit;

static unsigned hold_list(const pa_t *frames, unsigned n)
{
    (void)frames;
    holds += n < hold_limit ? n : hold_limit;
    return n < hold_limit ? n : hold_limit;
}

static unsigned held_of(const uint64_t *gfns, unsigned n, bool write)
{
    pa_t frames[40];
    unsigned held, before = holds;

    held = s2_lookup_hold_ram(&vm, gfns, n, write, hold_list, frames);
    assert_int_equal(holds - before, held);
    for (unsigned i = 0; i < held; i++) {
        assert_int_equal(frames[i].addr, at(gfns[i] << 12).pa.addr);
    }
    return held;
}

/* From block to block, from page to page, between them, backwards, the same one again. */
static void lists_of_ram_are_held(void **state)
{
    static const uint64_t gfns[] = {0,    1,    511,  512,  513,  1023, 1024, 1025,
                                    1536, 1535, 1534, 2047, 2048, 2100, 2048, 2048,
                                    1023, 0,    600,  2559, 512,  1};
    const unsigned n = sizeof(gfns) / sizeof(gfns[0]);

    (void)state;
    make_vm(&vm, 40);
    hold_limit = ~0u;
    map_ram(&vm, 0, MIB(4));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(4)), frame_for(MIB(4) + KIB(4)), MIB(4), S2_RAM_RW),
                     0); /* never a block */
    map_ram(&vm, MIB(8), MIB(2));
    assert_int_equal(held_of(gfns, n, false), n);
    assert_int_equal(held_of(gfns, n, true), n);
    enable_log(&vm); /* closed pages are still theirs */
    assert_int_equal(held_of(gfns, n, true), n);
    log_off(&vm);
    hold_limit = 5;
    assert_int_equal(held_of(gfns, n, true), 5);
    hold_limit = 0;
    assert_int_equal(held_of(gfns, n, true), 0);
    hold_limit = ~0u;
    assert_int_equal(held_of(gfns, 0, true), 0);
    end_vm(&vm);
}

static void lists_of_ram_end_at_anything_else(void **state)
{
    static const uint64_t bad[] = {2, 3, 6, 512, 1 << 28, UINT64_C(1) << 52, UINT64_MAX};
    uint64_t gfns[] = {0, 1, 0, 7};

    (void)state;
    make_vm(&vm, 40);
    hold_limit = ~0u;
    map_ram(&vm, 0, KIB(8));
    assert_int_equal(s2_map(&vm, ipa_make(KIB(8)), frame_for(0), KIB(4), S2_DEVICE), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(12)), frame_for(0), KIB(4), S2_FOREIGN_RW), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(16)), frame_for(0), KIB(4), S2_FOREIGN_RO), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(20)), frame_for(0), KIB(4), S2_SHARED), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(28)), frame_for(KIB(28)), KIB(4), S2_RAM_RO), 0);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        gfns[2] = bad[i];
        assert_int_equal(held_of(gfns, 4, false), 2);
        assert_int_equal(held_of(gfns + 2, 2, false), 0);
    }
    for (gfns[2] = 4; gfns[2] < 6; gfns[2]++) {
        assert_int_equal(held_of(gfns, 4, false), 2);
    }
    gfns[2] = 1;
    assert_int_equal(held_of(gfns, 4, false), 4);
    assert_int_equal(held_of(gfns, 4, true), 3); /* the last one may only be read */
    end_vm(&vm);
}

static void foreign_pages_open_once(void **state)
{
    ipa_t ipa = ipa_make(KIB(4));

    (void)state;
    make_vm(&vm, 40);
    assert_int_equal(s2_map(&vm, ipa, frame_for(0), KIB(4), S2_FOREIGN_RW), 0);
    assert_int_equal(fake_store(&vm, ipa, 1), FAKE_FOREIGN);
    assert_false(s2_open_foreign(&vm, ipa, frame_for(KIB(4)))); /* not that frame */
    assert_true(s2_open_foreign(&vm, ipa, frame_for(0)));
    assert_false(s2_open_foreign(&vm, ipa, frame_for(0))); /* somebody else was first */
    assert_int_equal(fake_store(&vm, ipa, 1), FAKE_DONE);
    /* A CPU that still holds the closed entry recovers. */
    assert_int_equal(s2_fault_write(&vm, ipa), S2_FAULT_RETRY);
    assert_false(s2_open_foreign(&vm, ipa_make(0), frame_for(0)));
    end_vm(&vm);
}

static void reserve_is_all_or_nothing(void **state)
{
    struct s2_stats stats;

    (void)state;
    make_vm(&vm, 40);
    fake_fail_allocation(3); /* after three runs */
    assert_int_equal(s2_pool_reserve(&vm, 10), -CORE_ENOMEM);
    fake_fail_allocation(-1);
    s2_stats_get(&vm, &stats);
    assert_int_equal(stats.tables_prepaid, 0);
    assert_int_equal(s2_pool_reserve(&vm, 10), 0);
    s2_stats_get(&vm, &stats);
    assert_int_equal(stats.tables_prepaid, 10);
    assert_int_equal(stats.tables, 2); /* a concatenated root */
    s2_pool_release(&vm);
    assert_int_equal(fake_pages_allocated(), 2);
    end_vm(&vm);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_address_width_has_a_root),
        TEST(bad_configurations_are_refused),
        TEST(bad_ranges_are_refused),
        TEST(largest_leaves_are_used),
        TEST(types_start_with_their_permission),
        TEST(mapping_twice_changes_nothing),
        TEST(map_without_memory_changes_nothing),
        TEST(unmap_splits_blocks_at_both_ends),
        TEST(unmap_without_memory_changes_nothing),
        TEST(refilled_hole_merges_to_a_block),
        TEST(merge_refuses_what_differs),
        TEST(merge_keeps_types),
        TEST(empty_tables_go_away),
        TEST(set_type_splits_and_closes),
        TEST(next_finds_leaves_in_order),
        TEST(lookup_hold_takes_the_frame),
        TEST(lists_of_ram_are_held),
        TEST(lists_of_ram_end_at_anything_else),
        TEST(foreign_pages_open_once),
        TEST(reserve_is_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
