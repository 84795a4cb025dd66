/* SPDX-License-Identifier: MIT */
/* The decoder against streams that are right, damaged, cut and made up. */
#include "stream/stream_check.h"
#include "stream/stream_view.h"
#include "stream/stream_write.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define MOST_BYTES 65536

struct bytes {
    uint8_t data[MOST_BYTES];
    size_t length, at;
    size_t step; /* most that one read gives: short reads */
};

static uint8_t body[STREAM_BODY_MAX + STREAM_ALIGN];

static ssize_t read_bytes(void *source, void *ret_data, size_t n)
{
    struct bytes *b = source;

    if (n > b->length - b->at)
        n = b->length - b->at;
    if (b->step && n > b->step)
        n = b->step;
    memcpy(ret_data, b->data + b->at, n);
    b->at += n;
    return (ssize_t)n;
}

/* 0: the whole stream is right. *ret_reader tells why not. */
static int decode(struct bytes *b, struct stream_reader *ret_reader)
{
    struct stream_checker checker = {0};
    struct stream_record record;
    uint32_t major, minor;

    b->at = 0;
    *ret_reader = (struct stream_reader){.read = read_bytes, .source = b, .body = body};
    if (stream_read_headers(ret_reader, &major, &minor))
        return -1;
    while (checker.stage != STREAM_ENDED)
        if (stream_read_record(ret_reader, &record) ||
            stream_check_record(&checker, ret_reader, &record))
            return -1;
    return 0;
}

static void assert_refused(struct bytes *b, const char *why)
{
    struct stream_reader reader;
    char text[256];

    assert_int_equal(decode(b, &reader), -1);
    stream_read_explain(&reader, text, sizeof(text));
    if (!strstr(text, why))
        fail_msg("\"%s\" is not in \"%s\"", why, text);
    assert_true(reader.why_offset <= reader.offset);
}

static struct stream_writer *writer_to(int fd)
{
    static struct handover_io io;
    static struct stream_writer writer;

    io = (struct handover_io){.out_fd = fd, .in_fd = -1, .stall_ms = 1000, .peer = "memory"};
    writer = (struct stream_writer){.io = &io};
    return &writer;
}

static void write_head(struct stream_writer *w)
{
    struct stream_host host = {.cntfrq_hz = 62500000, .id = {1, 2, 3}};
    struct iovec part = {.iov_base = &host, .iov_len = sizeof(host)};
    struct iovec versions = {.iov_base = "a test", .iov_len = 6};
    struct stream_memory memory = {.count = 2, .ranges = {{0x39003, 1}, {0x40000, 3}}};
    struct stream_config config = {.vcpus = 2,
                                   .memory_bytes = 3 * STREAM_PAGE_BYTES,
                                   .on_reboot = STREAM_RESTART,
                                   .name = "golden",
                                   .text = "memory = 1\n",
                                   .text_length = 11};
    struct gw_error err = {0};

    memcpy(config.uuid, "0123456789abcdef", 16);
    assert_int_equal(stream_write_headers(w, 4, 17, &err), 0);
    assert_int_equal(stream_write_record(w, STREAM_VERSIONS, &versions, 1, &err), 0);
    assert_int_equal(stream_write_record(w, STREAM_HOST, &part, 1, &err), 0);
    assert_int_equal(stream_write_config(w, &config, &err), 0);
    assert_int_equal(stream_write_memory(w, &memory, &err), 0);
    assert_int_equal(stream_write_record(w, STREAM_STATIC_DATA_END, NULL, 0, &err), 0);
}

static void write_pages(struct stream_writer *w)
{
    const uint64_t zero = (uint64_t)STREAM_PFN_ZERO << STREAM_PFN_TYPE_SHIFT;
    uint64_t words[4] = {0x39003 | zero, 0x40000, 0x40001 | zero, 0x40002 | zero};
    uint8_t page[STREAM_PAGE_BYTES];
    struct gw_error err = {0};

    for (unsigned i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(i * 7 + (i >> 8));
    assert_int_equal(stream_write_pages(w, words, 4, page, 1, &err), 0);
}

/* One of everything. */
static void make_stream(struct bytes *b)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct stream_writer *w = writer_to(fd);
    struct iovec state = {.iov_base = "sixteen bytes!!", .iov_len = 16};
    struct gw_error err = {0};

    write_head(w);
    write_pages(w);
    assert_int_equal(stream_write_record(w, STREAM_HVM_CONTEXT, &state, 1, &err), 0);
    assert_int_equal(stream_write_record(w, STREAM_VERIFY, NULL, 0, &err), 0);
    write_pages(w);
    assert_int_equal(stream_write_end(w, &err), 0);
    memset(b, 0, sizeof(*b));
    b->length = (size_t)pread(fd, b->data, sizeof(b->data), 0);
    assert_int_equal(b->length, w->bytes);
    close(fd);
}

