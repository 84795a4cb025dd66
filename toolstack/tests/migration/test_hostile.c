/* SPDX-License-Identifier: MIT */
/*
 * Streams that mean harm, at a host with another guest. The builder is given records as if the
 * process that checks them had been taken over; whole streams go through that process.
 */
#include "fake_host.h"
#include "restore/restore_build.h"
#include "stream/stream_check.h"

#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS_MAX   64
#define BUILDS        400 /* each in this process */
#define WHOLE_STREAMS 25  /* each in three processes */

struct piece {
    uint32_t type, length;
    uint8_t *body;
};

struct fixture {
    struct fake_world *world;
    struct migrate_opener from, to;
    struct fake_guest *neighbour;
    char file[40];
    struct piece pieces[RECORDS_MAX];
    unsigned count;
    uint64_t random;
};

/* xorshift: the same numbers in each run. */
static unsigned any(struct fixture *f, unsigned below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (unsigned)((f->random >> 16) % below);
}

static void save_guest(struct fixture *f, const char *name)
{
    struct gw_save_options options = {
        .name = name, .path = f->file, .after = GW_SAVE_STAY_PAUSED, .opener = &f->from};
    struct gw_error err = {0};

    if (gw_save(&options, &err))
        fail_msg("%s", err.message);
}

static void read_pieces(struct fixture *f)
{
    static uint8_t body[STREAM_BODY_MAX + STREAM_ALIGN];
    int fd = open(f->file, O_RDONLY | O_CLOEXEC);
    struct stream_reader reader = {.read = stream_read_fd, .source = &fd, .body = body};
    struct stream_record record = {.type = ~0u};
    uint32_t major, minor;

    assert_int_equal(stream_read_headers(&reader, &major, &minor), 0);
    while (record.type != STREAM_END) {
        struct piece *p = &f->pieces[f->count];

        assert_true(f->count < RECORDS_MAX);
        assert_int_equal(stream_read_record(&reader, &record), 0);
        if (stream_check_is_skipped(&record))
            continue; /* the builder never sees it */
        f->count++;
        *p = (struct piece){record.type, record.length, malloc(record.length + 1)};
        memcpy(p->body, record.body, record.length);
    }
    close(fd);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    f->world = fake_world_create(&fd);
    close(fd);
    f->from = fake_opener(f->world, 0);
    f->to = fake_opener(f->world, 1);
    fake_guest_add(&f->world->hosts[0], "web");
    f->neighbour = fake_guest_add(&f->world->hosts[1], "neighbour");
    fake_guest_pause(f->neighbour);
    f->random = 88172645463325252ULL;
    strcpy(f->file, "/tmp/godwit-hostile-XXXXXX");
    close(mkstemp(f->file));
    save_guest(f, "web");
    read_pieces(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < f->count; i++)
        free(f->pieces[i].body);
    unlink(f->file);
    munmap(f->world, sizeof(*f->world));
    free(f);
    return 0;
}

/* It is alone, and as it was; nobody has even asked for a page that is not the asking guest's. */
static void assert_neighbour_is_well(struct fixture *f, unsigned round)
{
    struct fake_host *host = &f->world->hosts[1];
    unsigned guests = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        guests += host->guests[i].used;
    if (guests != 1 || host->strays || !f->neighbour->used || f->neighbour->pauses != 1 ||
        strcmp(f->neighbour->name, "neighbour") != 0 || !fake_guest_is_sound(f->neighbour))
        fail_msg("round %u: %u guests, %u stray pages", round, guests, (unsigned)host->strays);
}

/* --- the builder alone --------------------------------------------------------------------------
 */

static void change(struct fixture *f, uint8_t *body, uint32_t length)
{
    unsigned at = any(f, any(f, 2) && length > 64 ? 64 : length);

    if (any(f, 2))
        body[at] ^= (uint8_t)(1u << any(f, 8));
    else
        body[at] = (uint8_t)any(f, 256);
}

