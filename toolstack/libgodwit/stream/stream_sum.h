/* SPDX-License-Identifier: MIT */
/* The checksum of streams: CRC-32 as zlib's. How it is computed is the CPU's matter: cpu/. */
#ifndef STREAM_SUM_H
#define STREAM_SUM_H

#include <stddef.h>
#include <stdint.h>

/* Continues a sum (0: none yet) with more bytes. Makes no system call; cannot fail. */
uint32_t stream_sum(uint32_t sum, const void *data, size_t bytes);

#endif
