/* SPDX-License-Identifier: MIT */
#ifndef CORE_SRC_PINS_H
#define CORE_SRC_PINS_H

struct s2_vm;

/* Forgets all pins and frees their memory. Nobody else is at the VM any more. */
void pins_free(struct s2_vm *vm);
/* The same for everything of the log. */
void log_destroy(struct s2_vm *vm);

#endif
