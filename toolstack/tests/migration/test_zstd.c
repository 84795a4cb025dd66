/* SPDX-License-Identifier: MIT */
/* Compressed pages: what the reader takes, and what it refuses. */
#include "pages/page_zip.h"
#include "stream/stream_check.h"
#include "stream/stream_unzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

#define PAGES 8u

/* A record with PAGES pages, every second one of zeros, and room behind it. */
struct fixture {
    struct stream_memory memory;
    uint8_t data[PAGES / 2][STREAM_PAGE_BYTES];
    uint8_t body[STREAM_BODY_MAX];
    uint8_t plain[STREAM_BODY_MAX];
    size_t head_bytes;
    struct stream_reader reader;
    struct stream_unzip *unzip;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct stream_count_header h = {.count = PAGES};

    f->memory.count = 1;
    f->memory.ranges[0] = (struct stream_range){.first_gfn = 0x100, .pages = PAGES};
    memcpy(f->body, &h, sizeof(h));
    for (uint32_t i = 0; i < PAGES; i++) {
        uint64_t word = (0x100 + i) | (uint64_t)(i % 2 ? STREAM_PFN_ZERO : STREAM_PFN_NORMAL)
                                          << STREAM_PFN_TYPE_SHIFT;
        memcpy(f->body + sizeof(h) + i * sizeof(word), &word, sizeof(word));
    }
    f->head_bytes = sizeof(h) + PAGES * sizeof(uint64_t);
    for (uint32_t i = 0; i < PAGES / 2; i++)
        memset(f->data[i], 'a' + (int)i, STREAM_PAGE_BYTES);
    f->unzip = stream_unzip_open();
    assert_non_null(f->unzip);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stream_unzip_close(f->unzip);
    free(f);
    return 0;
}

/* What becomes of the record with frame_bytes behind its list of pages. */
static int unzip(struct fixture *f, size_t frame_bytes, struct stream_record *ret_record)
{
    *ret_record = (struct stream_record){.type = STREAM_PAGES_ZSTD,
                                         .length = (uint32_t)(f->head_bytes + frame_bytes),
                                         .body = f->body};
    f->reader.why = NULL;
    f->reader.offset = 1000000;
    return stream_unzip(f->unzip, &f->memory, &f->reader, ret_record, f->plain);
}

static size_t zip_right(struct fixture *f)
{
    struct page_zip *zip = page_zip_open(3);
    size_t n = page_zip(zip, f->data, PAGES / 2, f->body + f->head_bytes);

    page_zip_close(zip);
    assert_true(n > 0);
    return n;
}

static void assert_refused(struct fixture *f, size_t frame_bytes)
{
    struct stream_record record;

    assert_int_equal(unzip(f, frame_bytes, &record), -1);
    assert_non_null(f->reader.why);
}

static void test_contents_come_back(void **state)
{
    struct fixture *f = *state;
    struct stream_record record;

    assert_int_equal(unzip(f, zip_right(f), &record), 0);
    assert_int_equal(record.type, STREAM_PAGE_DATA);
    assert_int_equal(record.length, f->head_bytes + sizeof(f->data));
    assert_memory_equal(record.body, f->body, f->head_bytes);
    assert_memory_equal(record.body + f->head_bytes, f->data, sizeof(f->data));
}

static void test_noise_is_not_compressed(void **state)
{
    struct fixture *f = *state;
    struct page_zip *zip = page_zip_open(19);
    uint32_t random = 1;

    for (size_t i = 0; i < sizeof(f->data); i++) {
        random = random * 1664525u + 1013904223u;
        f->data[i / STREAM_PAGE_BYTES][i % STREAM_PAGE_BYTES] = (uint8_t)(random >> 24);
    }
    assert_int_equal(page_zip(zip, f->data, PAGES / 2, f->body + f->head_bytes), 0);
    page_zip_close(zip);
}

/* Every way to be cut, and a byte too many. */
static void test_other_lengths(void **state)
{
    struct fixture *f = *state;
    size_t n = zip_right(f);

    for (size_t i = 0; i < n; i++)
        assert_refused(f, i);
    f->body[f->head_bytes + n] = 0;
    assert_refused(f, n + 1);
}

