/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "domain/image.h"
#include "support.h"

#define LIMIT (16u << 20)

static void put_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* An arm64 Image of file_bytes that claims image_bytes of memory. */
static uint8_t *make_image(size_t file_bytes, uint64_t text_offset, uint64_t image_bytes)
{
    uint8_t *data = calloc(1, file_bytes);

    put_le(data + 8, text_offset, 8);
    put_le(data + 16, image_bytes, 8);
    put_le(data + 56, 0x644d5241, 4); /* "ARM\x64" */
    return data;
}

/* Gives it an EFI header with one section of the file's bytes from 4096 to section_end. */
static void add_pe(uint8_t *data, uint32_t section_end)
{
    put_le(data, 0x5a4d, 2); /* "MZ" */
    put_le(data + 60, 64, 4);
    put_le(data + 64, 0x4550, 4); /* "PE" */
    put_le(data + 64 + 6, 1, 2);
    put_le(data + 64 + 20, 240, 2);
    put_le(data + 64 + 24 + 240 + 16, section_end - 4096, 4);
    put_le(data + 64 + 24 + 240 + 20, 4096, 4);
}

static int parse(struct gw_image *image, uint8_t *data, size_t bytes, struct gw_error *err)
{
    memset(err, 0, sizeof(*err));
    return gw_image_parse(image, "k", data, bytes, LIMIT, err);
}

static void expect_error(uint8_t *data, size_t bytes, const char *message)
{
    struct gw_image image;
    struct gw_error err;

    if (parse(&image, data, bytes, &err) == 0)
        fail_msg("no error for %zu bytes, but wanted: %s", bytes, message);
    assert_contains(err.message, message);
}

static uint8_t *gzip(const uint8_t *data, size_t bytes, size_t *ret_bytes)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)data, .avail_in = (uInt)bytes};
    uint8_t *packed = malloc(bytes + 1024);

    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = packed;
    z.avail_out = (uInt)bytes + 1024;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *ret_bytes = z.total_out;
    deflateEnd(&z);
    return packed;
}

static void test_linux_image(void **state)
{
    struct gw_image image;
    struct gw_error err;

    (void)state;
    assert_int_equal(parse(&image, make_image(8192, 0, 0x20000), 8192, &err), 0);
    assert_true(image.is_linux);
    assert_int_equal(image.offset, 0);
    assert_int_equal(image.room_bytes, 0x20000);
    gw_image_free(&image);
    assert_int_equal(parse(&image, make_image(8192, 0x1234, 0), 8192, &err), 0);
    assert_int_equal(image.offset, 0x80000); /* old headers: the offset field means nothing */
    assert_int_equal(image.room_bytes, 8192);
    gw_image_free(&image);
}

static void test_raw_program(void **state)
{
    static const size_t sizes[] = {1, 3, 63, 64, 4096};
    struct gw_image image;
    struct gw_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *data = malloc(sizes[i]);

        memset(data, 0xd5, sizes[i]);
        assert_int_equal(parse(&image, data, sizes[i], &err), 0);
        assert_false(image.is_linux);
        assert_int_equal(image.offset, 0x80000);
        gw_image_free(&image);
    }
}

static void test_gzip(void **state)
{
    uint8_t *plain = make_image(3u << 20, 0, 4u << 20), *packed;
    struct gw_image image;
    struct gw_error err;
    size_t bytes;

    (void)state;
    for (size_t i = 4096; i < 3u << 20; i++)
        plain[i] = (uint8_t)(i * 7 >> 3);
    packed = gzip(plain, 3u << 20, &bytes);
    assert_int_equal(parse(&image, packed, bytes, &err), 0);
    assert_true(image.is_linux);
    assert_int_equal(image.bytes, 3u << 20);
    assert_memory_equal(image.data, plain, 3u << 20);
    gw_image_free(&image);
    free(plain);
}

static void test_damaged_gzip(void **state)
{
    uint8_t *plain = calloc(1, LIMIT + 4096), *packed;
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < 100000; i++)
        plain[i] = (uint8_t)(i * i >> 3);
    packed = gzip(plain, 100000, &bytes);
    expect_error(packed, bytes - 1, "truncated or damaged gzip");
    packed = gzip(plain, 100000, &bytes);
    expect_error(packed, 12, "truncated or damaged gzip");
    packed = gzip(plain, 100000, &bytes);
    expect_error(packed, 2, "truncated or damaged gzip");
    packed = gzip(plain, 100000, &bytes);
    packed[bytes / 2] ^= 0x55;
    expect_error(packed, bytes, "truncated or damaged gzip");
    packed = gzip(plain, LIMIT + 4096, &bytes); /* a bomb: small file, more than the guest has */
    expect_error(packed, bytes, "unpacks to more than the guest's memory (16 MiB)");
    free(plain);
}

