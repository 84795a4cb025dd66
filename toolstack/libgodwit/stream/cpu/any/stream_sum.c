/* SPDX-License-Identifier: MIT */
#include "../../stream_sum.h"

#include <zlib.h>

uint32_t stream_sum(uint32_t sum, const void *data, size_t bytes)
{
    return (uint32_t)crc32_z(sum, data, bytes);
}
