/* SPDX-License-Identifier: MIT */
/* Messages, waiting, the stop policy and the comparison of hosts. */
#include "handover/handover.h"
#include "handover/handover_guard.h"
#include "restore/restore_compare.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static volatile sig_atomic_t cancelled;

static void pair(struct handover_io *a, struct handover_io *b)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cancelled = 0;
    *a = (struct handover_io){.out_fd = fds[0],
                              .in_fd = fds[0],
                              .stall_ms = 5000,
                              .cancelled = &cancelled,
                              .peer = "south"};
    *b = *a;
    b->in_fd = b->out_fd = fds[1];
    handover_io_unblock(fds[0]);
    handover_io_unblock(fds[1]);
}

static void unpair(struct handover_io *a, struct handover_io *b)
{
    close(a->in_fd);
    close(b->in_fd);
}

static void test_messages(void **state)
{
    struct handover_hello hello = {.version = 1}, got = {0};
    struct gw_error err = {0}, why = {0};
    struct handover_io a, b;

    pair(&a, &b);
    assert_int_equal(handover_send(&a, HANDOVER_HELLO, &hello, sizeof(hello), &err), 0);
    assert_int_equal(handover_expect(&b, HANDOVER_HELLO, &got, sizeof(got), &err), 0);
    assert_int_equal(got.version, 1);
    assert_int_equal(handover_send(&a, HANDOVER_GO, NULL, 0, &err), 0);
    assert_int_equal(handover_expect(&b, HANDOVER_READY, NULL, 0, &err), -1);
    assert_non_null(strstr(err.message, "out of turn"));

    gw_error_set(&why, GW_EXIT_UNSUPPORTED, "no room\x1b[2J");
    handover_refuse(&a, &why);
    assert_int_equal(handover_expect(&b, HANDOVER_GO, NULL, 0, &err), -1);
    assert_int_equal(err.code, GW_EXIT_UNSUPPORTED);
    assert_string_equal(err.message, "south refused: no room.[2J"); /* harmless for a terminal */
    unpair(&a, &b);
}

static void test_malformed_messages(void **state)
{
    static const struct handover_header bad[] = {
        {.magic = 1, .type = HANDOVER_GO},
        {.magic = HANDOVER_MAGIC, .type = HANDOVER_GO, .reserved = 1},
        {.magic = HANDOVER_MAGIC, .type = HANDOVER_GO, .length = 1025},
        {.magic = HANDOVER_MAGIC, .type = HANDOVER_GO, .length = 0xFFFFFFFF},
    };
    struct handover_io a, b;

    for (unsigned i = 0; i < 4; i++) {
        struct gw_error err = {0};
        pair(&a, &b);
        assert_int_equal(write(a.out_fd, &bad[i], sizeof(bad[i])), sizeof(bad[i]));
        assert_int_equal(handover_expect(&b, HANDOVER_GO, NULL, 0, &err), -1);
        assert_non_null(strstr(err.message, "not Godwit"));
        unpair(&a, &b);
    }
}

static void test_end_of_input(void **state)
{
    struct gw_error err = {0};
    struct handover_io a, b;

    pair(&a, &b);
    close(a.out_fd);
    assert_int_equal(handover_expect(&b, HANDOVER_GO, NULL, 0, &err), -1);
    assert_non_null(strstr(err.message, "ended"));
    close(b.in_fd);
}

static void test_stall_and_cancel(void **state)
{
    struct gw_error err = {0};
    struct handover_io a, b;

    pair(&a, &b);
    b.stall_ms = 50;
    assert_int_equal(handover_expect(&b, HANDOVER_GO, NULL, 0, &err), -1);
    assert_int_equal(err.code, GW_EXIT_TIMEOUT);
    cancelled = 1;
    assert_int_equal(handover_expect(&b, HANDOVER_GO, NULL, 0, &err), -1);
    assert_int_equal(err.code, GW_EXIT_MIGRATE_CANCELLED);
    unpair(&a, &b);
}

#define LOAD_BYTES (1u << 20)

