/* SPDX-License-Identifier: MIT */
#ifndef CORE_SRC_MERGE_H
#define CORE_SRC_MERGE_H

#include <core/addr.h>

struct s2_vm;

/* As s2_merge, whatever the state of logging. Write lock held by the caller. */
int s2_merge_step(struct s2_vm *vm, ipa_t *cursor);

#endif
