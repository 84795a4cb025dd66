/* SPDX-License-Identifier: MIT */
/* Marks: the guest is stopped only when the destination has what was sent before, however much of
 * it can wait on the way. */
#include "fake_move.h"
#include "handover/handover.h"
#include "restore/restore_build.h"
#include "stream/stream_check.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WRITE_US 100000 /* a record of pages at the destination; some wait before it */

/* --- a destination that is unlike ours -------------------------------------------------------- */

/* What the receiver says, changed. */
static void change(struct handover_message *message, const char *how)
{
    if (message->type == HANDOVER_HELLO && !strcmp(how, "old"))
        message->body[4] &= (uint8_t)~HANDOVER_CAN_MARK;
    if (message->type == HANDOVER_MARKED && !strcmp(how, "wrong"))
        message->body[0]++;
}

static int stand_between(const char *how, const char *fd_text)
{
    struct handover_io io = {.stall_ms = 20000, .peer = "the receiver"};
    static struct handover_message message;
    struct gw_error err = {0};
    int fds[2];

    if (pipe(fds) < 0)
        return 1;
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        fake_move_receive(fd_text);
    }
    close(fds[1]);
    close(0);
    io.in_fd = fds[0];
    while (handover_receive(&io, &message, &err) == 0) {
        struct {
            struct handover_header header;
            uint8_t body[HANDOVER_BODY_MAX];
        } out[2];
        char bytes[sizeof(out)];
        size_t n = sizeof(struct handover_header) + message.length;
        bool twice = message.type == HANDOVER_MARKED && !strcmp(how, "twice");

        change(&message, how);
        out[0].header = (struct handover_header){HANDOVER_MAGIC, message.type, message.length, 0};
        memcpy(out[0].body, message.body, message.length);
        memcpy(bytes, &out[0], n);
        memcpy(bytes + n, &out[0], n);
        if (write(1, bytes, twice ? 2 * n : n) <
            0) /* at once: the second is there with the first */
            break;
    }
    return 0;
}

/* --- moves ------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    struct fake_move *m = fake_move_begin(0);

    if (!m)
        return -1;
    m->world->hosts[0].peer = 1;
    m->options.limits.throttle = GW_THROTTLE_OFF;
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static int migrate(struct fake_move *m)
{
    memset(&m->err, 0, sizeof(m->err));
    return gw_migrate(&m->options, &m->err);
}

static void assert_moves(struct fake_move *m)
{
    int status = migrate(m);

    if (status)
        fail_msg("%d: %s", status, m->err.message);
    assert_false(m->guest->used);
}

static void assert_stays(struct fake_move *m, int status, const char *words)
{
    int ended = migrate(m);

    if (ended != status || !strstr(m->err.message, words))
        fail_msg("it ended with %d (%s), not with %d (%s)", ended, m->err.message, status, words);
    assert_true(m->guest->used);
    assert_int_equal(m->guest->pauses, 0);
    assert_false(m->guest->logging);
}

static uint64_t number_of(struct json_object *object, const char *key)
{
    return (uint64_t)json_object_get_int64(json_object_object_get(object, key));
}

/* Pages with contents that were sent while the guest ran. */
static uint64_t sent_alive(struct fake_move *m)
{
    struct json_object *report, *rounds;
    uint64_t pages = 0;
    char *text;

    assert_int_equal(gw_migrate_status("web", &text, &m->err), 0);
    report = json_tokener_parse(text);
    free(text);
    rounds = json_object_object_get(report, "rounds");
    for (size_t i = 0; i < json_object_array_length(rounds); i++) {
        struct json_object *round = json_object_array_get_idx(rounds, i);
        if (!json_object_object_get(round, "final"))
            pages += number_of(round, "pages") - number_of(round, "zero_pages");
    }
    json_object_put(report);
    return pages;
}