static void write_piece(struct fixture *f, int fd, const struct piece *p, bool spoilt)
{
    struct {
        uint32_t type, length, slot, record_length;
    } header = {.type = p->type, .length = p->length};
    uint8_t *body = malloc(p->length + 1);

    memcpy(body, p->body, p->length);
    for (unsigned i = any(f, 4); spoilt && p->length && i > 0; i--)
        change(f, body, p->length);
    if (spoilt && any(f, 8) == 0)
        header.length = any(f, p->length + 1);
    if (spoilt && any(f, 8) == 0)
        header.type = f->pieces[any(f, f->count)].type;
    assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
    assert_int_equal(write(fd, body, header.length), header.length);
    free(body);
}

/* All records in order, one or two of them spoilt, left out or repeated. */
static void write_hostile(struct fixture *f, int fd, bool harmless)
{
    unsigned victims[2] = {any(f, f->count), any(f, f->count)};

    for (unsigned i = 0; i < f->count; i++) {
        bool spoilt = !harmless && (i == victims[0] || i == victims[1]);
        unsigned times = spoilt && any(f, 8) == 0 ? any(f, 3) : 1;

        while (times-- > 0)
            write_piece(f, fd, &f->pieces[i], spoilt);
    }
    lseek(fd, 0, SEEK_SET);
}

static int build(struct fixture *f, int fd)
{
    static struct handover_guard guard;
    struct gw_error err = {0};
    struct migrate_host host;
    struct stream_parser parser = {
        .io = {.in_fd = fd, .out_fd = -1, .stall_ms = 1000, .peer = "a parser gone bad"},
        .body = malloc(STREAM_BODY_MAX)};
    struct restore_builder builder = {.host = &host, .parser = &parser, .guard = &guard};
    int rc;

    assert_int_equal(f->to.open(f->to.arg, &host, &err), 0);
    rc = restore_build(&builder, &err);
    restore_build_undo(&builder);
    restore_build_free(&builder);
    free(parser.body);
    return rc;
}

static void test_records_from_a_parser_gone_bad(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;

    for (unsigned round = 0; round < BUILDS; round++) {
        int fd = memfd_create("records", MFD_CLOEXEC);

        write_hostile(f, fd, round == 0);
        refused += build(f, fd) != 0;
        if (round == 0)
            assert_int_equal(refused, 0);
        close(fd);
        if (round % 50 == 0 || f->world->hosts[1].strays)
            assert_neighbour_is_well(f, round);
    }
    assert_neighbour_is_well(f, BUILDS);
    assert_true(refused > BUILDS / 4 && refused < BUILDS); /* others are strange, but guests */
}

/* Records that come again when the guest exists, as no checked stream has them. */
static void test_memory_grows_under_the_builder(void **state)
{
    const struct {
        struct stream_count_header count;
        struct stream_range range;
    } memory = {.count = {.count = 1}, .range = {FAKE_RAM_GFN, 1u << 20}};
    const struct {
        struct stream_count_header count;
        uint64_t word;
    } page = {.count = {.count = 1},
              .word = (FAKE_RAM_GFN + (1u << 19)) | (uint64_t)STREAM_PFN_ZERO
                                                        << STREAM_PFN_TYPE_SHIFT};
    const struct piece grown = {STREAM_MEMORY, sizeof(memory), (uint8_t *)(uintptr_t)&memory};
    const struct piece beyond = {STREAM_PAGE_DATA, sizeof(page), (uint8_t *)(uintptr_t)&page};
    struct fixture *f = *state;
    int fd = memfd_create("records", MFD_CLOEXEC);

    for (unsigned i = 0; i < f->count; i++) {
        write_piece(f, fd, &f->pieces[i], false);
        if (f->pieces[i].type != STREAM_STATIC_DATA_END)
            continue;
        write_piece(f, fd, &grown, false);
        write_piece(f, fd, &beyond, false);
    }
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(build(f, fd), -1);
    assert_neighbour_is_well(f, 0);
    close(fd);
}

/* A parser that says that pages lie in a slot: where the slot is not, or another list than there
 * is. */
