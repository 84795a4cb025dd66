/* SPDX-License-Identifier: MIT */
/* The freestanding part of the C library that the hypervisor and libfdt use. See lib/string.c. */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void *memchr(const void *area, int value, size_t bytes);

size_t strlen(const char *text);
size_t strnlen(const char *text, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);

/* Copies at most bytes - 1 characters and always terminates; bytes > 0. Returns strlen(from). */
size_t strlcpy(char *to, const char *from, size_t bytes);

#endif