static void test_bad_headers(void **state)
{
    uint8_t *data;

    (void)state;
    expect_error(make_image(8192, 0, 100), 8192, "damaged Image header");
    expect_error(make_image(8192, 0x200000, 65536), 8192, "damaged Image header");
    expect_error(make_image(8192, 0, UINT64_MAX), 8192, "damaged Image header");
    expect_error(make_image(8192, UINT64_MAX, 65536), 8192, "damaged Image header");
    data = make_image(8192, 0, 65536);
    data[24] = 1;
    expect_error(data, 8192, "big-endian");
    expect_error(calloc(1, 1), 0, "k is empty");
    data = calloc(1, 64);
    memcpy(data,
           "\x7f"
           "ELF",
           4);
    expect_error(data, 64, "ELF file");
    data = calloc(1, 64);
    memcpy(data, "MZ\0\0zimg", 8);
    expect_error(data, 64, "zboot");
}

static void test_truncated_by_sections(void **state)
{
    struct gw_image image;
    struct gw_error err;
    uint8_t *data = make_image(8192, 0, 65536);

    (void)state;
    add_pe(data, 8192);
    assert_int_equal(parse(&image, data, 8192, &err), 0);
    gw_image_free(&image);
    data = make_image(8192, 0, 65536);
    add_pe(data, 8193);
    expect_error(data, 8192, "truncated: its header describes more than its 8192 bytes");
    data = make_image(8192, 0, 65536);
    add_pe(data, 8192);
    put_le(data + 64 + 6, 0xffff, 2); /* sections beyond the file */
    expect_error(data, 8192, "truncated");
    data = make_image(8192, 0, 65536);
    add_pe(data, 8192);
    put_le(data + 60, 0xfffffff0, 4); /* no PE header there: not an EFI image */
    assert_int_equal(parse(&image, data, 8192, &err), 0);
    gw_image_free(&image);
}

static void test_placement(void **state)
{
    const struct gw_ram_bank bank = {.base = 0x40000000, .bytes = 64u << 20};
    const struct gw_ram_bank tiny = {.base = 0x40000000, .bytes = 1u << 20};
    struct gw_image image = {.offset = 0x80000, .bytes = 4096, .room_bytes = 4096};
    struct gw_placement p;
    struct gw_error err;

    (void)state;
    assert_int_equal(gw_image_place(&image, 5000, 65536, &bank, &p, &err), 0);
    assert_int_equal(p.kernel, 0x40080000);
    assert_int_equal(p.tree, 0x40000000 + (64u << 20) - 65536);
    assert_int_equal(p.ramdisk, p.tree - 8192);
    assert_int_equal(gw_image_place(&image, 0, 65536, &tiny, &p, &err), 0);
    assert_int_equal(p.ramdisk, 0);
    assert_true(p.tree >= p.kernel + 4096);
    assert_int_equal(gw_image_place(&image, 400000, 65536, &tiny, &p, &err), 0);
    assert_true(p.ramdisk >= p.kernel + 4096);
    assert_int_equal(gw_image_place(&image, 500000, 65536, &tiny, &p, &err), -1);
    assert_contains(err.message, "memory is too small");
    assert_int_equal(gw_image_place(&image, UINT64_MAX - 5000, 65536, &bank, &p, &err), -1);
    image.room_bytes = 2u << 20;
    assert_int_equal(gw_image_place(&image, 0, 65536, &tiny, &p, &err), -1);
}

static void test_file_limits(void **state)
{
    const char *path;
    struct gw_image image;
    struct gw_error err = {0};
    char data[4096] = {0};

    (void)state;
    path = support_file("kernel", data, sizeof(data));
    assert_int_equal(gw_image_load(&image, path, 4095, &err), -1);
    assert_contains(err.message, "is too large: 4096 bytes, at most 4095");
    assert_int_equal(gw_image_load(&image, path, 4096, &err), 0);
    gw_image_free(&image);
    assert_int_equal(gw_image_load(&image, support_dir(), LIMIT, &err), -1);
    assert_contains(err.message, "not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_image), cmocka_unit_test(test_raw_program),
        cmocka_unit_test(test_gzip),        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_truncated_by_sections),
        cmocka_unit_test(test_placement),   cmocka_unit_test(test_file_limits),
    };

    return cmocka_run_group_tests_name("image", tests, support_setup, support_teardown);
}
