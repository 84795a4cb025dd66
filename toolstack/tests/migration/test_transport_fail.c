/* SPDX-License-Identifier: MIT */
/* Sockets that break while a guest is on its way, and what each process holds meanwhile. */
#include "tls_fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void test_relay_of_the_source_is_killed(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    f->listening.stall_ms = 2000; /* else its relay may wait for room before it hears the end */
    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-pages:hang");
    assert_int_equal(kill(tls_find_process(j.pid, TLS_RELAY), SIGKILL), 0);
    assert_failed(f, &j, "127.0.0.1");
}

static void test_relay_of_the_receiver_is_killed(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-accept:hang");
    assert_int_equal(kill(tls_find_process(f->listener, TLS_RELAY), SIGKILL), 0);
    assert_failed(f, &j, "the connection to 127.0.0.1 was cut");
    tls_wait_log(f, "failed: ");
}

/* A relay that was stopped is a peer that is silent. */
static void test_silent_peer(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;
    pid_t relay;

    f->options.stall_ms = 1000;
    f->listening.stall_ms = 1000;
    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-accept:hang");
    relay = tls_find_process(f->listener, TLS_RELAY);
    assert_int_equal(kill(relay, SIGSTOP), 0);
    assert_int_equal(tls_end_journey(f, &j), GW_EXIT_MIGRATE_FAILED);
    tls_assert_says(f, "127.0.0.1 did not answer for 1 s");
    assert_int_equal(kill(relay, SIGCONT), 0);
    tls_assert_at_source(f);
}

/* After *go* and without an answer nobody knows: held paused, as with any other transport. */
static void test_relay_is_killed_after_go(void **state)
{
    struct tls_fixture *f = *state;
    struct fake_guest *moved = NULL;
    struct tls_journey j;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-resumed:hang");
    for (int i = 0; i < 3000 && !(moved = fake_guest_find(&f->world->hosts[1], "web")); i++)
        usleep(10000);
    assert_non_null(moved);
    for (int i = 0; i < 3000 && moved->pauses > 0; i++)
        usleep(10000);
    assert_int_equal(kill(tls_find_process(j.pid, TLS_RELAY), SIGKILL), 0);
    assert_int_equal(tls_end_journey(f, &j), GW_EXIT_MIGRATE_UNKNOWN);
    tls_assert_says(f, "held paused here");
    assert_int_equal(f->guest->pauses, 1);
    assert_false(f->guest->logging);
    assert_int_equal(moved->pauses, 0);
    assert_false(f->world->ran_twice);
}

/* The listener is told to end: what is half received goes, the source keeps its guest. */
static void test_listener_stops(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-accept:hang");
    tls_stop(f);
    assert_failed(f, &j, "127.0.0.1 refused: ");
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
    tls_assert_says(f, "the connection to 127.0.0.1 was cut");
    tls_assert_at_source(f);
}

static void test_cut_connections(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TLS, "south");
    cut_after(f, 100);    /* in the first greeting */
    cut_after(f, 1000);   /* with our certificate */
    cut_after(f, 50000);  /* in the first round */
    cut_after(f, 900000); /* in a later one */
    tls_assert_moves(f, "north");
}

/* --- what each process holds ---------------------------------------------------------------------
 */

/* In the middle of a receive: who reads what comes from outside holds nothing else. */
static void test_descriptors_in_the_middle(void **state)
{
    struct tls_fixture *f = *state;
    struct tls_journey j;
    pid_t relay;

    tls_begin_and_hang(f, &j, GW_TRANSPORT_TLS, "dest-accept:hang");
    tls_assert_holds(tls_find_process(f->listener, TLS_PARSER), 0, 2);
    relay = tls_find_process(f->listener, TLS_RELAY);
    tls_assert_holds(relay, 1, 2);
    assert_int_equal(tls_status_field(relay, "NoNewPrivs"), 1);
    if (geteuid() == 0)
        assert_int_equal(tls_status_field(relay, "Uid"), 65534);
    relay = tls_find_process(j.pid, TLS_RELAY);
    tls_assert_holds(relay, 1, 2);
    kill(relay, SIGKILL);
    assert_failed(f, &j, "127.0.0.1");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_set_up, tls_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_relay_of_the_source_is_killed),
        TEST(test_relay_of_the_receiver_is_killed),
        TEST(test_silent_peer),
        TEST(test_relay_is_killed_after_go),
        TEST(test_listener_stops),
        TEST(test_cut_connections),
        TEST(test_descriptors_in_the_middle),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, tls_keys_set_up, tls_keys_tear_down);
}
