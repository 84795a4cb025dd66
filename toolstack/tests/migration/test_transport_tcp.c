/* SPDX-License-Identifier: MIT */
/* Plain TCP: no process between the socket and those who speak. What breaks, and who holds what. */
#include "tls_fixture.h"

#include "stream/stream_confine.h"
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_failed(struct tls_fixture *f, struct tls_journey *j, const char *words)
{
    int status = tls_end_journey(f, j);

    if (status != GW_EXIT_MIGRATE_FAILED)
        fail_msg("exit status %d, %s", status, f->err.message);
    tls_assert_says(f, words);
    tls_assert_at_source(f);
}

static void test_moves_over_several_sockets(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TCP, "south");
    f->options.streams = 3;
    tls_assert_moves(f, "north");
}

static void test_listener_stops(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-accept:hang");
    tls_stop(f);
    assert_failed(f, &j, "127.0.0.1 refused: ");
}

/* The parser stands still, and so does the socket: a peer that is silent. */
static void test_silent_peer(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    f->options.stall_ms = 1000;
    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-accept:hang");
    assert_failed(f, &j, "127.0.0.1 did not answer for 1 s");
}

/* Nobody there reads or writes, and nobody is left here: the visit itself has to notice. */
static void test_hung_receiver_of_a_dead_source(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-accept:hang");
    kill(j.pid, SIGKILL); /* the guard; its worker takes that for ^C and ends */
    assert_int_equal(tls_end_journey(f, &j), -1);
    tls_wait_log(f, "the other side has gone, and nobody here noticed");
    tls_assert_at_source(f);
}

/* What came lies in the socket, so the end of the connection cannot come, either. */
static void test_receiver_that_takes_nothing(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    f->world->span = 8; /* what is written all the time is not sent: too little would come */
    f->listening.stall_ms = 2000;
    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-pages:hang");
    assert_failed(f, &j, "127.0.0.1 refused: ");
    tls_wait_log(f, "nobody here took what came");
}

/* After *go* and without an answer nobody knows: held paused, as with any other transport. */
static void test_receiver_is_killed_after_go(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    f->options.stall_ms = 1000;
    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-go:hang");
    assert_int_equal(tls_end_journey(f, &j), GW_EXIT_MIGRATE_UNKNOWN);
    tls_assert_says(f, "held paused here");
    assert_int_equal(f->guest->pauses, 1);
    assert_false(f->guest->logging);
    assert_false(f->world->ran_twice);
}

/* --- the wire -----------------------------------------------------------------------------------
 */

static void cut_after(struct tls_fixture *f, size_t bytes)
{
    char listener_port[sizeof(f->port)];
    pid_t pid = tls_cut_after(f, bytes, listener_port);

    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED);
    waitpid(pid, NULL, 0);
    memcpy(f->port, listener_port, sizeof(f->port));
    tls_assert_says(f, "127.0.0.1");
    tls_assert_at_source(f);
}

static void test_cut_connections(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TCP, "south");
    cut_after(f, 10);     /* in the headers */
    cut_after(f, 1000);   /* in what describes the guest */
    cut_after(f, 50000);  /* in the first round */
    cut_after(f, 900000); /* in a later one */
    tls_assert_moves(f, "north");
}

/* ^C while a machine does not answer: its queue of connections is full. */
static void test_cancelled_while_it_connects(void **state)
{
    struct tls_fixture *f = *state;
    char unused[sizeof(f->port)];
    int listener = tls_open_port(f, unused), fds[8];
    struct tls_journey j;

    for (int i = 0; i < 8; i++)
        fds[i] = tls_connect_at_once(f);
    f->options.transport.kind = GW_TRANSPORT_TCP;
    tls_begin_journey(f, &j);
    usleep(300000);
    kill(j.pid, SIGTERM);
    assert_int_equal(tls_end_journey(f, &j), GW_EXIT_MIGRATE_CANCELLED);
    tls_assert_at_source(f);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    close(listener);
}

