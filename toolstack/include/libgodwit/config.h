/* SPDX-License-Identifier: MIT */
/* A guest's configuration: the part of xl.cfg(5) syntax and keys that Godwit has. See
 * godwit.cfg(5). */
#ifndef LIBGODWIT_CONFIG_H
#define LIBGODWIT_CONFIG_H

#include <godwit/ext.h>
#include <libgodwit/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_NAME_BYTES     64 /* with the terminating 0 */
#define GW_VCPUS_MAX      64
#define GW_MEMORY_MIB_MIN 1

enum gw_action { GW_ACTION_DESTROY, GW_ACTION_RESTART, GW_ACTION_PRESERVE };

struct gw_config {
    char name[GW_NAME_BYTES];
    uint8_t uuid[16];
    uint32_t vcpus;
    uint64_t memory_mib;
    char *kernel;  /* path; NULL only while parsing */
    char *ramdisk; /* path or NULL */
    char *cmdline; /* kernel command line, never NULL after parsing */
    enum gw_action on_poweroff, on_reboot, on_crash;
    enum godwit_tracking logdirty; /* DEFAULT: "auto" */
    enum godwit_split logdirty_split;
};

/*
 * Parses text (len bytes, any bytes) into config. origin names it in messages ("web.cfg").
 * overrides: n strings "key=value" as on xl's command line, in the same syntax; they win over text.
 * Errors name origin and line. A missing uuid is made up. Free with gw_config_free(), also on
 * error.
 */
int gw_config_parse(struct gw_config *config, const char *origin, const char *text, size_t len,
                    const char *const *overrides, size_t n, struct gw_error *err);
/* The same from a file. */
int gw_config_load(struct gw_config *config, const char *path, const char *const *overrides,
                   size_t n, struct gw_error *err);
/* Normal form: parsing it gives an equal configuration. malloc()ed; NULL: no memory. */
char *gw_config_format(const struct gw_config *config);
void gw_config_free(struct gw_config *config);

const char *gw_action_name(enum gw_action action);
/* As in the configuration: "auto", "fault", "hardware"; "auto", "lazy", "eager"; else "unknown". */
const char *gw_tracking_name(uint32_t tracking);
const char *gw_split_name(uint32_t split);
/* true: name may be used for a guest (letters, digits, "_+.-", not a number, not empty). */
bool gw_config_name_valid(const char *name);
void gw_uuid_format(const uint8_t uuid[16], char ret_text[37]);
int gw_uuid_parse(const char *text, uint8_t ret_uuid[16]); /* 0 or -1 */

#endif