static void test_short_reads(void **state)
{
    static struct bytes b;
    struct stream_reader reader;

    make_stream(&b);
    b.step = 3;
    assert_int_equal(decode(&b, &reader), 0);
    assert_int_equal(reader.offset, b.length);
}

/* Not a byte after END is taken: the channel belongs to the handover then. */
static void test_reads_no_further(void **state)
{
    static struct bytes b;
    struct stream_reader reader;
    size_t length;

    make_stream(&b);
    length = b.length;
    memset(b.data + length, 0xEE, 64);
    b.length += 64;
    assert_int_equal(decode(&b, &reader), 0);
    assert_int_equal(b.at, length);
}

static void test_every_truncation(void **state)
{
    static struct bytes b;
    struct stream_reader reader;
    size_t length;

    make_stream(&b);
    length = b.length;
    for (b.length = 0; b.length < length; b.length++)
        if (decode(&b, &reader) == 0 || strcmp(reader.why, "the stream ends too early") != 0)
            fail_msg("cut at %zu: %s", b.length, reader.why ? reader.why : "accepted");
}

/* Every single bit, but within page contents only some. */
static void test_every_bit_flip(void **state)
{
    static struct bytes b;
    struct stream_reader reader;

    make_stream(&b);
    for (size_t bit = 0; bit<b.length * 8; bit += (bit / 8) % STREAM_PAGE_BYTES> 600 ? 97 : 1) {
        b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (decode(&b, &reader) == 0)
            fail_msg("bit %zu of byte %zu does not matter", bit % 8, bit / 8);
        b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(decode(&b, &reader), 0);
}

/* Builds streams record by record, with a right checksum if it gets so far. */
static void begin(struct bytes *b)
{
    int fd = memfd_create("head", MFD_CLOEXEC);

    memset(b, 0, sizeof(*b));
    write_head(writer_to(fd));
    b->length = (size_t)pread(fd, b->data, sizeof(b->data), 0);
    close(fd);
}

static void add(struct bytes *b, uint32_t type, uint32_t claimed, const void *data, size_t n)
{
    struct stream_record_header h = {.type = type, .length = claimed};

    memcpy(b->data + b->length, &h, sizeof(h));
    b->length += sizeof(h);
    if (n)
        memcpy(b->data + b->length, data, n);
    b->length += (n + 7) & ~(size_t)7;
}

/* The right checksum of all that is there. */
static void add_digest(struct bytes *b)
{
    uint32_t digest[2] = {(uint32_t)crc32(0, b->data, (uInt)b->length), 0};

    add(b, STREAM_DIGEST, 8, digest, 8);
}

static void write_pages_to(struct bytes *b)
{
    int fd = memfd_create("pages", MFD_CLOEXEC);

    write_pages(writer_to(fd));
    b->length += (size_t)pread(fd, b->data + b->length, sizeof(b->data) - b->length, 0);
    close(fd);
}

static void test_unknown_records(void **state)
{
    static struct bytes b;
    struct stream_reader reader;

    begin(&b);
    add(&b, 0x47570099, 8, "12345678", 8);
    assert_refused(&b, "unknown");
    begin(&b);
    add(&b, 2, 0, NULL, 0); /* Xen's X86_PV_INFO */
    assert_refused(&b, "unknown");
    begin(&b);
    add(&b, STREAM_RECORD_OPTIONAL | 0x1234, 5, "skip", 5);
    assert_refused(&b, "ends too early"); /* it was skipped, but nothing follows */
    assert_int_equal(decode(&b, &reader), -1);
    assert_int_equal(reader.records, 6);
}

/* Lengths up to the largest are refused before a byte of the body is read. */
static void test_lengths(void **state)
{
    static const uint32_t types[] = {STREAM_PAGE_DATA, STREAM_HVM_CONTEXT, STREAM_VERIFY,
                                     STREAM_END,       STREAM_HOST,        STREAM_CONFIG,
                                     STREAM_MEMORY,    STREAM_DIGEST,      STREAM_VERSIONS,
                                     STREAM_READONLY,  0x80000001u};
    static struct bytes b;
    struct stream_reader reader;

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint32_t lengths[] = {stream_body_limit(types[i]) + 1, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF};
        for (unsigned j = 0; j < 4; j++) {
            begin(&b);
            size_t head = b.length;
            add(&b, types[i], lengths[j], NULL, 0);
            assert_refused(&b, "longer than its type allows");
            assert_int_equal(decode(&b, &reader), -1);
            assert_int_equal(b.at, head + 8);
            assert_int_equal(reader.why_offset, head);
        }
    }
}