/* --- what each process holds ---------------------------------------------------------------------
 */

/* The parser has the socket, the pipe and nothing else; there is no relay on either side. */
static void test_descriptors_in_the_middle(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;
    pid_t parser;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TCP, "dest-accept:hang");
    parser = tls_find_process(f->listener, TLS_PARSER);
    tls_assert_holds(parser, 1, 1);
    assert_int_equal(tls_status_field(parser, "NoNewPrivs"), 1);
    assert_int_equal(tls_look_for_process(f->listener, TLS_RELAY), 0);
    assert_int_equal(tls_look_for_process(j.pid, TLS_RELAY), 0);
    kill(parser, SIGKILL);
    tls_stop(f);
    assert_failed(f, &j, "127.0.0.1 refused: ");
}

/* What the parser does with a number in a call; how it ended. */
static int confined_call(long (*call)(void))
{
    int ends[2], pipe_fds[2], status;
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    pid = fork();
    if (pid == 0) {
        int fds[STREAM_FDS] = {ends[0], pipe_fds[1], eventfd(1, 0)};

        if (stream_confine(fds) == 0)
            syscall(SYS_exit, call() > 0 ? 0 : 2);
        _exit(3);
    }
    waitpid(pid, &status, 0);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(pipe_fds[i]);
    }
    return status;
}

static long read_stream(void)
{
    char byte;

    return read(STREAM_FD_STREAM, &byte, 1);
}

static long read_returned(void)
{
    uint64_t n;

    return read(STREAM_FD_RETURNED, &n, sizeof(n));
}

static long write_pipe(void)
{
    return write(STREAM_FD_PIPE, "x", 1);
}

static long write_stream(void)
{
    return write(STREAM_FD_STREAM, "x", 1);
}

static long write_returned(void)
{
    return write(STREAM_FD_RETURNED, &(uint64_t){1}, sizeof(uint64_t));
}

static long send_stream(void)
{
    return send(STREAM_FD_STREAM, "x", 1, 0);
}

static long open_file(void)
{
    return open("/dev/null", O_RDONLY);
}

static long number; /* of a system call */

static long call_by_number(void)
{
    return syscall(number, 77, 0, 0, 0, 0, 0); /* 77: no descriptor that it has */
}

/* Every number of this machine's, those of its other ABI, and some that nobody has yet. */
static void test_no_other_system_call(void **state)
{
    static const long more[] = {0x40000000 | SYS_write, 0x40000000 | SYS_openat, 1023, 4096, -1};
    const long known = 480;

    for (long i = 0; i < known + (long)(sizeof(more) / sizeof(more[0])); i++) {
        number = i < known ? i : more[i - known];
        if (number == SYS_exit || number == SYS_rt_sigreturn)
            continue;
        if (number == 335 || number == 336) /* x86's uretprobe, uprobe: no filter is asked */
            continue;
        int status = confined_call(call_by_number);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("system call %ld was not forbidden: status %#x", number, (unsigned)status);
    }
}

static void test_what_a_parser_may_do(void **state)
{
    long (*const allowed[])(void) = {read_stream, read_returned, write_pipe};
    long (*const forbidden[])(void) = {write_stream, write_returned, send_stream, open_file};

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        assert_int_equal(confined_call(allowed[i]), 0);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        int status = confined_call(forbidden[i]);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("call %zu was not forbidden: status %#x", i, (unsigned)status);
    }
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_set_up, tls_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_moves_over_several_sockets),
        TEST(test_listener_stops),
        TEST(test_silent_peer),
        TEST(test_hung_receiver_of_a_dead_source),
        TEST(test_receiver_that_takes_nothing),
        TEST(test_receiver_is_killed_after_go),
        TEST(test_cut_connections),
        TEST(test_cancelled_while_it_connects),
        TEST(test_descriptors_in_the_middle),
        cmocka_unit_test(test_what_a_parser_may_do),
        cmocka_unit_test(test_no_other_system_call),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, tls_keys_set_up, tls_keys_tear_down);
}
