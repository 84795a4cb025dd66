/* SPDX-License-Identifier: MIT */
/* Sockets that break while a guest is on its way, and what each process holds meanwhile. */
#include "tls_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARSER = 1, RELAY = 2 }; /* by their mode of seccomp */

/* A migration in a process of its own, so that it can be looked at on its way. */
struct journey {
    pid_t pid;
    struct gw_error *err; /* shared */
};

static void begin_journey(struct tls_fixture *f, struct journey *j)
{
    j->err = mmap(NULL, sizeof(*j->err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(j->err, MAP_FAILED);
    j->pid = fork();
    if (j->pid == 0) {
        int status = tls_migrate(f, "north");
        *j->err = f->err;
        _exit(status);
    }
}

static int end_journey(struct tls_fixture *f, struct journey *j)
{
    int status = -1;

    waitpid(j->pid, &status, 0);
    f->err = *j->err;
    munmap(j->err, sizeof(*j->err));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The receiver makes the guest and then does not go on. */
static void begin_and_hang(struct tls_fixture *f, struct journey *j, const char *step)
{
    setenv("GODWIT_FAIL_AT", step, 1);
    tls_listen(f, GW_TRANSPORT_TLS, "south");
    unsetenv("GODWIT_FAIL_AT");
    begin_journey(f, j);
    for (int i = 0; i < 3000 && !fake_guest_find(&f->world->hosts[1], "web--incoming"); i++)
        usleep(10000);
    assert_non_null(fake_guest_find(&f->world->hosts[1], "web--incoming"));
}

static void assert_failed(struct tls_fixture *f, struct journey *j, const char *words)
{
    int status = end_journey(f, j);

    if (status != GW_EXIT_MIGRATE_FAILED)
        fail_msg("exit status %d, %s", status, f->err.message);
    tls_assert_says(f, words);
    tls_assert_at_source(f);
}

static void test_relay_of_the_source_is_killed(void **state)
{
    struct tls_fixture *f = *state;
    struct journey j;

    f->listening.stall_ms = 2000; /* else its relay may wait for room before it hears the end */
    begin_and_hang(f, &j, "dest-pages:hang");
    assert_int_equal(kill(tls_find_process(j.pid, RELAY), SIGKILL), 0);
    assert_failed(f, &j, "127.0.0.1");
}

static void test_relay_of_the_receiver_is_killed(void **state)
{
    struct tls_fixture *f = *state;
    struct journey j;

    begin_and_hang(f, &j, "dest-accept:hang");
    assert_int_equal(kill(tls_find_process(f->listener, RELAY), SIGKILL), 0);
    assert_failed(f, &j, "the connection to 127.0.0.1 was cut");
    tls_wait_log(f, "failed: ");
}

/* A relay that was stopped is a peer that is silent. */
static void test_silent_peer(void **state)
{
    struct tls_fixture *f = *state;
    struct journey j;
    pid_t relay;

    f->options.stall_ms = 1000;
    f->listening.stall_ms = 1000;
    begin_and_hang(f, &j, "dest-accept:hang");
    relay = tls_find_process(f->listener, RELAY);
    assert_int_equal(kill(relay, SIGSTOP), 0);
    assert_int_equal(end_journey(f, &j), GW_EXIT_MIGRATE_FAILED);
    tls_assert_says(f, "127.0.0.1 did not answer for 1 s");
    assert_int_equal(kill(relay, SIGCONT), 0);
    tls_assert_at_source(f);
}

/* After *go* and without an answer nobody knows: held paused, as with any other transport. */
static void test_relay_is_killed_after_go(void **state)
{
    struct tls_fixture *f = *state;
    struct fake_guest *moved = NULL;
    struct journey j;

    begin_and_hang(f, &j, "dest-resumed:hang");
    for (int i = 0; i < 3000 && !(moved = fake_guest_find(&f->world->hosts[1], "web")); i++)
        usleep(10000);
    assert_non_null(moved);
    for (int i = 0; i < 3000 && moved->pauses > 0; i++)
        usleep(10000);
    assert_int_equal(kill(tls_find_process(j.pid, RELAY), SIGKILL), 0);
    assert_int_equal(end_journey(f, &j), GW_EXIT_MIGRATE_UNKNOWN);
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
    struct journey j;

    begin_and_hang(f, &j, "dest-accept:hang");
    tls_stop(f);
    assert_failed(f, &j, "127.0.0.1 refused: ");
}

/* --- the wire -----------------------------------------------------------------------------------
 */

/* Carries a connection to the listener, and cuts it after so many bytes from the source. */
static _Noreturn void run_cutter(struct tls_fixture *f, int fd, size_t bytes)
{
    int ends[2] = {accept(fd, NULL, NULL), tls_connect(f)};
    char piece[4096];

    while (bytes > 0) {
        struct pollfd fds[2] = {{.fd = ends[0], .events = POLLIN},
                                {.fd = ends[1], .events = POLLIN}};

        poll(fds, 2, -1);
        for (int i = 0; i < 2 && bytes > 0; i++) {
            size_t most = i == 0 && bytes < sizeof(piece) ? bytes : sizeof(piece);
            ssize_t got = fds[i].revents ? read(ends[i], piece, most) : 0;

            if (fds[i].revents && (got <= 0 || write(ends[1 - i], piece, (size_t)got) != got))
                _exit(0);
            bytes -= i == 0 ? (size_t)got : 0;
        }
    }
    _exit(0);
}

static void cut_after(struct tls_fixture *f, size_t bytes)
{
    char listener_port[sizeof(f->port)];
    int fd = tls_open_port(f, listener_port);
    pid_t pid = fork();

    if (pid == 0) {
        memcpy(f->port, listener_port, sizeof(f->port));
        run_cutter(f, fd, bytes);
    }
    close(fd);
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

static void look_at_descriptors(pid_t pid, unsigned *ret_sockets, unsigned *ret_pipes,
                                unsigned *ret_others)
{
    char path[64], target[128];
    struct dirent *entry;
    DIR *dir;

    *ret_sockets = *ret_pipes = *ret_others = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    dir = opendir(path);
    if (!dir) { /* a confined process hides from all but root */
        skip();
        return;
    }
    while ((entry = readdir(dir))) {
        ssize_t n;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (!strncmp(target, "socket:", 7))
            ++*ret_sockets;
        else if (!strncmp(target, "pipe:", 5))
            ++*ret_pipes;
        else if (strcmp(target, "anon_inode:[eventfd]") != 0) /* a number that both may count */
            ++*ret_others;
    }
    closedir(dir);
}

static void assert_holds(pid_t pid, unsigned sockets, unsigned most_pipes)
{
    unsigned has_sockets, has_pipes, others;

    assert_true(pid > 0);
    look_at_descriptors(pid, &has_sockets, &has_pipes, &others);
    assert_int_equal(has_sockets, sockets);
    assert_true(has_pipes >= 1 && has_pipes <= most_pipes);
    assert_int_equal(others, 0); /* the fake host's memory stands for privcmd */
}

/* In the middle of a receive: who reads what comes from outside holds nothing else. */
static void test_descriptors_in_the_middle(void **state)
{
    struct tls_fixture *f = *state;
    struct journey j;
    pid_t relay;

    begin_and_hang(f, &j, "dest-accept:hang");
    assert_holds(tls_find_process(f->listener, PARSER), 0, 2);
    relay = tls_find_process(f->listener, RELAY);
    assert_holds(relay, 1, 2);
    assert_int_equal(tls_status_field(relay, "NoNewPrivs"), 1);
    if (geteuid() == 0)
        assert_int_equal(tls_status_field(relay, "Uid"), 65534);
    relay = tls_find_process(j.pid, RELAY);
    assert_holds(relay, 1, 2);
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