static void test_padding(void **state)
{
    static struct bytes b;

    begin(&b);
    add(&b, STREAM_RECORD_OPTIONAL | 7, 5, "12345678", 8);
    assert_refused(&b, "padding");
}

static void test_page_lists(void **state)
{
    static const struct {
        uint32_t count, reserved, length;
        uint64_t word;
        const char *why;
    } cases[] = {
        {0, 0, 8, 0, "between 1 and 1024"},
        {1025, 0, 16, 0, "between 1 and 1024"},
        {0xFFFFFFFF, 0, 16, 0, "between 1 and 1024"},
        {1, 1, 16, 0x40000, "reserved"},
        {2, 0, 16, 0x40000, "shorter than"},
        {1, 0, 16, 0x40000, "do not fit"},
        {1, 0, 16, 0x0500000000040000ULL, "reserved bit"},
        {1, 0, 16, 0x5000000000040003ULL, "outside"},
        {1, 0, 16, 0x5000000000039002ULL, "outside"},
        {1, 0, 16, 0x5010000000040000ULL, "reserved bit"},
        {1, 0, 16, 0xF000000000040000ULL, "unknown type"},
        {1, 0, 24, 0x5000000000040000ULL, "do not fit"},
        {1, 0, 4, 0, "too short"},
        {1, 0, 0, 0, "too short"},
    };
    static struct bytes b;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct {
            uint32_t count, reserved;
            uint64_t words[2];
        } list = {cases[i].count, cases[i].reserved, {cases[i].word, 0}};
        uint8_t zeros[8] = {0};

        begin(&b);
        if (cases[i].length < 8) { /* the padding must be zeros for the test to reach the body */
            memcpy(zeros, &list, cases[i].length);
            add(&b, STREAM_PAGE_DATA, cases[i].length, zeros, cases[i].length ? 8 : 0);
        } else {
            add(&b, STREAM_PAGE_DATA, cases[i].length, &list, cases[i].length);
        }
        assert_refused(&b, cases[i].why);
    }
}

static void test_readonly_lists(void **state)
{
    static const struct {
        uint32_t count, reserved, length;
        uint64_t first, pages;
        const char *why;
    } cases[] = {
        {1, 0, 24, 0x40000, 3, "ends too early"}, /* fine, and nothing follows */
        {0, 0, 8, 0, 0, "between 1 and 4096"},
        {4097, 0, 24, 0, 0, "between 1 and 4096"},
        {1, 1, 24, 0x40000, 1, "reserved"},
        {1, 0, 16, 0x40000, 1, "does not fit"},
        {2, 0, 24, 0x40000, 1, "does not fit"},
        {1, 0, 24, 0x40000, 0, "outside"},
        {1, 0, 24, 0x40000, 4, "outside"},
        {1, 0, 24, 0x40002, UINT64_MAX, "outside"},
        {1, 0, 24, 0x3ffff, 2, "outside"},
        {1, 0, 24, UINT64_MAX, 1, "outside"},
        {1, 0, 0, 0, 0, "too short"},
    };
    struct {
        uint32_t count, reserved;
        uint64_t first, pages;
    } list = {0}, good = {1, 0, 0x40000, 1};
    static struct bytes b;
    uint8_t page[8 + 8] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x50};

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        list.count = cases[i].count;
        list.reserved = cases[i].reserved;
        list.first = cases[i].first;
        list.pages = cases[i].pages;
        begin(&b);
        add(&b, STREAM_READONLY, cases[i].length, &list, cases[i].length);
        assert_refused(&b, cases[i].why);
    }
    begin(&b); /* several, but no pages behind them */
    add(&b, STREAM_READONLY, 24, &good, 24);
    add(&b, STREAM_READONLY, 24, &good, 24);
    add(&b, STREAM_PAGE_DATA, 16, page, 16);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_READONLY, 24, &good, 24);
    add_digest(&b);
    add(&b, STREAM_END, 0, NULL, 0);
    assert_refused(&b, "may not come"); /* no state of CPUs */
    begin(&b);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    add(&b, STREAM_READONLY, 24, &good, 24);
    assert_refused(&b, "may not come");
}

