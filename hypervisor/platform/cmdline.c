/* SPDX-License-Identifier: MIT */
/* Options of the hypervisor's command line: name=value words, the last one of a name wins. */
#include <hv/console.h>
#include <hv/fdt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int cmdline_get(const char *name, char *ret_value, unsigned bytes)
{
    size_t name_length = strlen(name);
    const char *word = host.hv_bootargs;
    int found = -1;

    while (*word != '\0') {
        const char *end = word;

        while (*end != '\0' && *end != ' ') {
            end++;
        }
        if ((size_t)(end - word) > name_length && strncmp(word, name, name_length) == 0 &&
            word[name_length] == '=') {
            const char *value = word + name_length + 1;
            size_t length = (size_t)(end - value);

            if (length >= bytes) {
                length = bytes - 1;
            }
            memcpy(ret_value, value, length);
            ret_value[length] = '\0';
            found = (int)length;
        }
        word = *end == ' ' ? end + 1 : end;
    }
    return found;
}

static bool parse_size(const char *text, uint64_t *ret_bytes)
{
    char *end;
    uint64_t value = strtoul(text, &end, 10);
    unsigned shift = 0;

    switch (*end | 0x20) {
    case 'k':
        shift = 10;
        break;
    case 'm':
        shift = 20;
        break;
    case 'g':
        shift = 30;
        break;
    default:
        break;
    }
    if (end == text || end[shift != 0] != '\0' || value > UINT64_MAX >> shift) {
        return false;
    }
    *ret_bytes = value << shift;
    return true;
}

uint64_t cmdline_get_size(const char *name, uint64_t fallback_bytes)
{
    char text[24];
    uint64_t bytes;

    if (cmdline_get(name, text, sizeof(text)) < 0) {
        return fallback_bytes;
    }
    if (!parse_size(text, &bytes)) {
        printk("command line: %s=%s is not a size (like 512M), ignored\n", name, text);
        return fallback_bytes;
    }
    return bytes;
}
