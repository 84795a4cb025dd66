/* SPDX-License-Identifier: MIT */
/* The descriptors of arm64 are compiled for this machine here. */
#ifndef PORT_ATOMIC_H
#define PORT_ATOMIC_H

#include <core/plain_atomics.h>

#endif
