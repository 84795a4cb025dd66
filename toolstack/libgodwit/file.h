/* SPDX-License-Identifier: MIT */
/* Whole files in memory. */
#ifndef LIBGODWIT_FILE_H
#define LIBGODWIT_FILE_H

#include <libgodwit/error.h>
#include <stddef.h>
#include <stdint.h>

struct gw_file {
    uint8_t *data; /* malloc()ed */
    size_t bytes;
};

/* Reads a regular file of at most bytes_max; more, or less than its size, is an error. */
int gw_file_read(struct gw_file *ret_file, const char *path, uint64_t bytes_max,
                 struct gw_error *err);
void gw_file_free(struct gw_file *file);

#endif
