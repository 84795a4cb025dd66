/* SPDX-License-Identifier: MIT */
/* The arm64 Image header (Documentation/arm64/booting of Linux). */
#include "control.h"

#include <string.h>

#define IMAGE_MAGIC      0x644d5241u /* "ARM\x64" */
#define IMAGE_BIG_ENDIAN (1u << 0)
#define IMAGE_BYTES_MAX  (UINT64_C(1) << 30)
#define BLOCK_BYTES      (UINT64_C(1) << 21)

struct image_header {
    uint32_t code[2];
    uint64_t text_offset;
    uint64_t image_bytes;
    uint64_t flags;
    uint64_t reserved[3];
    uint32_t magic;
    uint32_t pe_offset;
};

_Static_assert(sizeof(struct image_header) == 64, "boot protocol");

const char *control_image_check(const void *image, uint64_t file_bytes, uint64_t *ret_bytes,
                                uint64_t *ret_offset)
{
    struct image_header header;

    if (file_bytes < sizeof(header)) {
        return "it is shorter than an Image header";
    }
    memcpy(&header, image, sizeof(header));
    if ((header.code[0] & 0xffff) == 0x8b1f) {
        return "it is compressed with gzip; give the unpacked Image";
    }
    if (header.magic != IMAGE_MAGIC) {
        return "it is not an arm64 Image";
    }
    if ((header.flags & IMAGE_BIG_ENDIAN) != 0) {
        return "it is big endian";
    }
    if (header.image_bytes > IMAGE_BYTES_MAX || header.text_offset >= BLOCK_BYTES) {
        return "its header has a size or an offset that cannot be right";
    }
    *ret_bytes = header.image_bytes > file_bytes ? header.image_bytes : file_bytes;
    *ret_offset = header.text_offset;
    return NULL;
}
