/* SPDX-License-Identifier: MIT */
#include "save_chain.h"

#include "stream/stream_view.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zlib.h>

/* The last bytes of a stream that another may follow. */
struct chain_end {
    struct stream_record_header chain_header;
    struct stream_chain chain;
    struct stream_record_header digest_header;
    struct stream_digest digest;
    struct stream_record_header end_header;
};

_Static_assert(sizeof(struct chain_end) == 8 + 72 + 8 + 8 + 8, "no holes");

static int read_ends(int fd, struct stream_image_header *ret_header, struct chain_end *ret_end)
{
    off_t size = lseek(fd, 0, SEEK_END);

    if (size < (off_t)(sizeof(*ret_header) + sizeof(*ret_end)))
        return -1;
    return pread(fd, ret_header, sizeof(*ret_header), 0) != sizeof(*ret_header) ||
                   pread(fd, ret_end, sizeof(*ret_end), size - (off_t)sizeof(*ret_end)) !=
                       sizeof(*ret_end)
               ? -1
               : 0;
}

static bool is_header(const struct stream_record_header *h, uint32_t type, uint32_t length)
{
    return h->type == type && h->length == length;
}

int save_chain_read(const char *path, struct save_link *ret_link, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stream_image_header header;
    struct chain_end end;
    const char *why;

    if (fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", path);
    int rc = read_ends(fd, &header, &end);
    close(fd);
    if (rc || header.marker != STREAM_MARKER || be32toh(header.id) != STREAM_ID)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s is not a saved guest", path);
    if (be32toh(header.version) > STREAM_VERSION) /* its end may mean something else */
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "%s has version %u of the format, and this godwit knows versions up to "
                            "%u: take a full save, or use a newer godwit",
                            path, be32toh(header.version), STREAM_VERSION);
    if (!is_header(&end.chain_header, STREAM_CHAIN, sizeof(end.chain)) ||
        !is_header(&end.digest_header, STREAM_DIGEST, sizeof(end.digest)) ||
        !is_header(&end.end_header, STREAM_END, 0))
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "nothing can follow %s: it was not saved with --incremental, or is "
                            "damaged; take a full save",
                            path);
    if (stream_view_chain((const uint8_t *)&end.chain, sizeof(end.chain), &ret_link->chain, &why))
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: %s", path, why);
    ret_link->crc32 = end.digest.crc32;
    return 0;
}

static uint32_t memory_crc(const struct save_source *s)
{
    return (uint32_t)crc32(0, (const uint8_t *)s->memory.ranges,
                           (uInt)(s->memory.count * sizeof(s->memory.ranges[0])));
}

int save_chain_follow(const struct save_link *link, const char *path, const struct save_source *s,
                      struct stream_base *ret_base, struct gw_error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (memcmp(link->chain.uuid, s->guest.config.uuid, sizeof(link->chain.uuid)) != 0)
        return gw_error_set(err, GW_EXIT_STATE, "%s is of another guest", path);
    if (link->chain.memory_crc32 != memory_crc(s))
        return gw_error_set(err, GW_EXIT_STATE,
                            "the guest's memory has changed its size since %s: take a full save",
                            path);
    if (link->chain.depth + 1 >= STREAM_CHAIN_MAX)
        return gw_error_set(err, GW_EXIT_STATE,
                            "%s is the last that a chain can hold: take a full save", path);
    if (name[0] == '.' || strlen(name) > STREAM_BASE_NAME_MAX)
        return gw_error_set(err, GW_EXIT_USAGE,
                            "the name \"%s\" cannot stand in a stream: rename the file", name);
    memset(ret_base, 0, sizeof(*ret_base));
    memcpy(ret_base->base_id, link->chain.id, sizeof(ret_base->base_id));
    ret_base->base_epoch = link->chain.epoch;
    ret_base->base_crc32 = link->crc32;
    ret_base->depth = link->chain.depth + 1;
    memcpy(ret_base->name, name, strlen(name));
    return 0;
}

int save_chain_send(struct save_source *s, const struct migrate_log_mark *mark, uint32_t depth,
                    struct gw_error *err)
{
    struct stream_chain chain = {
        .epoch = mark->epoch, .domid = mark->domid, .memory_crc32 = memory_crc(s), .depth = depth};
    struct iovec part = {.iov_base = &chain, .iov_len = sizeof(chain)};

    if (getrandom(chain.id, sizeof(chain.id), 0) != sizeof(chain.id))
        return gw_error_errno(err, errno, "cannot get random numbers");
    memcpy(chain.uuid, s->guest.config.uuid, sizeof(chain.uuid));
    memcpy(chain.boot_id, mark->boot_id, sizeof(chain.boot_id));
    return stream_write_record(&s->writer, STREAM_CHAIN, &part, 1, err);
}
