/* SPDX-License-Identifier: MIT */
#include "migrate_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mig_fail(struct mig_error *error, int status, const char *format, ...)
{
    va_list args;

    if (error->status != MIG_DONE)
        return -1;
    error->status = status;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return -1;
}

int mig_explain(struct mig_error *error, const char *prefix)
{
    char text[sizeof(error->text)];

    memcpy(text, error->text, sizeof(text));
    int used = snprintf(error->text, sizeof(error->text), "%s: ", prefix);
    if (used > 0 && (size_t)used < sizeof(error->text))
        memcpy(error->text + used, text, strnlen(text, sizeof(text) - (size_t)used - 1) + 1);
    error->text[sizeof(error->text) - 1] = '\0';
    return -1;
}