static void test_order(void **state)
{
    static struct bytes b;
    uint8_t page[8 + 8] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x50};

    begin(&b);
    add(&b, STREAM_VERIFY, 0, NULL, 0);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_END, 0, NULL, 0);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_STATIC_DATA_END, 0, NULL, 0);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_PAGE_DATA, 16, page, 16);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    add(&b, STREAM_PAGE_DATA, 16, page, 16);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    assert_refused(&b, "may not come");
    begin(&b);
    add(&b, STREAM_VERSIONS, 8, "too late", 8);
    assert_refused(&b, "where none may be");
}

/* Anywhere, as often as the writer likes, but always right, and always before END. */
static void test_digests(void **state)
{
    static struct bytes b;
    struct stream_reader reader;
    uint32_t digest[2] = {0, 0};

    begin(&b);
    add_digest(&b);
    add_digest(&b);
    write_pages_to(&b);
    add_digest(&b);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    add(&b, STREAM_END, 0, NULL, 0);
    assert_refused(&b, "may not come");
    b.length -= 8;
    add_digest(&b);
    add(&b, STREAM_RECORD_OPTIONAL | 0x1234, 8, "optional", 8);
    add(&b, STREAM_END, 0, NULL, 0);
    assert_refused(&b, "may not come");
    b.length -= 8;
    add_digest(&b);
    add(&b, STREAM_END, 0, NULL, 0);
    assert_int_equal(decode(&b, &reader), 0);
    assert_int_equal(reader.sound_offset, b.length - 8);
    b.data[15] = 3; /* which had one, before END */
    assert_refused(&b, "may not come");

    begin(&b);
    add(&b, STREAM_DIGEST, 8, digest, 8);
    assert_refused(&b, "checksum is wrong");
    begin(&b);
    add(&b, STREAM_HVM_CONTEXT, 8, "12345678", 8);
    add(&b, STREAM_DIGEST, 8, digest, 8);
    assert_refused(&b, "checksum is wrong");
    begin(&b);
    add(&b, STREAM_DIGEST, 4, digest, 8);
    assert_refused(&b, "wrong form");
    add_digest(&b);
    b.length -= 16;
    digest[1] = 1;
    add(&b, STREAM_DIGEST, 8, digest, 8);
    assert_refused(&b, "wrong form");
}

static void test_state_sizes(void **state)
{
    static struct bytes b;

    begin(&b);
    add(&b, STREAM_HVM_CONTEXT, 0, NULL, 0);
    assert_refused(&b, "wrong size");
    begin(&b);
    add(&b, STREAM_HVM_CONTEXT, 12, "12345678\0\0\0\0\0\0\0", 12);
    assert_refused(&b, "wrong size");
}

static void test_headers(void **state)
{
    static struct bytes b;

    memset(&b, 0, sizeof(b));
    assert_refused(&b, "ends too early (header, offset 0)");
    b.length = sizeof(b.data);
    assert_refused(&b, "not a saved");
    make_stream(&b);
    b.data[15] = 5;
    assert_refused(&b, "version");
    make_stream(&b);
    b.data[17] = 1;
    assert_refused(&b, "big endian");
    make_stream(&b);
    b.data[24] = 2; /* Xen's x86 HVM */
    assert_refused(&b, "not a guest for Arm");
}

