/* SPDX-License-Identifier: MIT */
/*
 * s2_fault_write for the first instructions of an exception entry. It calls nothing: whoever embeds
 * core/ may compile this file so that the function changes few registers, and save only those.
 */
#include <core/s2.h>

#include "fault_page.h"

bool s2_fault_write_fast(struct s2_vm *vm, ipa_t ipa)
{
    struct s2_cpu_line *line;
    bool done;

    if (ipa.addr >> vm->ipa_bits || (line = s2_read_trylock(vm)) == NULL) {
        return false;
    }
    done = fault_open_page(vm, line, ipa);
    s2_read_unlock(line);
    return done;
}
