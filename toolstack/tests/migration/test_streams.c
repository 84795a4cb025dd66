/* SPDX-License-Identifier: MIT */
/* How pages travel on several connections, and what breaks there. */
#include "fake_move.h"
#include "handover/handover.h"
#include "migrate/migrate_transport.h"
#include "stream/stream_check.h"
#include "stream/stream_view.h"
#include "stream/stream_write.h"
#include "wire.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct fake_move *f = fake_move_begin(8);

    assert_non_null(f);
    f->options.verify = true;
    /* so that the number of rounds decides */
    f->options.limits = (struct gw_migrate_limits){
        .max_rounds = 2, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static void assert_sound(struct fake_guest *guest)
{
    assert_non_null(guest);
    fake_guest_pause(guest);
    assert_true(fake_guest_is_sound(guest));
    fake_guest_unpause(guest);
}

static int migrate(struct fake_move *f)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_migrate(&f->options, &f->err);
}

/* There, and back to where it can be moved from again. */
static void assert_moves(struct fake_move *f, unsigned from)
{
    struct migrate_opener opener = fake_opener(f->world, from);
    struct fake_host *to = &f->world->hosts[!from];

    f->options.opener = &opener;
    f->command[1] = from ? "--receive-at-0" : "--receive";
    int status = migrate(f);
    if (status)
        fail_msg("%u streams, level %d: %s", f->options.streams, f->options.compress_level,
                 f->err.message);
    assert_null(fake_guest_find(&f->world->hosts[from], "web"));
    assert_sound(fake_guest_find(to, "web"));
    assert_false(f->world->ran_twice);
}

static void test_all_combinations(void **state)
{
    static const unsigned streams[] = {1, 4, 16};
    static const int levels[] = {0, 3};
    struct fake_move *f = *state;
    unsigned from = 0;

    for (unsigned i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        for (unsigned j = 0; j < sizeof(levels) / sizeof(levels[0]); j++) {
            f->options.streams = streams[i];
            f->options.compress_level = levels[j];
            assert_moves(f, from);
            from = !from;
        }
}

/* Each connection has its own writer at the destination; one connection has one. */
static void test_written_in_parallel(void **state)
{
    struct fake_move *f = *state;
    struct fake_host *there = &f->world->hosts[1];

    there->write_us = 2000;
    f->options.streams = 4;
    assert_int_equal(migrate(f), 0);
    assert_true(there->writing_most >= 2);
    assert_int_equal(there->writing, 0);
}

static void assert_still_at_source(struct fake_move *f)
{
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
    assert_false(f->guest->logging);
    assert_sound(f->guest);
    assert_true(fake_move_left_nothing(f));
    assert_false(f->world->ran_twice);
}

/* Each step of either side with several connections: the guest runs on, and moves afterwards. */
static void test_failures(void **state)
{
    static const char *const steps[] = {
        "dest-join:error",    "dest-join:kill",      "dest-pages:error",    "dest-pages:kill",
        "dest-verify:error",  "dest-state:error",    "dest-ready:error",    "source-token:error",
        "source-round0:kill", "source-round1:error", "source-final:cancel", "source-end:error",
    };
    struct fake_move *f = *state;

    f->options.streams = 4;
    f->options.compress_level = 1;
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        setenv("GODWIT_FAIL_AT", steps[i], 1);
        int status = migrate(f);
        if (status !=
            (strstr(steps[i], "cancel") ? GW_EXIT_MIGRATE_CANCELLED : GW_EXIT_MIGRATE_FAILED))
            fail_msg("%s: exit status %d, %s", steps[i], status, f->err.message);
        if (strstr(steps[i], "error") && !strstr(f->err.message, "as GODWIT_FAIL_AT asked"))
            fail_msg("%s: %s", steps[i], f->err.message);
        unsetenv("GODWIT_FAIL_AT");
        assert_still_at_source(f);
    }
    assert_moves(f, 0);
}

/* The first connection is whole, all others end after some bytes. */
static void test_side_is_cut(void **state)
{
    static const unsigned cuts[] = {0, 20, 60, 200, 100000, 400000};
    struct fake_move *f = *state;
    char first[] = "/tmp/godwit-cut-XXXXXX", plan_text[64];
    char *command[] = {"/proc/self/exe", "--cut", first, plan_text, f->fd_text, NULL};

    close(mkstemp(first));
    f->options.streams = 3;
    f->options.transport.command = command;
    for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        const struct wire_plan plan = {.end = WIRE_CUT, .bytes = cuts[i]};

        unlink(first);
        wire_plan_print(&plan, plan_text);
        assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
        assert_null(strstr(f->err.message, "did not")); /* it is told, and waits for nothing */
        rmdir(first);
        assert_still_at_source(f);
    }
    f->options.transport.command = f->command;
    assert_moves(f, 0);
}