static void *read_slowly(void *arg)
{
    struct handover_io *io = arg;
    static char data[LOAD_BYTES];
    struct gw_error err = {0};

    for (size_t at = 0; at < sizeof(data); at += 4096 + 1024)
        if (handover_io_read(io, data + at, sizeof(data) - at < 5120 ? sizeof(data) - at : 5120,
                             NULL, &err))
            return NULL;
    return data;
}

/* A small buffer makes every write short. */
static void test_short_writes(void **state)
{
    static char data[LOAD_BYTES];
    struct iovec parts[3] = {{data, 7}, {data + 7, 0}, {data + 7, sizeof(data) - 7}};
    struct gw_error err = {0};
    struct handover_io a, b;
    pthread_t reader;
    int small = 4096;
    void *got;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 31 >> 4);
    pair(&a, &b);
    setsockopt(a.out_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    pthread_create(&reader, NULL, read_slowly, &b);
    assert_int_equal(handover_io_write(&a, parts, 3, &err), HANDOVER_OK);
    pthread_join(reader, &got);
    assert_non_null(got);
    assert_memory_equal(got, data, sizeof(data));
    unpair(&a, &b);
}

/* A refusal is heard in the middle of a write that the other side no longer takes. */
static void test_peer_speaks(void **state)
{
    static char data[LOAD_BYTES];
    struct iovec part = {data, sizeof(data)};
    struct gw_error err = {0}, why = {0};
    struct handover_io a, b;

    pair(&a, &b);
    gw_error_set(&why, GW_EXIT_FAILED, "enough");
    handover_refuse(&b, &why);
    assert_int_equal(handover_io_write(&a, &part, 1, &err), HANDOVER_PEER_SPEAKS);
    assert_true(handover_io_has_input(&a));
    assert_int_equal(handover_expect(&a, HANDOVER_REFUSED, NULL, 0, &err), -1);
    assert_string_equal(err.message, "south refused: enough");
    assert_false(handover_io_has_input(&a));
    unpair(&a, &b);
}

static void test_compare(void **state)
{
    struct stream_host ours = {.cntfrq_hz = 1000}, theirs = {.cntfrq_hz = 1000};
    struct gw_error err = {0};

    ours.id[14] = theirs.id[14] = 0x410FD083;
    assert_int_equal(restore_compare_hosts(&theirs, &ours, &err), 0);
    theirs.id[14] = 0x411FD085; /* another revision of the same core */
    assert_int_equal(restore_compare_hosts(&theirs, &ours, &err), 0);
    theirs.id[14] = 0x410FD0C3; /* another core */
    assert_int_equal(restore_compare_hosts(&theirs, &ours, &err), -1);
    assert_non_null(strstr(err.message, "MIDR_EL1"));
    theirs.id[14] = ours.id[14];
    for (unsigned i = 0; i < 14; i++) {
        theirs.id[i] ^= 1ULL << 61;
        assert_int_equal(restore_compare_hosts(&theirs, &ours, &err), -1);
        assert_int_equal(err.code, GW_EXIT_UNSUPPORTED);
        assert_non_null(strstr(err.message, "bits 60 to 63"));
        theirs.id[i] = ours.id[i];
    }
}

/* --- the process that works ------------------------------------------------------------------ */

static int oom_score(void)
{
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    int score;

    if (!file)
        return -1;
    if (fscanf(file, "%d", &score) != 1)
        score = -1;
    fclose(file);
    return score;
}

static int work_that_looks(struct handover_guard *guard, void *arg)
{
    return oom_score() == HANDOVER_OOM_SCORE ? 0 : 1;
}

static int mend_nothing(struct handover_guard *guard, void *arg, int signal_number)
{
    return 1;
}

/* If memory runs out its guard must be there to put things right. */
static void test_worker_goes_first(void **state)
{
    const struct handover_work work = {.run = work_that_looks, .mend = mend_nothing};
    struct gw_error err = {0};
    int ours = oom_score();

    (void)state;
    assert_int_equal(handover_guard_run(&work, &err), 0);
    assert_int_equal(oom_score(), ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_malformed_messages),
        cmocka_unit_test(test_end_of_input), cmocka_unit_test(test_stall_and_cancel),
        cmocka_unit_test(test_short_writes), cmocka_unit_test(test_peer_speaks),
        cmocka_unit_test(test_compare),      cmocka_unit_test(test_worker_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