static void test_slots_of_a_parser_gone_bad(void **state)
{
    static const struct {
        uint32_t list_bytes, slot, length, count;
        bool record, pages; /* what comes of it */
    } cases[] = {
        {16, 0, 16 + 4096, 1, true, true},       {16, 2, 16 + 4096, 1, true, true},
        {16, 3, 16 + 4096, 1, false, false},     {16, UINT32_MAX, 16 + 4096, 1, false, false},
        {16, 0, UINT32_MAX, 1, false, false},    {16, 0, 8, 1, false, false},
        {8201, 0, 8201 + 4096, 1, false, false}, {UINT32_MAX, 0, UINT32_MAX, 1, false, false},
        {16, 0, 16 + 2 * 4096, 1, true, false},  {16, 0, 16, 1, true, false},
        {16, 0, 16 + 4096, 2, true, false},      {16, 0, 16 + 4096, UINT32_MAX, true, false},
        {0, 0, 16 + 4096, 1, true, false},       {8192 + 8, 0, 8192 + 8, 1024, true, false},
    };
    const struct stream_memory memory = {.ranges = {{FAKE_RAM_GFN, 16}}, .count = 1};

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t head[4] = {0xFFFFFFFE, cases[i].list_bytes, cases[i].slot, cases[i].length};
        struct stream_count_header count = {.count = cases[i].count};
        uint64_t words[1024] = {FAKE_RAM_GFN, FAKE_RAM_GFN + 1};
        int fd = memfd_create("slots", MFD_CLOEXEC), none = memfd_create("stream", MFD_CLOEXEC);
        struct stream_parser parser;
        struct stream_record record;
        struct stream_pages pages;
        struct gw_error err = {0};
        const char *why;

        assert_int_equal(stream_parser_start(&parser, none, "nothing", 1000, NULL, &err), 0);
        close(parser.io.in_fd); /* the real one's */
        parser.io.in_fd = fd;
        assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
        assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
        assert_int_equal(write(fd, words, sizeof(words)), sizeof(words));
        lseek(fd, 0, SEEK_SET);
        int rc = stream_parser_next(&parser, &record, &err);

        assert_int_equal(rc == 0, cases[i].record);
        if (rc == 0) {
            rc = stream_parser_view_pages(&parser, &record, &memory, &pages, &why);
            assert_int_equal(rc == 0, cases[i].pages);
        }
        if (rc == 0) /* all of what it says may be looked at */
            assert_int_equal(pages.contents[0] | pages.contents[4095], 0);
        stream_parser_stop(&parser);
        close(none);
    }
}

/* --- whole streams -------------------------------------------------------------------------------
 */

static int restore(struct fixture *f)
{
    const struct gw_restore_options options = {.path = f->file, .paused = true, .opener = &f->to};
    struct gw_error err = {0};

    return gw_restore(&options, &err);
}

static void test_damaged_streams(void **state)
{
    struct fixture *f = *state;
    int fd = open(f->file, O_RDWR | O_CLOEXEC);
    struct stat facts;

    assert_int_equal(fstat(fd, &facts), 0);
    for (unsigned round = 0; round < WHOLE_STREAMS; round++) {
        off_t at = any(f, any(f, 2) ? 4096 : (unsigned)facts.st_size);
        uint8_t old, new;

        assert_int_equal(pread(fd, &old, 1, at), 1);
        new = old ^ (uint8_t)(1u << any(f, 8));
        assert_int_equal(pwrite(fd, &new, 1, at), 1);
        assert_int_not_equal(restore(f), 0);
        assert_neighbour_is_well(f, round);
        assert_int_equal(pwrite(fd, &old, 1, at), 1);
    }
    close(fd);
}

/* A stream may say whatever name it likes. */
static void test_name_of_the_neighbour(void **state)
{
    struct fixture *f = *state;

    fake_guest_add(&f->world->hosts[0], "neighbour");
    save_guest(f, "neighbour");
    assert_int_equal(restore(f), GW_EXIT_STATE);
    assert_neighbour_is_well(f, 0);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_records_from_a_parser_gone_bad), TEST(test_memory_grows_under_the_builder),
        TEST(test_slots_of_a_parser_gone_bad),     TEST(test_damaged_streams),
        TEST(test_name_of_the_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
