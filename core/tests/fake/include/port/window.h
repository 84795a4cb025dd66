/* SPDX-License-Identifier: MIT */
#ifndef PORT_WINDOW_H
#define PORT_WINDOW_H

#include <core/addr.h>
#include <stdint.h>

struct s2_vm;

uint64_t port_window_load(const struct s2_vm *vm, ipa_t ipa, _Atomic uint64_t **ret_entry);
void port_window_missed(void);

#endif