static void test_configurations(void **state)
{
    struct stream_config_header h = {.vcpus = 1, .memory_bytes = 4096, .name_length = 1};
    uint8_t data[sizeof(h) + 16];
    struct stream_config config;
    const char *why;

#define VIEW(name, bytes)                                                                          \
    (memcpy(data, &h, sizeof(h)), memcpy(data + sizeof(h), name, bytes),                           \
     stream_view_config(data, sizeof(h) + bytes, &config, &why))
    assert_int_equal(VIEW("a", 1), 0);
    assert_string_equal(config.name, "a");
    assert_int_equal(VIEW("/", 1), -1);
    assert_int_equal(VIEW(".", 1), -1);
    assert_int_equal(VIEW("-", 1), -1);
    assert_int_equal(VIEW("\0", 1), -1);
    assert_int_equal(VIEW("\x1b", 1), -1);
    assert_int_equal(VIEW("ab", 2), -1);
    h.text_length = 3;
    assert_int_equal(VIEW("aa\nb", 4), 0);
    assert_int_equal(VIEW("aa\x1b[", 4), -1);
    h.text_length = 0xFFFFFFFF;
    assert_int_equal(VIEW("a", 1), -1);
    h.text_length = 0;
    h.vcpus = 65;
    assert_int_equal(VIEW("a", 1), -1);
    h.vcpus = 1;
    h.memory_bytes = 4097;
    assert_int_equal(VIEW("a", 1), -1);
    h.memory_bytes = UINT64_MAX & ~4095ULL;
    assert_int_equal(VIEW("a", 1), -1);
    h.memory_bytes = 4096;
    h.on_crash = 3;
    assert_int_equal(VIEW("a", 1), -1);
    assert_int_equal(stream_view_config(data, 47, &config, &why), -1);
}

static int view_ranges(uint32_t count, const struct stream_range *ranges, uint32_t n)
{
    uint8_t data[8 + 4 * sizeof(*ranges)] = {0};
    struct stream_memory memory;
    const char *why;

    memcpy(data, &count, 4);
    if (n)
        memcpy(data + 8, ranges, n * sizeof(*ranges));
    return stream_view_memory(data, 8 + n * sizeof(*ranges), &memory, &why);
}

static void test_memory_ranges(void **state)
{
    assert_int_equal(view_ranges(2, (struct stream_range[]){{1, 2}, {4, 1}}, 2), 0);
    assert_int_equal(view_ranges(0, NULL, 0), -1);
    assert_int_equal(view_ranges(3, (struct stream_range[]){{1, 2}, {4, 1}}, 2), -1);
    assert_int_equal(view_ranges(2, (struct stream_range[]){{1, 2}, {3, 1}}, 2), -1);
    assert_int_equal(view_ranges(2, (struct stream_range[]){{4, 2}, {1, 1}}, 2), -1);
    assert_int_equal(view_ranges(1, (struct stream_range[]){{1, 0}}, 1), -1);
    assert_int_equal(view_ranges(1, (struct stream_range[]){{1, UINT64_MAX}}, 1), -1);
    assert_int_equal(view_ranges(1, (struct stream_range[]){{UINT64_MAX, 2}}, 1), -1);
    assert_int_equal(view_ranges(1, (struct stream_range[]){{(1ULL << 36) - 1, 2}}, 1), -1);
    assert_int_equal(
        view_ranges(2, (struct stream_range[]){{0, 1ULL << 27}, {1ULL << 28, 1ULL << 28}}, 2), -1);
}

static void test_memory_index(void **state)
{
    struct stream_memory memory = {.count = 2, .ranges = {{10, 2}, {20, 3}}};
    uint64_t index;

    assert_int_equal(stream_memory_pages(&memory), 5);
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(stream_memory_index(&memory, stream_memory_gfn(&memory, i), &index));
        assert_int_equal(index, i);
    }
    assert_false(stream_memory_index(&memory, 9, &index));
    assert_false(stream_memory_index(&memory, 12, &index));
    assert_false(stream_memory_index(&memory, 23, &index));
}

static int write_golden(const char *path)
{
    static struct bytes b;
    FILE *file = fopen(path, "wb");

    make_stream(&b);
    return !file || fwrite(b.data, b.length, 1, file) != 1 || fclose(file);
}

int main(int argc, char **argv)
{
    if (argc == 2) /* for the version after this one: test_stream FILE */
        return write_golden(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_reads),      cmocka_unit_test(test_reads_no_further),
        cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_every_bit_flip),
        cmocka_unit_test(test_unknown_records),  cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_padding),          cmocka_unit_test(test_page_lists),
        cmocka_unit_test(test_readonly_lists),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_digests),          cmocka_unit_test(test_state_sizes),
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_memory_ranges),    cmocka_unit_test(test_memory_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
