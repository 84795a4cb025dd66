/* SPDX-License-Identifier: MIT */
#include "backlog.h"

void backlog_write(struct backlog *backlog, const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        backlog->data[(backlog->total + i) % BACKLOG_BYTES] = data[i];
    backlog->total += n;
}

uint64_t backlog_oldest(const struct backlog *backlog)
{
    return backlog->total > BACKLOG_BYTES ? backlog->total - BACKLOG_BYTES : 0;
}

size_t backlog_peek(const struct backlog *backlog, uint64_t *position, const char **ret_data)
{
    uint64_t oldest = backlog_oldest(backlog);
    size_t offset;
    uint64_t n;

    if (*position < oldest)
        *position = oldest;
    n = backlog->total - *position;
    offset = (size_t)(*position % BACKLOG_BYTES);
    if (n > BACKLOG_BYTES - offset)
        n = BACKLOG_BYTES - offset;
    *ret_data = backlog->data + offset;
    return (size_t)n;
}