static void assert_nothing_on_the_way(struct fake_move *m)
{
    m->world->hosts[1].write_us = WRITE_US;
    assert_moves(m);
    assert_true(sent_alive(m) > 64);
    assert_int_equal(m->world->hosts[0].peer_wrote, sent_alive(m));
}

static void test_nothing_on_the_way(void **state)
{
    assert_nothing_on_the_way(*state);
}

static void test_nothing_on_four_ways(void **state)
{
    struct fake_move *m = *state;

    m->options.streams = 4;
    assert_nothing_on_the_way(m);
}

/* What a round leaves fits into what is on the way, and takes the destination longer than allowed.
 */
static void test_speed_is_the_destinations(void **state)
{
    struct fake_move *m = *state;

    m->world->hosts[1].write_us = 2 * WRITE_US;
    m->world->rest_us = 10000;
    m->world->span = 160;
    m->world->busy = 30;
    m->options.limits.max_downtime_ms = 4 * WRITE_US / 1000; /* the fake log is slow, too */
    m->options.limits.max_rounds = 3;
    assert_stays(m, GW_EXIT_MIGRATE_DIVERGED, "are allowed");
}

/* It must not be sent what it does not know. */
static void test_older_destination(void **state)
{
    struct fake_move *m = *state;
    char *command[] = {m->command[0], "--between", "old", m->fd_text, NULL};

    m->options.transport.command = command;
    setenv("GODWIT_FAIL_AT", "dest-mark:error,source-mark:error", 1);
    assert_moves(m);
}

static void test_wrong_answers(void **state)
{
    struct fake_move *m = *state;
    char *command[] = {m->command[0], "--between", "wrong", m->fd_text, NULL};

    m->options.transport.command = command;
    assert_stays(m, GW_EXIT_MIGRATE_FAILED, "south answered mark 2, and mark 1 was sent");
    command[2] = "twice";
    assert_stays(m, GW_EXIT_MIGRATE_FAILED, "south sent message 13 of 8 bytes out of turn");
}

static void test_refused(void **state)
{
    struct fake_move *m = *state;

    setenv("GODWIT_FAIL_AT", "dest-mark:error", 1);
    assert_stays(m, GW_EXIT_MIGRATE_FAILED, "south refused: failed at dest-mark");
    m->options.streams = 4;
    assert_stays(m, GW_EXIT_MIGRATE_FAILED, "south refused: failed at dest-mark");
    assert_true(fake_move_left_nothing(m));
}

static void test_silence(void **state)
{
    struct fake_move *m = *state;

    setenv("GODWIT_FAIL_AT", "dest-mark:hang", 1);
    m->options.stall_ms = 300;
    assert_stays(m, GW_EXIT_MIGRATE_FAILED, "south did not answer for 1 s");
}

static void test_timeout(void **state)
{
    struct fake_move *m = *state;

    setenv("GODWIT_FAIL_AT", "dest-mark:hang", 1);
    m->options.limits.timeout_ms = 300;
    m->options.stall_ms = 5000;
    assert_stays(m, GW_EXIT_MIGRATE_DIVERGED, "out of time");
}

static void test_cancel(void **state)
{
    struct fake_move *m = *state;
    int status = 0;

    setenv("GODWIT_FAIL_AT", "dest-mark:hang", 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(gw_migrate(&m->options, &m->err));
    while (m->world->hosts[0].log_starts == 0) /* then comes the first mark */
        usleep(1000);
    assert_int_equal(gw_migrate_cancel("web", &m->err), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), GW_EXIT_MIGRATE_CANCELLED);
    assert_int_equal(m->guest->pauses, 0);
    assert_false(m->guest->logging);
}

/* --- sources that mean harm ------------------------------------------------------------------- */

static int check(struct stream_checker *checker, uint32_t version, struct stream_mark mark,
                 uint32_t length)
{
    struct stream_reader reader = {.version = version, .records = 9};
    const struct stream_record record = {
        .type = STREAM_MARK, .length = length, .body = (const uint8_t *)&mark};

    return stream_check_record(checker, &reader, &record);
}

