/* SPDX-License-Identifier: MIT */
/*
 * Prints lines of numbers that follow from a seed. usage: data SEED LINES
 *
 * The same program runs where the image is built, which knows the sums before the guest does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    uint64_t state = strtoull(argv[1], NULL, 10) * 2 + 1;
    for (uint64_t lines = strtoull(argv[2], NULL, 10); lines > 0; lines--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if (printf("%012llx line %llu\n", (unsigned long long)(state >> 16),
                   (unsigned long long)lines) < 0)
            return 1;
    }
    return 0;
}
