/* SPDX-License-Identifier: MIT */
/* Arm's CRC32 instructions are optional in v8.0: a tenth of zlib's instructions where they exist.
 */
#include "../../stream_sum.h"

#include <arm_acle.h>
#include <string.h>
#include <sys/auxv.h>
#include <zlib.h>

#define HAS_CRC32 (UINT64_C(1) << 7) /* AT_HWCAP */
#define STEP      (4 * sizeof(uint64_t))

__attribute__((target("+crc"))) static uint32_t sum_by_cpu(uint32_t sum, const uint8_t *at,
                                                           size_t n)
{
    sum = ~sum;
    for (; n >= STEP; n -= STEP, at += STEP) {
        uint64_t words[4];

        memcpy(words, at, sizeof(words));
        for (unsigned i = 0; i < 4; i++)
            sum = __crc32d(sum, words[i]);
    }
    for (; n > 0; n--)
        sum = __crc32b(sum, *at++);
    return ~sum;
}

uint32_t stream_sum(uint32_t sum, const void *data, size_t bytes)
{
    if (getauxval(AT_HWCAP) & HAS_CRC32)
        return sum_by_cpu(sum, data, bytes);
    return (uint32_t)crc32_z(sum, data, bytes);
}
