/* SPDX-License-Identifier: MIT */
/* Arm's CRC32 instructions are optional in v8.0: a tenth of zlib's instructions where they exist.
 */
#include "../../stream_sum.h"

#include <arm_acle.h>
#include <sys/auxv.h>
#include <zlib.h>

#define HAS_CRC32 (UINT64_C(1) << 7) /* AT_HWCAP */
#define PAIR      16
#define STEP      (8 * PAIR) /* bytes a turn: with fewer the loop itself shows */

/* Two words and past them, wherever they lie: compilers load every third one by itself. */
static inline const uint8_t *load_pair(const uint8_t *at, uint64_t *ret_a, uint64_t *ret_b)
{
    __asm__("ldp %0, %1, [%2], %3" : "=&r"(*ret_a), "=&r"(*ret_b), "+r"(at) : "i"(PAIR) : "memory");
    return at;
}

__attribute__((target("+crc"))) static inline const uint8_t *sum_pair(const uint8_t *at,
                                                                      uint32_t *sum)
{
    uint64_t a, b;

    at = load_pair(at, &a, &b);
    *sum = __crc32d(__crc32d(*sum, a), b);
    return at;
}

__attribute__((target("+crc"))) static uint32_t sum_by_cpu(uint32_t sum, const uint8_t *at,
                                                           size_t n)
{
    sum = ~sum;
    for (const uint8_t *end = at + n / STEP * STEP; at != end;) {
        at = sum_pair(sum_pair(at, &sum), &sum);
        at = sum_pair(sum_pair(at, &sum), &sum);
        at = sum_pair(sum_pair(at, &sum), &sum);
        at = sum_pair(sum_pair(at, &sum), &sum);
    }
    for (n %= STEP; n >= PAIR; n -= PAIR)
        at = sum_pair(at, &sum);
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
