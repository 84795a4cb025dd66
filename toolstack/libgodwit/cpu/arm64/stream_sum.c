/* SPDX-License-Identifier: MIT */
/* Arm's CRC32 instructions are optional in v8.0: a tenth of zlib's instructions where they exist.
 */
#include "../../stream_sum.h"

#include <arm_acle.h>
#include <sys/auxv.h>
#include <zlib.h>

#define HAS_CRC32 (UINT64_C(1) << 7) /* AT_HWCAP */
#define STEP      (8 * sizeof(uint64_t))

/* Wherever it lies, and whatever it is; a copy by memcpy would go through the stack. */
typedef uint64_t __attribute__((may_alias, aligned(1))) word_t;

__attribute__((target("+crc"))) static uint32_t sum_by_cpu(uint32_t sum, const uint8_t *at,
                                                           size_t n)
{
    sum = ~sum;
    for (; n >= STEP; n -= STEP, at += STEP) {
        const word_t *words = (const word_t *)(const void *)at;
        uint64_t a = words[0], b = words[1], c = words[2], d = words[3];
        uint64_t e = words[4], f = words[5], g = words[6], h = words[7];

        sum = __crc32d(__crc32d(__crc32d(__crc32d(sum, a), b), c), d);
        sum = __crc32d(__crc32d(__crc32d(__crc32d(sum, e), f), g), h);
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