static void test_marks_in_a_stream(void **state)
{
    const uint32_t bytes = sizeof(struct stream_mark);
    struct stream_checker main = {.stage = STREAM_WANT_PAGES};
    struct stream_checker side = {.stage = STREAM_WANT_PAGES, .lane = {1, 2}};
    struct stream_checker late = {.stage = STREAM_WANT_VERIFY};

    (void)state;
    assert_int_equal(check(&main, 4, (struct stream_mark){2, 0}, bytes), -1);
    assert_int_equal(check(&main, 4, (struct stream_mark){1, 1}, bytes), -1);
    assert_int_equal(check(&main, 4, (struct stream_mark){1, 0}, bytes - 4), -1);
    assert_int_equal(check(&main, 3, (struct stream_mark){1, 0}, bytes), -1);
    assert_int_equal(check(&late, 4, (struct stream_mark){1, 0}, bytes), -1);
    for (uint32_t n = 1; n <= STREAM_MARKS_MAX; n++) {
        assert_int_equal(check(&main, 4, (struct stream_mark){n, 0}, bytes), 0);
        assert_int_equal(check(&side, 4, (struct stream_mark){n, 0}, bytes), 0);
        assert_int_equal(check(&main, 4, (struct stream_mark){n, 0}, bytes), -1);
    }
    assert_int_equal(check(&main, 4, (struct stream_mark){STREAM_MARKS_MAX + 1, 0}, bytes), -1);
}

static int count_answer(void *arg, uint32_t number, struct gw_error *err)
{
    (void)err;
    *(uint32_t *)arg = number;
    return 0;
}

static int take(struct restore_builder *b, unsigned lane, uint32_t number, struct gw_error *err)
{
    const struct stream_mark mark = {.number = number};
    const struct stream_record record = {
        .type = STREAM_MARK, .length = sizeof(mark), .body = (const uint8_t *)&mark};

    b->lanes[lane].builder = b;
    return restore_lane_take_mark(&b->lanes[lane], &record, err);
}

/* As if the processes that read the streams had been taken over. */
static void test_all_connections_answer(void **state)
{
    static struct restore_builder b;
    struct gw_error err = {0};
    uint32_t answered = 0;
    uint8_t bits = 0;

    (void)state;
    b.lanes_n = 2;
    b.accept_arg = &answered;
    b.mark = count_answer;
    assert_int_equal(take(&b, 0, 1, &err), -1); /* there is no guest */
    b.verified = &bits;
    b.mark = NULL;
    assert_int_equal(take(&b, 0, 1, &err), -1); /* and no migration */
    b.mark = count_answer;
    assert_int_equal(take(&b, 0, 1, &err), 0);
    assert_int_equal(answered, 0);
    assert_int_equal(take(&b, 0, 2, &err), -1);
    assert_non_null(strstr(err.message, "mark 2 came before mark 1 was answered"));
    assert_int_equal(take(&b, 1, 2, &err), -1);
    assert_int_equal(take(&b, 1, 1, &err), 0);
    assert_int_equal(answered, 1);
    assert_int_equal(take(&b, 1, 2, &err), 0);
    assert_int_equal(answered, 1);
    assert_int_equal(take(&b, 0, 2, &err), 0);
    assert_int_equal(answered, 2);
    b.lanes[0].verifying = true;
    assert_int_equal(take(&b, 0, 3, &err), -1);
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--between"))
        return stand_between(argv[2], argv[3]);
    if (argc == 3)
        fake_move_receive(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_on_the_way),
        TEST(test_nothing_on_four_ways),
        TEST(test_speed_is_the_destinations),
        TEST(test_older_destination),
        TEST(test_wrong_answers),
        TEST(test_refused),
        TEST(test_silence),
        TEST(test_timeout),
        TEST(test_cancel),
        cmocka_unit_test(test_marks_in_a_stream),
        cmocka_unit_test(test_all_connections_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
