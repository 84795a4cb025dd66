/* SPDX-License-Identifier: MIT */
/* Configuration back to text, and UUIDs. */
#include <inttypes.h>
#include <libgodwit/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void format_string(FILE *out, const char *key, const char *value)
{
    fprintf(out, "%s = \"", key);
    for (; *value; value++) {
        if (*value == '\n' || *value == '\r')
            fputs(*value == '\n' ? "\\n" : "\\r", out);
        else if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value, out);
    }
    fputs("\"\n", out);
}

char *gw_config_format(const struct gw_config *config)
{
    char *text = NULL;
    size_t bytes = 0;
    char uuid[37];
    FILE *out = open_memstream(&text, &bytes);

    if (!out)
        return NULL;
    gw_uuid_format(config->uuid, uuid);
    format_string(out, "name", config->name);
    format_string(out, "uuid", uuid);
    format_string(out, "kernel", config->kernel);
    if (config->ramdisk)
        format_string(out, "ramdisk", config->ramdisk);
    format_string(out, "cmdline", config->cmdline);
    fprintf(out, "memory = %" PRIu64 "\n", config->memory_mib);
    fprintf(out, "vcpus = %" PRIu32 "\n", config->vcpus);
    format_string(out, "on_poweroff", gw_action_name(config->on_poweroff));
    format_string(out, "on_reboot", gw_action_name(config->on_reboot));
    format_string(out, "on_crash", gw_action_name(config->on_crash));
    /* Only what was chosen: a host that does not know the keys then still reads the rest. */
    if (config->logdirty != GODWIT_TRACKING_DEFAULT)
        format_string(out, "logdirty", gw_tracking_name(config->logdirty));
    if (config->logdirty_split != GODWIT_SPLIT_DEFAULT)
        format_string(out, "logdirty_split", gw_split_name(config->logdirty_split));
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void gw_uuid_format(const uint8_t uuid[16], char ret_text[37])
{
    static const char digits[] = "0123456789abcdef";
    char *at = ret_text;

    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[uuid[i] >> 4];
        *at++ = digits[uuid[i] & 15];
    }
    *at = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int gw_uuid_parse(const char *text, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];

    for (unsigned i = 0; i < 16; i++) {
        int high, low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return -1;
        high = hex_digit(text[0]);
        low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return -1;
        uuid[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return -1;
    memcpy(ret_uuid, uuid, sizeof(uuid));
    return 0;
}
