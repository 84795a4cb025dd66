/* SPDX-License-Identifier: MIT */
/*
 * Which guests this host knows: one file NAME.json per guest in /run/godwit (GODWIT_RUN_DIR in the
 * environment overrides it), under one lock. The hypervisor knows domains by number only; names,
 * configuration and console ports live here.
 */
#ifndef LIBGODWIT_REGISTRY_H
#define LIBGODWIT_REGISTRY_H

#include <libgodwit/config.h>
#include <libgodwit/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_record {
    char name[GW_NAME_BYTES]; /* differs from the configuration's while a guest is moving */
    uint32_t domid;
    uint8_t uuid[16];
    uint32_t console_port; /* guest's end */
    char *config_text;     /* normal form, gw_config_format() */
    char *held; /* why it must stay paused, as gw_held_parse() reads it; NULL: it need not */
};

/* A guest that was handed over to another host, which may run it. See godwit resolve. */
struct gw_held {
    char destination[256];
    uint64_t since_unix_ms;
    bool was_paused; /* by the operator, before it was moved */
};

/* Of the text in a record. -1: it is damaged; the guest is held all the same. */
int gw_held_parse(const char *text, struct gw_held *ret_held);

const char *gw_registry_dir(void);
/* Makes the directory if needed and fails if it cannot be used. */
int gw_registry_init(struct gw_error *err);

/* Fails with GW_EXIT_STATE when the name is taken. */
int gw_registry_add(const struct gw_record *record, struct gw_error *err);
/* Removing what is not there is fine. domid must match: a name that was reused stays. */
int gw_registry_remove(const char *name, uint32_t domid, struct gw_error *err);
int gw_registry_rename(const char *name, const char *new_name, struct gw_error *err);
/* Notes why the guest is held, or with NULL that it is not any more. GW_EXIT_NO_GUEST: the guest of
 * that name has another number by now. */
int gw_registry_hold(const char *name, uint32_t domid, const char *held, struct gw_error *err);
/* GW_EXIT_NO_GUEST when there is none. Free the record with gw_record_free(). */
int gw_registry_find(const char *name, struct gw_record *ret_record, struct gw_error *err);
/* All records; unreadable files are left out. Free with gw_record_list_free(). */
int gw_registry_list(struct gw_record **ret_records, size_t *ret_n, struct gw_error *err);

void gw_record_free(struct gw_record *record);
void gw_record_list_free(struct gw_record *records, size_t n);

#endif
