/* SPDX-License-Identifier: MIT */
/* The syntax of xl.cfg(5): settings `key = value`, where a value is a string, a number or a list.
 */
#ifndef LIBGODWIT_CONFIG_PARSE_H
#define LIBGODWIT_CONFIG_PARSE_H

#include <libgodwit/error.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_KEY_BYTES   64
#define CONFIG_VALUE_BYTES 4096 /* one string, with its terminating 0 */

enum config_type { CONFIG_STRING, CONFIG_NUMBER, CONFIG_LIST };

struct config_setting {
    char key[CONFIG_KEY_BYTES];
    unsigned line;
    enum config_type type;
    char string[CONFIG_VALUE_BYTES]; /* CONFIG_STRING */
    uint64_t number;                 /* CONFIG_NUMBER */
    unsigned list_n;                 /* CONFIG_LIST: entries */
};

struct config_reader {
    const char *origin; /* for messages */
    const char *at, *end;
    unsigned line;
};

void config_reader_init(struct config_reader *reader, const char *origin, const char *text,
                        size_t len);
/*
 * Reads the key of the next setting: 1 there is one, 0 end of text, -1 error. The value follows
 * with config_read_value(); between the two the caller may refuse the key.
 */
int config_read_key(struct config_reader *reader, struct config_setting *setting,
                    struct gw_error *err);
int config_read_value(struct config_reader *reader, struct config_setting *setting,
                      struct gw_error *err);

#endif
