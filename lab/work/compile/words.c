/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <stdlib.h>
#include <string.h>

uint64_t text_hash(const char *text, size_t size, uint64_t hash)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
    return hash;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

void words_sort(char (*words)[16], size_t count)
{
    qsort(words, count, sizeof(*words), compare);
}