/* A frame of more, or fewer, pages than the list has: never a byte behind the buffer's end. */
static void test_other_contents(void **state)
{
    struct fixture *f = *state;
    size_t room = STREAM_BODY_MAX - f->head_bytes;
    uint8_t *big = calloc(1, 64u << 20);
    const size_t sizes[] = {1, STREAM_PAGE_BYTES, sizeof(f->data) - 1, sizeof(f->data) + 1,
                            64u << 20};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_refused(f, ZSTD_compress(f->body + f->head_bytes, room, big, sizes[i], 3));
    free(big);
}

/* A frame that does not say how long it is, and one that lies. */
static void test_unknown_and_false_sizes(void **state)
{
    struct fixture *f = *state;
    uint8_t *frame = f->body + f->head_bytes;
    ZSTD_CCtx *c = ZSTD_createCCtx();

    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    size_t n = ZSTD_compress2(c, frame, STREAM_BODY_MAX - f->head_bytes, f->data, sizeof(f->data));
    ZSTD_freeCCtx(c);
    assert_refused(f, n);

    /* Twice as much inside as its header says. */
    uint8_t *twice = calloc(2, sizeof(f->data));
    n = ZSTD_compress(frame, STREAM_BODY_MAX - f->head_bytes, twice, 2 * sizeof(f->data), 3);
    assert_int_equal(ZSTD_getFrameContentSize(frame, n), 2 * sizeof(f->data));
    for (size_t i = 4; i < 12; i++) { /* the size stands somewhere in the header */
        uint32_t size;
        memcpy(&size, frame + i, sizeof(size));
        if (size == 2 * sizeof(f->data)) {
            size = sizeof(f->data);
            memcpy(frame + i, &size, sizeof(size));
        }
    }
    free(twice);
    assert_refused(f, n);
}

/* Two frames, a skippable one, an old format. */
static void test_other_frames(void **state)
{
    struct fixture *f = *state;
    uint8_t *frame = f->body + f->head_bytes;
    static const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
    size_t n = zip_right(f), half;

    memcpy(frame + n, skippable, sizeof(skippable));
    assert_refused(f, n + sizeof(skippable));
    memmove(frame + sizeof(skippable), frame, n);
    memcpy(frame, skippable, sizeof(skippable));
    assert_refused(f, n + sizeof(skippable));
    half = ZSTD_compress(frame, 65536, f->data, sizeof(f->data) / 2, 3);
    n = ZSTD_compress(frame + half, 65536, f->data[PAGES / 4], sizeof(f->data) / 2, 3);
    assert_refused(f, half + n);
    for (uint8_t old = 0x1E; old < 0x28; old++) {
        n = zip_right(f);
        frame[0] = old;
        assert_refused(f, n);
    }
}

/* One flipped bit is refused, or changes contents of the right length (the checksum's business). */
static void test_flipped_bits(void **state)
{
    struct fixture *f = *state;
    size_t n = zip_right(f);
    struct stream_record record;

    for (size_t bit = 0; bit < n * 8; bit++) {
        f->body[f->head_bytes + bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (unzip(f, n, &record) == 0)
            assert_int_equal(record.length, f->head_bytes + sizeof(f->data));
        f->body[f->head_bytes + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_lists_are_checked(void **state)
{
    struct fixture *f = *state;
    size_t n = zip_right(f);
    uint64_t word = 0x100 + PAGES;

    memcpy(f->body + 8, &word, sizeof(word)); /* a frame that the guest does not have */
    assert_refused(f, n);
    for (uint32_t i = 0; i < PAGES; i++) { /* contents, but of no page */
        word = (0x100 + i) | (uint64_t)STREAM_PFN_ZERO << STREAM_PFN_TYPE_SHIFT;
        memcpy(f->body + 8 + i * sizeof(word), &word, sizeof(word));
    }
    assert_refused(f, n);
    assert_refused(f, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_contents_come_back), TEST(test_noise_is_not_compressed), TEST(test_other_lengths),
        TEST(test_other_contents),     TEST(test_unknown_and_false_sizes), TEST(test_other_frames),
        TEST(test_flipped_bits),       TEST(test_lists_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
