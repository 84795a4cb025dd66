/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <stdlib.h>
#include <string.h>

/* The sum of all primes below a number; 0 without memory. */
uint64_t primes_sum(uint32_t below)
{
    uint64_t sum = 0;
    char *composite = malloc(below);
    if (!composite)
        return 0;
    memset(composite, 0, below);
    for (uint32_t i = 2; i < below; i++) {
        if (composite[i])
            continue;
        sum += i;
        for (uint64_t k = (uint64_t)i * i; k < below; k += i)
            composite[k] = 1;
    }
    free(composite);
    return sum;
}
