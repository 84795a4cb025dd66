/* SPDX-License-Identifier: MIT */
/* Reader of the configuration syntax. Any bytes are valid input: they parse or give an error. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config_parse.h"

void config_reader_init(struct config_reader *reader, const char *origin, const char *text,
                        size_t len)
{
    *reader = (struct config_reader){.origin = origin, .at = text, .end = text + len, .line = 1};
}

static int peek(const struct config_reader *reader)
{
    return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

static int syntax_error(const struct config_reader *reader, struct gw_error *err,
                        const char *wanted)
{
    int c = peek(reader);
    char found[24];

    if (c < 0)
        snprintf(found, sizeof(found), "the end");
    else if (c == '\n')
        snprintf(found, sizeof(found), "the end of the line");
    else if (isprint(c))
        snprintf(found, sizeof(found), "'%c'", c);
    else
        snprintf(found, sizeof(found), "byte 0x%02x", (unsigned)c);
    return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: expected %s but found %s", reader->origin,
                        reader->line, wanted, found);
}

/* Skips blanks, comments and, if newlines, line ends. */
static void skip_blanks(struct config_reader *reader, bool newlines)
{
    for (;; reader->at++) {
        int c = peek(reader);

        if (c == '#') {
            while (peek(reader) >= 0 && peek(reader) != '\n')
                reader->at++;
            c = peek(reader);
        }
        if (c == '\n' && newlines)
            reader->line++;
        else if (c != ' ' && c != '\t' && c != '\r')
            return;
    }
}

int config_read_key(struct config_reader *reader, struct config_setting *setting,
                    struct gw_error *err)
{
    size_t n = 0;

    skip_blanks(reader, true);
    while (peek(reader) == ';') { /* an empty setting */
        reader->at++;
        skip_blanks(reader, true);
    }
    if (peek(reader) < 0)
        return 0;
    if (!isalpha(peek(reader)) && peek(reader) != '_')
        return syntax_error(reader, err, "the name of a setting");
    setting->line = reader->line;
    while (isalnum(peek(reader)) || peek(reader) == '_') {
        if (n + 1 >= sizeof(setting->key))
            return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: the name of a setting is too long",
                                reader->origin, reader->line);
        setting->key[n++] = *reader->at++;
    }
    setting->key[n] = '\0';
    return 1;
}

static int escape_value(int c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '\\':
    case '"':
    case '\'':
        return c;
    default:
        return -1;
    }
}

static int read_string(struct config_reader *reader, char *ret_string, size_t bytes,
                       struct gw_error *err)
{
    int quote = (unsigned char)*reader->at++;
    size_t n = 0;

    while (peek(reader) != quote) {
        int c = peek(reader);

        if (c < ' ' && c != '\t')
            return syntax_error(reader, err, "the closing quote of the string");
        if (c == '\\') {
            reader->at++;
            c = escape_value(peek(reader));
            if (c < 0)
                return syntax_error(reader, err, "one of n r t \\ \" ' after a backslash");
        }
        if (n + 1 >= bytes)
            return gw_error_set(err, GW_EXIT_CONFIG,
                                "%s:%u: a string is longer than %zu characters", reader->origin,
                                reader->line, bytes - 1);
        ret_string[n++] = (char)c;
        reader->at++;
    }
    reader->at++;
    ret_string[n] = '\0';
    return 0;
}

/* Decimal, or hexadecimal with 0x, or octal with a leading 0, as in C. */
static int read_number(struct config_reader *reader, uint64_t *ret_number, struct gw_error *err)
{
    unsigned base = 10;
    uint64_t number = 0;
    bool digits = false;

    if (peek(reader) == '0') {
        reader->at++;
        base = 8;
        digits = true;
        if (peek(reader) == 'x' || peek(reader) == 'X') {
            reader->at++;
            base = 16;
            digits = false;
        }
    }
    for (; isxdigit(peek(reader)); reader->at++) {
        int c = tolower(peek(reader));
        unsigned digit = (unsigned)(isdigit(c) ? c - '0' : c - 'a' + 10);

        if (digit >= base)
            return syntax_error(reader, err, "a digit of the number");
        if (number > (UINT64_MAX - digit) / base)
            return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: a number is too large", reader->origin,
                                reader->line);
        number = number * base + digit;
        digits = true;
    }
    if (!digits)
        return syntax_error(reader, err, "a digit of the number");
    *ret_number = number;
    return 0;
}

/* Entries are strings or numbers; no setting of ours reads them, so only their number is kept. */
static int read_list(struct config_reader *reader, struct config_setting *setting,
                     struct gw_error *err)
{
    setting->list_n = 0;
    reader->at++;
    for (;;) {
        uint64_t number;
        int rc;

        skip_blanks(reader, true);
        if (peek(reader) == ']')
            break;
        if (peek(reader) == '"' || peek(reader) == '\'')
            rc = read_string(reader, setting->string, sizeof(setting->string), err);
        else if (isdigit(peek(reader)))
            rc = read_number(reader, &number, err);
        else
            rc = syntax_error(reader, err, "an entry of the list or ']'");
        if (rc < 0)
            return rc;
        setting->list_n++;
        skip_blanks(reader, true);
        if (peek(reader) == ',')
            reader->at++;
        else if (peek(reader) != ']')
            return syntax_error(reader, err, "',' or ']' in the list");
    }
    reader->at++;
    return 0;
}

int config_read_value(struct config_reader *reader, struct config_setting *setting,
                      struct gw_error *err)
{
    int c, rc;

    skip_blanks(reader, false);
    if (peek(reader) != '=')
        return syntax_error(reader, err, "'=' after the name");
    reader->at++;
    skip_blanks(reader, false);
    c = peek(reader);
    if (c == '"' || c == '\'') {
        setting->type = CONFIG_STRING;
        rc = read_string(reader, setting->string, sizeof(setting->string), err);
    } else if (c == '[') {
        setting->type = CONFIG_LIST;
        rc = read_list(reader, setting, err);
    } else if (isdigit(c)) {
        setting->type = CONFIG_NUMBER;
        rc = read_number(reader, &setting->number, err);
    } else {
        return syntax_error(reader, err, "a string in quotes, a number or a list");
    }
    if (rc < 0)
        return rc;
    skip_blanks(reader, false);
    c = peek(reader);
    if (c >= 0 && c != '\n' && c != ';')
        return syntax_error(reader, err, "the end of the line after the value");
    return 0;
}
