/* SPDX-License-Identifier: MIT */
/* stream-check finds every flipped bit and says where it is. */
#include "fake_host.h"
#include "stream/stream_inspect.h"

#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define WIDEST (300u << 12) /* a piece: one record of 256 pages, and what is small beside it */

struct fixture {
    struct fake_world *world;
    int world_fd;
    size_t bytes, at;
    uint8_t *data;
    unsigned records;
    struct gw_stream_record last, pages, digest; /* of memory; behind it */
};

static void on_record(void *arg, const struct gw_stream_record *record)
{
    struct fixture *f = arg;

    assert_int_equal(record->number, f->records);
    f->records++;
    if (record->type == STREAM_DIGEST && f->last.pages && f->digest.offset == 0) {
        f->pages = f->last;
        f->digest = *record;
    }
    f->last = *record;
}

static ssize_t read_bytes(void *source, void *ret_data, size_t n)
{
    struct fixture *f = source;

    if (n > f->bytes - f->at)
        n = f->bytes - f->at;
    memcpy(ret_data, f->data + f->at, n);
    f->at += n;
    return (ssize_t)n;
}

static int check(struct fixture *f, struct gw_stream_summary *summary, struct gw_error *err)
{
    static uint8_t body[STREAM_BODY_MAX + STREAM_ALIGN];
    struct gw_stream_watcher watcher = {on_record, f};
    struct stream_reader reader = {.read = read_bytes, .source = f, .body = body};

    memset(err, 0, sizeof(*err));
    f->records = 0;
    f->at = 0;
    return stream_inspect(&reader, "x", &watcher, summary, err);
}

/* A stream by the real writer; full: so many pages have contents. */
static int set_up_with(void **state, unsigned full)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct gw_stream_summary summary;
    struct gw_error err = {0};
    char path[64];

    f->world = fake_world_create(&f->world_fd);
    struct migrate_opener opener = fake_opener(f->world, 0);
    struct fake_guest *guest = fake_guest_add(&f->world->hosts[0], "web");
    memset(guest->memory[full], 0, (FAKE_PAGES - full) * sizeof(guest->memory[0]));
    guest->readonly[1] = true;
    snprintf(path, sizeof(path), "/tmp/godwit-check-%d.save", (int)getpid());
    struct gw_save_options save = {.name = "web", .path = path, .opener = &opener};
    assert_int_equal(gw_save(&save, &err), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    f->bytes = (size_t)lseek(fd, 0, SEEK_END);
    f->data = malloc(2 * f->bytes); /* room for a test that makes it longer */
    assert_int_equal(pread(fd, f->data, f->bytes, 0), f->bytes);
    close(fd);
    assert_int_equal(check(f, &summary, &err), 0);
    assert_int_equal(summary.records, f->records);
    *state = f;
    return 0;
}

static int set_up_small(void **state)
{
    return set_up_with(state, 3);
}

static int set_up_large(void **state)
{
    return set_up_with(state, FAKE_PAGES - 1);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    munmap(f->world, sizeof(*f->world));
    close(f->world_fd);
    free(f->data);
    free(f);
    return 0;
}

