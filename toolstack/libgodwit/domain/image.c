/* SPDX-License-Identifier: MIT */
/* Kernel files: arm64 Image (header: Linux Documentation/arm64/booting), gzip of one, or raw. */
#include <godwit/guest_map.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "file.h"
#include "image.h"

#define IMAGE_HEADER_BYTES      64
#define IMAGE_FLAG_BIG_ENDIAN   1u
#define IMAGE_OLD_TEXT_OFFSET   0x80000u /* headers without a size mean this (Linux before 3.17) */
#define IMAGE_BYTES_MAX         (3ULL << 30) /* bank 0 */
#define UNPACK_STEP_BYTES       (4u << 20)
#define PE_SECTION_HEADER_BYTES 40
#define PE_SECTIONS_MAX         96

static uint64_t read_le(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* Unpacks one gzip member into a buffer that grows to bytes_max at most. */
static int inflate_all(z_stream *z, uint8_t **data, size_t *bytes, uint64_t bytes_max)
{
    size_t room = 0;
    int rc = Z_OK;

    while (rc != Z_STREAM_END) {
        if (*bytes == room) {
            uint8_t *grown;

            if (room >= bytes_max)
                return Z_BUF_ERROR;
            room += room / 2 + UNPACK_STEP_BYTES;
            room = room > bytes_max ? (size_t)bytes_max : room;
            grown = realloc(*data, room);
            if (!grown)
                return Z_MEM_ERROR;
            *data = grown;
        }
        z->next_out = *data + *bytes;
        z->avail_out = (uInt)(room - *bytes < UINT32_MAX ? room - *bytes : UINT32_MAX);
        rc = inflate(z, Z_NO_FLUSH);
        *bytes = (size_t)(z->next_out - *data);
        if (rc == Z_BUF_ERROR && z->avail_in == 0)
            return Z_DATA_ERROR; /* input ended too early */
        if (rc != Z_OK && rc != Z_STREAM_END)
            return rc == Z_BUF_ERROR ? Z_DATA_ERROR : rc;
    }
    return Z_OK;
}

static int gunzip(const char *name, uint8_t **data, size_t *bytes, uint64_t bytes_max,
                  struct gw_error *err)
{
    z_stream z = {.next_in = *data, .avail_in = (uInt)*bytes};
    uint8_t *unpacked = NULL;
    size_t unpacked_bytes = 0;
    int rc;

    if (*bytes > UINT32_MAX || inflateInit2(&z, 15 + 16) != Z_OK) /* 16: gzip wrapper only */
        return gw_error_set(err, GW_EXIT_FAILED, "cannot unpack %s", name);
    rc = inflate_all(&z, &unpacked, &unpacked_bytes, bytes_max);
    inflateEnd(&z);
    if (rc != Z_OK) {
        free(unpacked);
        if (rc == Z_BUF_ERROR)
            return gw_error_set(err, GW_EXIT_FAILED,
                                "%s unpacks to more than the guest's memory (%" PRIu64 " MiB)",
                                name, bytes_max >> 20);
        return gw_error_set(err, GW_EXIT_FAILED, "%s is %s", name,
                            rc == Z_MEM_ERROR ? "too large to unpack: out of memory"
                                              : "a truncated or damaged gzip file");
    }
    free(*data);
    *data = unpacked;
    *bytes = unpacked_bytes;
    return 0;
}

/*
 * An Image does not record its own file size, but the EFI header that distribution kernels have
 * lists sections: the file must reach to the end of the last one.
 */
static int check_pe_sections(const char *name, const struct gw_image *image, struct gw_error *err)
{
    uint64_t pe = read_le(image->data + 60, 4);
    uint64_t sections, table;

    if (memcmp(image->data, "MZ", 2) != 0 || pe + 24 > image->bytes ||
        memcmp(image->data + pe, "PE\0\0", 4) != 0)
        return 0; /* no EFI header */
    sections = read_le(image->data + pe + 6, 2);
    table = pe + 24 + read_le(image->data + pe + 20, 2);
    for (uint64_t i = 0; i < sections && i < PE_SECTIONS_MAX; i++) {
        uint64_t at = table + i * PE_SECTION_HEADER_BYTES;
        uint64_t end = 0;

        if (at + PE_SECTION_HEADER_BYTES <= image->bytes)
            end = read_le(image->data + at + 16, 4) + read_le(image->data + at + 20, 4);
        if (end == 0 || end > image->bytes)
            return gw_error_set(err, GW_EXIT_FAILED,
                                "%s is truncated: its header describes more than its %zu bytes",
                                name, image->bytes);
    }
    return 0;
}

static int parse_linux_header(const char *name, struct gw_image *image, struct gw_error *err)
{
    uint64_t text_offset = read_le(image->data + 8, 8);
    uint64_t image_bytes = read_le(image->data + 16, 8);
    uint64_t flags = read_le(image->data + 24, 8);

    if (flags & IMAGE_FLAG_BIG_ENDIAN)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED, "%s is a big-endian kernel", name);
    if (image_bytes == 0) {
        text_offset = IMAGE_OLD_TEXT_OFFSET;
        image_bytes = image->bytes;
    }
    if (text_offset >= (1u << 21) || image_bytes < image->bytes || image_bytes > IMAGE_BYTES_MAX)
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%s has a damaged Image header (offset 0x%" PRIx64 ", size 0x%" PRIx64
                            ", file 0x%zx bytes)",
                            name, text_offset, image_bytes, image->bytes);
    image->is_linux = true;
    image->offset = text_offset;
    image->room_bytes = image_bytes;
    return check_pe_sections(name, image, err);
}

