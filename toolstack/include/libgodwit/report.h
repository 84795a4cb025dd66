/* SPDX-License-Identifier: MIT */
/* Draws a migration: its JSON object (docs/migrate.schema.json) becomes one HTML page. */
#ifndef LIBGODWIT_REPORT_H
#define LIBGODWIT_REPORT_H

#include <libgodwit/error.h>
#include <stddef.h>

/*
 * Makes the page of the object in text, which is length bytes from anybody and need not end with a
 * NUL. The page needs no network, no other file and no script. Fields that are absent are shown as
 * not known; a field of the wrong kind is an error that names it. what names the text in messages.
 * On success *ret_page is malloc()ed, *ret_length bytes, with a NUL behind them. No locks.
 */
int gw_report_page(const char *what, const void *text, size_t length, char **ret_page,
                   size_t *ret_length, struct gw_error *err);

/*
 * Reads the object from the file from ("-": standard input) and writes its page to the file to
 * (NULL or "-": standard output). A page appears under its name only when it is complete.
 */
int gw_report_write(const char *from, const char *to, struct gw_error *err);

#endif
