/* SPDX-License-Identifier: MIT */
/* Callers from frame pointers, names from the table that the second link adds (symbols.h). */
#include "image.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/layout.h>
#include <hv/panic.h>
#include <stdbool.h>
#include <symbols.h>

#define BACKTRACE_MAX 32u

static bool is_text(uint64_t address)
{
    return address >= (uintptr_t)_text_start && address < (uintptr_t)_text_end;
}

const char *symbol_find(uint64_t address, uint64_t *ret_offset)
{
    uint64_t text = (uintptr_t)_text_start;
    uint32_t low = 0;
    uint32_t high = symbol_count;

    *ret_offset = 0;
    if (!is_text(address) || high == 0) {
        return "?";
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (symbols[middle].text_offset <= address - text) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *ret_offset = address - text - symbols[low].text_offset;
    return symbol_names + symbols[low].name_offset;
}

static void print_caller(uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_find(address, &offset);

    printk("  [%lx] %s+0x%lx\n", address, name, offset);
}

/* A frame record lies on this CPU's stack, above the one before it. */
static bool is_on_stack(uint64_t fp, uint64_t above)
{
    uint64_t top = this_cpu()->stack_top;

    return fp % 8 == 0 && fp > above && fp >= top - STACK_BYTES && fp <= top - 16;
}

void backtrace_print(uint64_t pc, uint64_t lr, uint64_t fp)
{
    uint64_t above = 0;

    print_caller(pc);
    if (!is_text(pc) && is_text(lr)) {
        print_caller(lr - 4);
    }
    for (unsigned n = 0; n < BACKTRACE_MAX && is_on_stack(fp, above); n++) {
        const uint64_t *record = (const uint64_t *)fp;

        if (record[1] == 0) {
            return;
        }
        print_caller(record[1] - 4); /* the call, not the instruction after it */
        above = fp;
        fp = record[0];
    }
}
