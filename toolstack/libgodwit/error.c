/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <libgodwit/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int gw_error_set(struct gw_error *err, enum gw_exit code, const char *format, ...)
{
    va_list args;

    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return -1;
}

static enum gw_exit exit_code_of_errno(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return GW_EXIT_DENIED;
    case ENOSYS:
    case EOPNOTSUPP:
        return GW_EXIT_UNSUPPORTED;
    case ESRCH:
        return GW_EXIT_NO_GUEST;
    case ETIMEDOUT:
        return GW_EXIT_TIMEOUT;
    default:
        return GW_EXIT_FAILED;
    }
}

int gw_error_errno(struct gw_error *err, int error, const char *format, ...)
{
    va_list args;
    size_t used;

    error = error < 0 ? -error : error;
    err->code = exit_code_of_errno(error);
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    used = strlen(err->message);
    snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(error));
    return -1;
}

int gw_error_prefix(struct gw_error *err, const char *format, ...)
{
    char old[sizeof(err->message)];
    va_list args;
    size_t used;

    memcpy(old, err->message, sizeof(old));
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    used = strlen(err->message);
    /* A chain of causes that is too long loses its tail, not its head. */
    if (used + 3 < sizeof(err->message)) {
        size_t room = sizeof(err->message) - used - 3;
        size_t n = strnlen(old, sizeof(old));

        n = n < room ? n : room;
        memcpy(err->message + used, ": ", 2);
        memcpy(err->message + used + 2, old, n);
        err->message[used + 2 + n] = '\0';
    }
    return -1;
}

void gw_error_show_bytes(char *ret_text, size_t room, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    size_t i;

    for (i = 0; i < n && i + 1 < room; i++)
        ret_text[i] = isprint(from[i]) ? (char)from[i] : '.';
    ret_text[i] = '\0';
}
