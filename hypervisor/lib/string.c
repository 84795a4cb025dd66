/* SPDX-License-Identifier: MIT */
/*
 * Memory and string functions. Copies and fills move eight bytes at a time once the pointers allow
 * it, because frames are scrubbed and modules are moved with them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Aliases what it points to, as only the functions below may. */
typedef uint64_t __attribute__((may_alias)) word_t;

#define WORD_BYTES sizeof(word_t)

static int same_alignment(const void *a, const void *b)
{
    return (((uintptr_t)a ^ (uintptr_t)b) & (WORD_BYTES - 1)) == 0;
}

static void copy_up(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (same_alignment(to, from)) {
        for (; bytes > 0 && ((uintptr_t)to & (WORD_BYTES - 1)) != 0; bytes--) {
            *to++ = *from++;
        }
        for (; bytes >= 8 * WORD_BYTES; bytes -= 8 * WORD_BYTES) {
            const word_t *source = (const word_t *)(const void *)from;
            word_t *words = (word_t *)(void *)to;
            /* All loads before the stores, as memmove's areas may overlap. */
            word_t a = source[0], b = source[1], c = source[2], d = source[3];
            word_t e = source[4], f = source[5], g = source[6], h = source[7];

            words[0] = a;
            words[1] = b;
            words[2] = c;
            words[3] = d;
            words[4] = e;
            words[5] = f;
            words[6] = g;
            words[7] = h;
            to += 8 * WORD_BYTES;
            from += 8 * WORD_BYTES;
        }
        for (; bytes >= WORD_BYTES; bytes -= WORD_BYTES) {
            *(word_t *)(void *)to = *(const word_t *)(const void *)from;
            to += WORD_BYTES;
            from += WORD_BYTES;
        }
    }
    while (bytes-- > 0) {
        *to++ = *from++;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_up(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if ((uintptr_t)t <= (uintptr_t)f || (uintptr_t)t >= (uintptr_t)f + bytes) {
        copy_up(t, f, bytes);
        return to;
    }
    while (bytes-- > 0) {
        t[bytes] = f[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *t = to;
    word_t word = (uint8_t)value * UINT64_C(0x0101010101010101);

    for (; bytes > 0 && ((uintptr_t)t & (WORD_BYTES - 1)) != 0; bytes--) {
        *t++ = (uint8_t)value;
    }
    for (; bytes >= 8 * WORD_BYTES; bytes -= 8 * WORD_BYTES) {
        word_t *words = (word_t *)(void *)t;

        words[0] = words[1] = words[2] = words[3] = word;
        words[4] = words[5] = words[6] = words[7] = word;
        t += 8 * WORD_BYTES;
    }
    for (; bytes >= WORD_BYTES; bytes -= WORD_BYTES) {
        *(word_t *)(void *)t = word;
        t += WORD_BYTES;
    }
    while (bytes-- > 0) {
        *t++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a;
    const uint8_t *y = b;

    for (; bytes > 0; bytes--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}

void *memchr(const void *area, int value, size_t bytes)
{
    const uint8_t *p = area;

    for (; bytes > 0; bytes--, p++) {
        if (*p == (uint8_t)value) {
            return (void *)(uintptr_t)p;
        }
    }
    return NULL;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end != '\0') {
        end++;
    }
    return (size_t)(end - text);
}

size_t strnlen(const char *text, size_t max)
{
    size_t n = 0;

    while (n < max && text[n] != '\0') {
        n++;
    }
    return n;
}

int strncmp(const char *a, const char *b, size_t max)
{
    for (; max > 0; max--, a++, b++) {
        if (*a != *b || *a == '\0') {
            return (uint8_t)*a - (uint8_t)*b;
        }
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *text, int c)
{
    return memchr(text, c, strlen(text) + 1);
}

char *strrchr(const char *text, int c)
{
    for (size_t n = strlen(text) + 1; n > 0; n--) {
        if (text[n - 1] == (char)c) {
            return (char *)(uintptr_t)(text + n - 1);
        }
    }
    return NULL;
}

size_t strlcpy(char *to, const char *from, size_t bytes)
{
    size_t length = strlen(from);
    size_t copied = length < bytes ? length : bytes - 1;

    memcpy(to, from, copied);
    to[copied] = '\0';
    return length;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        return (c | 0x20) - 'a' + 10;
    }
    return 16;
}

unsigned long strtoul(const char *text, char **ret_end, int base)
{
    unsigned long value = 0;

    if ((base == 0 || base == 16) && text[0] == '0' && (text[1] | 0x20) == 'x' &&
        digit_value(text[2]) < 16) {
        base = 16;
        text += 2;
    }
    if (base == 0) {
        base = 10;
    }
    for (; digit_value(*text) < base; text++) {
        unsigned long next;

        if (__builtin_mul_overflow(value, (unsigned long)base, &next) ||
            __builtin_add_overflow(next, (unsigned long)digit_value(*text), &value)) {
            value = ~0UL;
        }
    }
    if (ret_end != NULL) {
        *ret_end = (char *)(uintptr_t)text;
    }
    return value;
}
