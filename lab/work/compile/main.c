/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <stdio.h>

enum { WORDS = 20000 };

int main(void)
{
    static char words[WORDS][16];
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < WORDS; i++)
        snprintf(words[i], sizeof(words[i]), "%u", (uint32_t)i * 2654435761u);
    words_sort(words, WORDS);
    hash = text_hash(words[0], sizeof(words), hash);
    printf("primes %llu queens %llu words %016llx\n", (unsigned long long)primes_sum(1000000),
           (unsigned long long)queens_count(9), (unsigned long long)hash);
    return 0;
}