static int parse_content(const char *name, struct gw_image *image, struct gw_error *err)
{
    if (image->bytes == 0)
        return gw_error_set(err, GW_EXIT_FAILED, "%s is empty", name);
    if (image->bytes >= IMAGE_HEADER_BYTES && !memcmp(image->data + 56, "ARM\x64", 4))
        return parse_linux_header(name, image, err);
    if (image->bytes >= 4 && !memcmp(image->data,
                                     "\x7f"
                                     "ELF",
                                     4))
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%s is an ELF file: convert it with objcopy -O binary", name);
    if (image->bytes >= 8 && !memcmp(image->data + 4, "zimg", 4))
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%s is an EFI zboot kernel: unpack it to an Image first", name);
    image->is_linux = false;
    image->offset = GODWIT_RAW_LOAD_OFFSET;
    image->room_bytes = image->bytes;
    return 0;
}

int gw_image_parse(struct gw_image *ret_image, const char *name, uint8_t *data, size_t bytes,
                   uint64_t bytes_max, struct gw_error *err)
{
    struct gw_image image = {.data = data, .bytes = bytes};
    int rc = 0;

    if (bytes >= 2 && data[0] == 0x1f && data[1] == 0x8b)
        rc = gunzip(name, &image.data, &image.bytes, bytes_max, err);
    if (rc == 0)
        rc = parse_content(name, &image, err);
    if (rc < 0) {
        free(image.data);
        return rc;
    }
    *ret_image = image;
    return 0;
}

int gw_image_load(struct gw_image *ret_image, const char *path, uint64_t bytes_max,
                  struct gw_error *err)
{
    struct gw_file file;

    if (gw_file_read(&file, path, bytes_max, err) < 0)
        return gw_error_prefix(err, "kernel");
    return gw_image_parse(ret_image, path, file.data, file.bytes, bytes_max, err);
}

void gw_image_free(struct gw_image *image)
{
    free(image->data);
    image->data = NULL;
}

int gw_image_place(const struct gw_image *image, uint64_t ramdisk_bytes, uint64_t tree_bytes,
                   const struct gw_ram_bank *bank, struct gw_placement *ret_placement,
                   struct gw_error *err)
{
    const uint64_t page_mask = 4095;
    struct gw_placement p = {.kernel = bank->base + image->offset};
    uint64_t low = image->offset + image->room_bytes; /* offsets into the bank from here on */
    uint64_t need = ((ramdisk_bytes + page_mask) & ~page_mask) + tree_bytes + page_mask;

    if (low > bank->bytes || ramdisk_bytes > bank->bytes || need > bank->bytes - low)
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "the guest's memory is too small: kernel, ramdisk and device tree need "
                            "%" PRIu64 " MiB",
                            (low + need + (1u << 20) - 1) >> 20);
    p.tree = bank->base + ((bank->bytes - tree_bytes) & ~page_mask);
    if (ramdisk_bytes)
        p.ramdisk = (p.tree - ramdisk_bytes) & ~page_mask;
    *ret_placement = p;
    return 0;
}
