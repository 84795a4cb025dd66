/* SPDX-License-Identifier: MIT */
/* Views of the records that chains of saved guests are made of, and of the sums of pages. */
#include "stream_view.h"

#include <string.h>

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -1;
}

/* The name of a file in the same folder: nothing that leads elsewhere, nothing unprintable. */
static bool file_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > STREAM_BASE_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < ' ' || c == 0x7f || c == '/')
            return false;
    }
    return true;
}

int stream_view_base(const uint8_t *body, size_t length, struct stream_base *ret_base,
                     const char **ret_why)
{
    struct stream_base_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the record of the base is too short");
    memcpy(&h, body, sizeof(h));
    if (h.reserved)
        return refuse(ret_why, "a reserved field of the record of the base is not zero");
    if (h.depth == 0 || h.depth >= STREAM_CHAIN_MAX)
        return refuse(ret_why, "the place in the chain is not between 1 and 63");
    if (h.name_length > STREAM_BASE_NAME_MAX || length != sizeof(h) + h.name_length)
        return refuse(ret_why, "the length of the record of the base does not fit its name");
    if (!file_name_valid((const char *)body + sizeof(h), h.name_length))
        return refuse(ret_why, "the name of the base is not allowed");
    memset(ret_base, 0, sizeof(*ret_base));
    memcpy(ret_base->base_id, h.base_id, sizeof(h.base_id));
    ret_base->base_epoch = h.base_epoch;
    ret_base->base_crc32 = h.base_crc32;
    ret_base->depth = h.depth;
    memcpy(ret_base->name, body + sizeof(h), h.name_length);
    return 0;
}

int stream_view_chain(const uint8_t *body, size_t length, struct stream_chain *ret_chain,
                      const char **ret_why)
{
    if (length != sizeof(*ret_chain))
        return refuse(ret_why, "the record of the chain has the wrong size");
    memcpy(ret_chain, body, sizeof(*ret_chain));
    if (ret_chain->reserved)
        return refuse(ret_why, "a reserved field of the record of the chain is not zero");
    if (ret_chain->depth >= STREAM_CHAIN_MAX)
        return refuse(ret_why, "the place in the chain is not below 64");
    return 0;
}

int stream_view_sums(const uint8_t *body, size_t length, uint64_t next, uint64_t pages,
                     struct stream_sums *ret_sums, const char **ret_why)
{
    struct stream_sums_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the record of the pages' sums is too short");
    memcpy(&h, body, sizeof(h));
    if (h.reserved)
        return refuse(ret_why, "a reserved field of the pages' sums is not zero");
    if (h.count == 0 || h.count > STREAM_SUMS_MAX)
        return refuse(ret_why, "the number of sums is not between 1 and 65536");
    if (length != sizeof(h) + h.count * sizeof(uint32_t))
        return refuse(ret_why, "the length of the pages' sums does not fit their number");
    if (h.first_page != next || h.count > pages - next)
        return refuse(ret_why, "the pages' sums are not in order, or of more pages than there are");
    *ret_sums = (struct stream_sums){h.first_page, h.count, body + sizeof(h)};
    return 0;
}