/* A connection with a token that nobody gave out is refused, and so is a number out of place. */
static void test_wrong_token(void **state)
{
    struct fake_move *f = *state;
    struct gw_transport how = {.command = f->command};
    struct migrate_transport transport = {.io = {.stall_ms = 20000, .peer = "south"}};
    struct handover_join join = {.index = 1};
    const struct handover_begin begin = {.streams = 17};
    struct handover_hello hello;
    struct gw_error err = {0};

    memset(join.token, 7, sizeof(join.token));
    assert_int_equal(migrate_transport_start(&transport, &how, &err), 0);
    assert_int_equal(handover_expect(&transport.io, HANDOVER_HELLO, &hello, sizeof(hello), &err),
                     0);
    assert_true(hello.capabilities & HANDOVER_CAN_STREAMS);
    handover_send(&transport.io, HANDOVER_JOIN, &join, sizeof(join), &err);
    assert_int_equal(handover_expect(&transport.io, HANDOVER_JOINED, NULL, 0, &err), -1);
    assert_non_null(strstr(err.message, "no migration that this connection belongs to"));
    migrate_transport_stop(&transport);

    assert_int_equal(migrate_transport_start(&transport, &how, &err), 0);
    assert_int_equal(handover_expect(&transport.io, HANDOVER_HELLO, &hello, sizeof(hello), &err),
                     0);
    handover_send(&transport.io, HANDOVER_BEGIN, &begin, sizeof(begin), &err);
    assert_int_equal(handover_expect(&transport.io, HANDOVER_JOINED, NULL, 0, &err), -1);
    assert_non_null(strstr(err.message, "wants 17 connections"));
    migrate_transport_stop(&transport);
}

/* What the reader says of a side stream with one page of zeros. */
static int read_side(uint32_t index, uint32_t count, uint64_t gfn)
{
    struct handover_io io = {
        .out_fd = memfd_create("side", 0), .in_fd = -1, .stall_ms = 1000, .peer = "a file"};
    struct stream_writer w = {.io = &io};
    struct stream_memory memory = {.count = 1, .ranges = {{0x1000, 0x1000}}};
    struct stream_reader reader = {.read = stream_read_fd, .source = &io.out_fd};
    uint64_t word = gfn | (uint64_t)STREAM_PFN_ZERO << STREAM_PFN_TYPE_SHIFT;
    struct stream_checker checker = {0};
    struct stream_record record;
    struct gw_error err = {0};
    uint32_t major, minor;

    stream_write_headers(&w, 4, 17, &err);
    stream_write_lane(&w, index, count, &err);
    stream_write_memory(&w, &memory, &err);
    stream_write_pages(&w, &word, 1, NULL, 0, &err);
    assert_int_equal(stream_write_end(&w, &err), 0);
    lseek(io.out_fd, 0, SEEK_SET);
    reader.body = malloc(STREAM_BODY_MAX + STREAM_ALIGN);
    int rc = stream_read_headers(&reader, &major, &minor);
    while (rc == 0 && checker.stage != STREAM_ENDED)
        rc = stream_read_record(&reader, &record) || stream_check_record(&checker, &reader, &record)
                 ? -1
                 : 0;
    free(reader.body);
    close(io.out_fd);
    return rc;
}

static void test_pages_keep_their_way(void **state)
{
    for (uint32_t index = 1; index < 4; index++)
        for (uint64_t gfn = 0x1000; gfn < 0x1100; gfn += 16)
            assert_int_equal(read_side(index, 4, gfn), stream_of_gfn(gfn, 4) == index ? 0 : -1);
    assert_int_equal(read_side(1, 1, 0x1040), -1); /* no such connection */
    assert_int_equal(read_side(4, 4, 0x1000), -1);
    assert_int_equal(read_side(1, 17, 0x1040), -1);
    assert_int_equal(read_side(0, 4, 0x1000), -1); /* the main one describes a guest first */
    assert_int_equal(read_side(1, 4, 0x2040), -1); /* not memory */
}

/* --- one connection, into a file ------------------------------------------------------------- */

static int receive(int fd, unsigned host)
{
    struct fake_world *world = fake_world_open(fd);
    struct migrate_opener opener = fake_opener(world, host);
    struct gw_receive_options options = {.stall_ms = 20000, .opener = &opener};
    struct gw_error err = {0};

    _exit(gw_migrate_receive(&options, 0, 1, &err));
}

/* Of the connections that are made with one folder's name, the first is whole. */
static int receive_cut(const char *first, const char *plan_text, char *fd_text)
{
    const struct wire_plan plan = wire_plan_read(plan_text);
    char *behind[] = {"/proc/self/exe", "--receive", fd_text, NULL};
    uint64_t bytes[2];

    if (mkdir(first, 0700) == 0)
        return receive(atoi(fd_text), 1);
    return wire_run(&plan, behind, bytes);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return receive(atoi(argv[2]), !strcmp(argv[1], "--receive"));
    if (argc == 5)
        return receive_cut(argv[2], argv[3], argv[4]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_all_combinations), TEST(test_written_in_parallel),
        TEST(test_failures),         TEST(test_side_is_cut),
        TEST(test_wrong_token),      TEST(test_pages_keep_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
