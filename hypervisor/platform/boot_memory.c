/* SPDX-License-Identifier: MIT */
#include "boot_memory.h"

#include "host_fdt.h"

#include <hv/console.h>
#include <hv/frame.h>
#include <string.h>

const struct host_bank *boot_memory_bank_of(pa_t pa)
{
    for (unsigned i = 0; i < host.bank_count; i++) {
        const struct host_bank *bank = &host.banks[i];

        if (pa.addr >= bank->start.addr && pa.addr - bank->start.addr < bank->bytes) {
            return bank;
        }
    }
    panic("physical address %lx is in no memory bank", pa.addr);
}

/*
 * The first unreserved range of whole pages at or above start and below end; false when none is
 * left. Reserved ranges are few and unsorted: look at all of them.
 */
static bool next_free(uint64_t start, uint64_t end, struct host_range *ret_range)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (unsigned i = 0; i < host_platform.reserved_count; i++) {
            const struct host_range *r = &host_platform.reserved[i];
            uint64_t first = r->start & ~PAGE_MASK;
            uint64_t last = (r->start + r->bytes + PAGE_MASK) & ~PAGE_MASK;

            if (start >= first && start < last) {
                start = last;
                moved = true;
            }
        }
    }
    if (start >= end) {
        return false;
    }
    for (unsigned i = 0; i < host_platform.reserved_count; i++) {
        uint64_t first = host_platform.reserved[i].start & ~PAGE_MASK;

        if (first >= start && first < end) {
            end = first;
        }
    }
    *ret_range = (struct host_range){start, end - start};
    return true;
}

/* Room for the frame records: at the top of the largest free range, away from low DMA memory. */
static uint64_t take_from_largest(const struct host_bank *bank, uint64_t bytes)
{
    uint64_t end = bank->start.addr + bank->bytes;
    struct host_range largest = {0, 0};
    struct host_range range;

    for (uint64_t at = bank->start.addr; next_free(at, end, &range);
         at = range.start + range.bytes) {
        if (range.bytes >= largest.bytes) {
            largest = range;
        }
    }
    if (largest.bytes < bytes) {
        return 0;
    }
    return largest.start + largest.bytes - bytes;
}

void boot_memory_add_bank(const struct host_bank *bank)
{
    uint64_t end = bank->start.addr + bank->bytes;
    uint64_t record_bytes = frame_record_bytes(bank->bytes);
    uint64_t records = take_from_largest(bank, record_bytes);
    struct host_range range;

    if (records == 0) {
        printk("memory: bank at %lx is too small or reserved, not used\n", bank->start.addr);
        return;
    }
    host_reserve(records, record_bytes);
    frame_add_bank(bank->start, bank->bytes, pa_to_va(pa_make(records)));
    for (uint64_t at = bank->start.addr; next_free(at, end, &range);
         at = range.start + range.bytes) {
        frame_add_region(pa_make(range.start), range.bytes);
    }
}
