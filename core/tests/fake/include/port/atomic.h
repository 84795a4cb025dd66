/* SPDX-License-Identifier: MIT */
/* C's own operations. */
#ifndef PORT_ATOMIC_H
#define PORT_ATOMIC_H

#include <core/plain_atomics.h>

#endif
