/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <ctype.h>
#include <string.h>

#define REFUSAL_MS 2000u

_Static_assert(sizeof(struct handover_header) == 16, "docs/stream.md");
_Static_assert(sizeof(struct handover_ready) == 24, "docs/stream.md");

int handover_send(struct handover_io *io, uint32_t type, const void *body, uint32_t length,
                  struct gw_error *err)
{
    struct handover_header header = {.magic = HANDOVER_MAGIC, .type = type, .length = length};
    struct iovec iov[2] = {{.iov_base = &header, .iov_len = sizeof(header)},
                           {.iov_base = (void *)(uintptr_t)body, .iov_len = length}};
    struct handover_io deaf = *io;

    deaf.in_fd = -1;
    return handover_io_write(&deaf, iov, length ? 2 : 1, err) == HANDOVER_OK ? 0 : -1;
}

void handover_refuse(struct handover_io *io, const struct gw_error *why)
{
    struct {
        uint32_t code, reserved;
        char text[sizeof(why->message)];
    } body = {.code = (uint32_t)why->code};
    struct gw_error unused = {0};
    size_t length = strnlen(why->message, sizeof(why->message));
    struct handover_io last = *io;

    /* Also after ^C, but not for long. */
    last.cancelled = NULL;
    last.stall_ms = last.stall_ms < REFUSAL_MS ? last.stall_ms : REFUSAL_MS;
    memcpy(body.text, why->message, length);
    handover_send(&last, HANDOVER_REFUSED, &body, (uint32_t)(8 + length), &unused);
}

/* What stands there instead of a message, made harmless for a terminal. */
static int report_garbage(struct handover_io *io, const void *data, size_t n, struct gw_error *err)
{
    char shown[17];

    gw_error_show_bytes(shown, sizeof(shown), data, n);
    return gw_error_set(err, GW_EXIT_FAILED, "%s answered \"%s\", which is not Godwit", io->peer,
                        shown);
}

int handover_receive(struct handover_io *io, struct handover_message *ret_message,
                     struct gw_error *err)
{
    const uint32_t magic = HANDOVER_MAGIC;
    struct handover_header header = {0};
    size_t got = 0;

    if (handover_io_read(io, &header, sizeof(header), &got, err)) {
        size_t shown = got < sizeof(magic) ? got : sizeof(magic);
        return memcmp(&header, &magic, shown) != 0 ? report_garbage(io, &header, got, err) : -1;
    }
    if (header.magic != HANDOVER_MAGIC || header.reserved || header.length > HANDOVER_BODY_MAX)
        return report_garbage(io, &header, sizeof(header), err);
    if (handover_io_read(io, ret_message->body, header.length, NULL, err))
        return -1;
    ret_message->body[header.length] = '\0';
    ret_message->type = header.type;
    ret_message->length = header.length;
    return 0;
}

static int report_refusal(struct handover_io *io, struct handover_message *message,
                          struct gw_error *err)
{
    uint32_t code = GW_EXIT_FAILED;
    const char *text = "no reason given";

    if (message->length > 8) {
        memcpy(&code, message->body, sizeof(code));
        text = (const char *)message->body + 8;
        for (unsigned char *c = message->body + 8; *c; c++)
            if (!isprint(*c))
                *c = '.';
    }
    io->refusal = code ? code : GW_EXIT_FAILED;
    return gw_error_set(err, code == GW_EXIT_UNSUPPORTED ? GW_EXIT_UNSUPPORTED : GW_EXIT_FAILED,
                        "%s refused: %s", io->peer, text);
}

int handover_expect(struct handover_io *io, uint32_t type, void *ret_body, uint32_t length,
                    struct gw_error *err)
{
    struct handover_message message = {0};

    if (handover_receive(io, &message, err))
        return -1;
    if (message.type == HANDOVER_REFUSED)
        return report_refusal(io, &message, err);
    if (message.type != type || message.length != length)
        return gw_error_set(err, GW_EXIT_FAILED, "%s sent message %u of %u bytes out of turn",
                            io->peer, message.type, message.length);
    if (length)
        memcpy(ret_body, message.body, length);
    return 0;
}
