/* SPDX-License-Identifier: MIT */
#include "printf.h"

#include <hv/console.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct spec {
    bool left, zero;
    int width;
    int precision; /* -1: none */
    int longs;     /* 0 int, 1 long, 2 long long */
    char conversion;
};

struct sink {
    printf_put_fn put;
    void *context;
};

static void put_padding(const struct sink *sink, char c, int count)
{
    while (count-- > 0) {
        sink->put(sink->context, c);
    }
}

static void put_field(const struct sink *sink, const struct spec *spec, const char *text,
                      int length)
{
    if (!spec->left) {
        put_padding(sink, ' ', spec->width - length);
    }
    for (int i = 0; i < length; i++) {
        sink->put(sink->context, text[i]);
    }
    if (spec->left) {
        put_padding(sink, ' ', spec->width - length);
    }
}

/* Digits of value from the right end of a buffer; returns the first. */
static char *digits_of(char *end, uint64_t value, unsigned base, bool capital)
{
    const char *digits = capital ? "0123456789ABCDEF" : "0123456789abcdef";

    do {
        *--end = digits[value % base];
        value /= base;
    } while (value != 0);
    return end;
}

static void put_number(const struct sink *sink, const struct spec *spec, uint64_t value,
                       bool negative, unsigned base)
{
    char buffer[72];
    char *end = buffer + sizeof(buffer);
    char *first = digits_of(end, value, base, spec->conversion == 'X');
    int sign = negative ? 1 : 0;

    if (spec->zero && !spec->left) {
        int width = spec->width < 64 ? spec->width : 64;

        while (end - first + sign < width) {
            *--first = '0';
        }
    }
    if (negative) {
        *--first = '-';
    }
    put_field(sink, spec, first, (int)(end - first));
}

static const char *parse_number(const char *format, int *ret_number, va_list *args)
{
    if (*format == '*') {
        *ret_number = va_arg(*args, int);
        return format + 1;
    }
    *ret_number = 0;
    while (*format >= '0' && *format <= '9') {
        *ret_number = *ret_number * 10 + (*format++ - '0');
    }
    return format;
}

static const char *parse_spec(const char *format, struct spec *spec, va_list *args)
{
    *spec = (struct spec){.precision = -1};
    for (; *format == '-' || *format == '0'; format++) {
        spec->left |= *format == '-';
        spec->zero |= *format == '0';
    }
    format = parse_number(format, &spec->width, args);
    if (*format == '.') {
        format = parse_number(format + 1, &spec->precision, args);
    }
    for (; *format == 'l' || *format == 'z'; format++) {
        spec->longs++;
    }
    spec->conversion = *format;
    return *format == '\0' ? format : format + 1;
}

static void put_string(const struct sink *sink, const struct spec *spec, const char *text)
{
    size_t max = spec->precision >= 0 ? (size_t)spec->precision : SIZE_MAX;

    if (text == NULL) {
        text = "(null)";
    }
    put_field(sink, spec, text, (int)strnlen(text, max));
}

static void put_conversion(const struct sink *sink, const struct spec *spec, va_list *args)
{
    switch (spec->conversion) {
    case 'd':
    case 'i': {
        int64_t value = spec->longs > 0 ? va_arg(*args, long) : va_arg(*args, int);

        put_number(sink, spec, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10);
        break;
    }
    case 'u':
    case 'x':
    case 'X': {
        uint64_t value = spec->longs > 0 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);

        put_number(sink, spec, value, false, spec->conversion == 'u' ? 10 : 16);
        break;
    }
    case 'p':
        put_number(sink, spec, (uintptr_t)va_arg(*args, void *), false, 16);
        break;
    case 's':
        put_string(sink, spec, va_arg(*args, const char *));
        break;
    case 'c': {
        char c = (char)va_arg(*args, int);

        put_field(sink, spec, &c, 1);
        break;
    }
    default:
        sink->put(sink->context, spec->conversion);
        break;
    }
}

void format_text(printf_put_fn put, void *context, const char *format, va_list args)
{
    struct sink sink = {put, context};
    struct spec spec;
    va_list copy;

    va_copy(copy, args);
    while (*format != '\0') {
        if (*format != '%') {
            put(context, *format++);
            continue;
        }
        format = parse_spec(format + 1, &spec, &copy);
        if (spec.conversion != '\0') {
            put_conversion(&sink, &spec, &copy);
        }
    }
    va_end(copy);
}

struct buffer {
    char *to;
    size_t bytes, used; /* used counts also what did not fit */
};

static void put_buffer(void *context, char c)
{
    struct buffer *buffer = context;

    if (buffer->used + 1 < buffer->bytes) {
        buffer->to[buffer->used] = c;
    }
    buffer->used++;
}

int vsnprintk(char *buffer, size_t bytes, const char *format, va_list args)
{
    struct buffer state = {buffer, bytes, 0};

    format_text(put_buffer, &state, format, args);
    if (bytes > 0) {
        buffer[state.used < bytes ? state.used : bytes - 1] = '\0';
    }
    return (int)state.used;
}

int snprintk(char *buffer, size_t bytes, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintk(buffer, bytes, format, args);
    va_end(args);
    return length;
}
