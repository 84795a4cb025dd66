/* SPDX-License-Identifier: MIT */
/*
 * Recent output of one console: a bounded buffer that readers follow, each at its own position.
 * Writing never fails and never waits; a reader that is too slow loses the oldest bytes.
 */
#ifndef DAEMON_BACKLOG_H
#define DAEMON_BACKLOG_H

#include <stddef.h>
#include <stdint.h>

#define BACKLOG_BYTES 65536u

struct backlog {
    char data[BACKLOG_BYTES];
    uint64_t total; /* bytes ever written: the position after the newest */
};

void backlog_write(struct backlog *backlog, const char *data, size_t n);
/* Position of the oldest byte that is still there. */
uint64_t backlog_oldest(const struct backlog *backlog);
/*
 * The longest piece at *position that is contiguous; moves *position forward first if bytes there
 * were overwritten. Returns its length, 0 when there is nothing new.
 */
size_t backlog_peek(const struct backlog *backlog, uint64_t *position, const char **ret_data);

#endif
