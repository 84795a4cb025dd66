/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: what the other side says beside the stream. The first byte chooses what we wait
 * for; the rest is what comes.
 */
#include "handover/handover.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int descriptor(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    return fd;
}

/* A message is for a terminal: one line, no control characters. */
static void look_at(const struct gw_error *err)
{
    size_t length = strnlen(err->message, sizeof(err->message));

    if (err->code == GW_EXIT_OK || length == 0 || length == sizeof(err->message))
        abort();
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)err->message[i] < ' ' || err->message[i] == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const struct {
        uint32_t type, bytes;
    } wanted[] = {{HANDOVER_HELLO, sizeof(struct handover_hello)},
                  {HANDOVER_ACCEPT, 0},
                  {HANDOVER_READY, sizeof(struct handover_ready)},
                  {HANDOVER_GO, 0},
                  {HANDOVER_RESUMED, 0},
                  {HANDOVER_REFUSED, 0},
                  {HANDOVER_MARKED, sizeof(struct handover_marked)}};
    struct handover_io io = {.in_fd = descriptor(), .out_fd = -1, .peer = "them"};
    struct gw_error err = {0};
    unsigned which = length ? data[0] % (sizeof(wanted) / sizeof(wanted[0])) : 0;
    uint8_t *body;

    if (length == 0 || ftruncate(io.in_fd, 0) < 0 ||
        pwrite(io.in_fd, data + 1, length - 1, 0) != (ssize_t)length - 1 ||
        lseek(io.in_fd, 0, SEEK_SET) < 0)
        return 0;
    body = malloc(wanted[which].bytes); /* exactly: the sanitizer sees one byte too many */
    while (handover_expect(&io, wanted[which].type, body, wanted[which].bytes, &err) == 0)
        ;
    look_at(&err);
    free(body);
    return 0;
}
