/* SPDX-License-Identifier: MIT */
/*
 * RAM of the control domain: the largest free runs of 2 MiB blocks. The first is below 4 GiB if
 * there is any memory, so that devices with 32-bit DMA reach it.
 */
#include "control.h"

#include <hv/console.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/p2m.h>

#define BLOCK_BYTES   (UINT64_C(1) << 21)
#define LOW_LIMIT     (UINT64_C(1) << 32)
#define DEFAULT_BYTES (UINT64_C(512) << 20)

uint64_t control_memory_wanted(void)
{
    uint64_t quarter = (frame_total_pages() << PAGE_SHIFT) / 4;
    uint64_t fallback = quarter > DEFAULT_BYTES ? quarter : DEFAULT_BYTES;

    return cmdline_get_size("dom0_mem", fallback) & ~(BLOCK_BYTES - 1);
}

/* The free run that begins at or after start and ends before end; false when there is none. */
static bool next_run(uint64_t start, uint64_t end, struct host_bank *ret_run)
{
    uint64_t at = (start + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1);

    while (at + BLOCK_BYTES <= end && !frame_range_is_free(pa_make(at), BLOCK_BYTES)) {
        at += BLOCK_BYTES;
    }
    ret_run->start = pa_make(at);
    ret_run->bytes = 0;
    while (at + BLOCK_BYTES <= end && frame_range_is_free(pa_make(at), BLOCK_BYTES)) {
        at += BLOCK_BYTES;
        ret_run->bytes += BLOCK_BYTES;
    }
    return ret_run->bytes > 0;
}

/* The largest free run of all banks between low and high. */
static struct host_bank largest_run(uint64_t low, uint64_t high)
{
    struct host_bank best = {.bytes = 0};
    struct host_bank run;

    for (unsigned i = 0; i < host.bank_count; i++) {
        uint64_t start = host.banks[i].start.addr;
        uint64_t end = start + host.banks[i].bytes;

        start = start > low ? start : low;
        end = end < high ? end : high;
        for (; next_run(start, end, &run); start = run.start.addr + run.bytes) {
            if (run.bytes > best.bytes) {
                best = run;
            }
        }
    }
    return best;
}

static void map_run(struct domain *d, const struct host_bank *run)
{
    uint64_t at = run->start.addr;
    uint64_t end = at + run->bytes;

    if (!frame_claim_domain(d, run->start, run->bytes)) {
        panic("control domain: memory at %lx was free and cannot be claimed", at);
    }
    while (at < end) {
        unsigned order = 9;
        int error;

        while (order < FRAME_ORDER_MAX && (at & (PAGE_SIZE_BYTES << order)) == 0 &&
               at + (PAGE_SIZE_BYTES << (order + 1)) <= end) {
            order++;
        }
        error = p2m_add_ram(d, at >> PAGE_SHIFT, pa_make(at), order);
        if (error != 0) {
            panic("control domain: cannot map memory at %lx: error %d", at, error);
        }
        at += PAGE_SIZE_BYTES << order;
    }
}

void control_memory_take(struct domain *d, uint64_t wanted, struct control_memory *ret_memory)
{
    ret_memory->bank_count = 0;
    ret_memory->bytes = 0;
    while (ret_memory->bytes < wanted) {
        uint64_t missing = wanted - ret_memory->bytes;
        struct host_bank run = {.bytes = 0};

        if (ret_memory->bank_count == 0) {
            run = largest_run(0, LOW_LIMIT);
        }
        if (run.bytes == 0) {
            run = largest_run(0, UINT64_MAX);
        }
        if (run.bytes == 0 || ret_memory->bank_count == CONTROL_BANKS_MAX) {
            panic("control domain: %lu MiB wanted (dom0_mem=), only %lu MiB to be had",
                  wanted >> 20, ret_memory->bytes >> 20);
        }
        run.bytes = run.bytes < missing ? run.bytes : missing;
        map_run(d, &run);
        ret_memory->banks[ret_memory->bank_count++] = run;
        ret_memory->bytes += run.bytes;
    }
}