static void flip(struct fixture *f, size_t bit)
{
    f->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* One flipped bit: found, and only in a range that holds it. Returns how wide that is. */
static uint64_t assert_located(struct fixture *f, size_t bit)
{
    struct gw_stream_summary summary;
    struct gw_error err;

    flip(f, bit);
    if (check(f, &summary, &err) == 0)
        fail_msg("bit %zu of byte %zu is not missed", bit % 8, bit / 8);
    flip(f, bit);
    assert_int_equal(err.code, GW_EXIT_CONFIG);
    if (summary.damages_total != 1)
        fail_msg("byte %zu, bit %zu: %s, %s", bit / 8, bit % 8, summary.damages[0].why,
                 summary.damages[1].why);
    const struct gw_stream_damage *d = &summary.damages[0];
    if (bit / 8 < d->from || bit / 8 >= d->to)
        fail_msg("byte %zu is not in [%llu, %llu): %s", bit / 8, (unsigned long long)d->from,
                 (unsigned long long)d->to, d->why);
    assert_true(d->first_record <= d->last_record);
    return d->to - d->from;
}

static void test_every_bit_of_a_small_stream(void **state)
{
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;

    assert_true(f->bytes < 20000);
    for (size_t bit = 0; bit < f->bytes * 8; bit++)
        assert_located(f, bit);
    assert_int_equal(check(f, &summary, &err), 0);
}

static void test_random_bits_of_a_large_stream(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 1;

    assert_true(f->bytes > 1300000);
    for (unsigned i = 0; i < 600; i++) {
        random = random * 1664525u + 1013904223u;
        size_t bit = (size_t)random * 8 % (f->bytes * 8) + (random >> 29);
        if (assert_located(f, bit) > WIDEST)
            fail_msg("byte %zu is located too roughly", bit / 8);
    }
}

/* Two places: both are found, each by itself; and the first is in the sentence. */
static void test_two_damages(void **state)
{
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;
    size_t first = f->pages.offset + f->pages.length / 2, second = f->bytes - 60000;

    assert_true(second > f->digest.offset);
    flip(f, first * 8);
    flip(f, second * 8 + 3);
    assert_int_equal(check(f, &summary, &err), -1);
    assert_int_equal(summary.damages_n, 2);
    assert_true(summary.damages[0].from <= first && first < summary.damages[0].to);
    assert_true(summary.damages[1].from <= second && second < summary.damages[1].to);
    assert_true(summary.damages[0].to <= f->digest.offset + 16);
    assert_non_null(strstr(err.message, "is damaged between offset"));
    assert_non_null(strstr(err.message, "in 1 more places"));
}

/* A digest that is damaged itself does not throw suspicion on the memory before it. */
static void test_damaged_digest(void **state)
{
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;

    for (unsigned bit = 0; bit < 32; bit++) {
        flip(f, (f->digest.offset + 8) * 8 + bit);
        assert_int_equal(check(f, &summary, &err), -1);
        flip(f, (f->digest.offset + 8) * 8 + bit);
        assert_int_equal(summary.damages_total, 1);
        assert_int_equal(summary.damages[0].from, f->digest.offset);
        assert_int_equal(summary.damages[0].to, f->digest.offset + 16);
        assert_int_equal(summary.damages[0].first_record, f->digest.number);
        assert_int_equal(summary.damages[0].last_record, f->digest.number);
    }
}

/* A piece that is missing, or twice there, with right checksums in it. */
static void test_spliced(void **state)
{
    struct fixture *f = *state;
    size_t from = f->pages.offset, to = f->digest.offset + 16;
    struct gw_stream_summary summary;
    struct gw_error err;

    memmove(f->data + to + (to - from), f->data + to, f->bytes - to);
    memcpy(f->data + to, f->data + from, to - from);
    f->bytes += to - from;
    assert_int_equal(check(f, &summary, &err), -1);
    assert_non_null(strstr(err.message, "checksum"));
    memmove(f->data + from, f->data + to + (to - from), f->bytes - to - (to - from));
    f->bytes -= 2 * (to - from);
    assert_int_equal(check(f, &summary, &err), -1);
    assert_non_null(strstr(err.message, "checksum"));
}

/* Wrong, but written so: the checksum is right, so only that record is to blame. */
static void test_written_so(void **state)
{
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;
    uint32_t crc;

    f->data[f->pages.offset + 8 + 4] = 1; /* reserved */
    crc = (uint32_t)crc32(0, f->data, (uInt)f->digest.offset);
    memcpy(f->data + f->digest.offset + 8, &crc, sizeof(crc));
    assert_int_equal(check(f, &summary, &err), -1);
    assert_int_equal(summary.damages[0].from, f->pages.offset);
    assert_int_equal(summary.damages[0].first_record, f->pages.number);
    assert_int_equal(summary.damages[0].last_record, f->pages.number);
    assert_non_null(strstr(err.message, "reserved"));
}

/* As a migration has them: no saved guest does, and no reader of one takes it. */
static void test_mark(void **state)
{
    const struct stream_record_header header = {STREAM_MARK, sizeof(struct stream_mark)};
    const struct stream_mark mark = {.number = 1};
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;
    size_t at = f->pages.offset, grown = sizeof(header) + sizeof(mark);
    uint32_t crc;

    memmove(f->data + at + grown, f->data + at, f->bytes - at);
    memcpy(f->data + at, &header, sizeof(header));
    memcpy(f->data + at + sizeof(header), &mark, sizeof(mark));
    f->bytes += grown;
    crc = (uint32_t)crc32(0, f->data, (uInt)(f->digest.offset + grown));
    memcpy(f->data + f->digest.offset + grown + 8, &crc, sizeof(crc));
    assert_int_equal(check(f, &summary, &err), -1);
    assert_int_equal(summary.damages[0].from, at);
    assert_non_null(strstr(err.message, "a mark belongs to a migration"));
    assert_string_equal(gw_stream_record_name(STREAM_MARK), "GODWIT_MARK");
}

static void test_behind_the_end(void **state)
{
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err;

    f->data[f->bytes++] = 'x';
    assert_int_equal(check(f, &summary, &err), -1);
    assert_non_null(strstr(err.message, "behind the END"));
    assert_int_equal(summary.damages[0].from, --f->bytes);
    assert_int_equal(check(f, &summary, &err), 0);
}

int main(void)
{
#define SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)
#define LARGE(name) cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)
    const struct CMUnitTest tests[] = {
        SMALL(test_every_bit_of_a_small_stream),
        LARGE(test_random_bits_of_a_large_stream),
        LARGE(test_two_damages),
        LARGE(test_damaged_digest),
        LARGE(test_spliced),
        LARGE(test_written_so),
        LARGE(test_mark),
        LARGE(test_behind_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
