/* SPDX-License-Identifier: MIT */
/* A small program for a compiler: what its parts compute is printed by main.c and known beforehand.
 */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

uint64_t primes_sum(uint32_t below);
uint64_t queens_count(int size);
uint64_t text_hash(const char *text, size_t size, uint64_t hash);
void words_sort(char (*words)[16], size_t count);

#endif
