/* SPDX-License-Identifier: MIT */
/* `console` on a real terminal: raw mode, ^] and what is left behind. The far end is this test. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../cli/terminal.h"
#include "support.h"

struct session {
    pid_t pid;
    int terminal; /* the user's side */
    int guest;    /* the daemon's side of the socket */
};

static struct session start(unsigned timeout_ms)
{
    struct session s;
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    s.pid = forkpty(&s.terminal, NULL, NULL, NULL);
    if (s.pid == 0) {
        struct gw_error err = {0};
        struct termios before, after;
        int rc;

        close(sockets[0]);
        tcgetattr(0, &before);
        rc = terminal_run(sockets[1], timeout_ms, &err);
        tcgetattr(0, &after);
        _exit(rc != 0 ? 1 : before.c_lflag != after.c_lflag ? 2 : 0);
    }
    close(sockets[1]);
    s.guest = sockets[0];
    return s;
}

/* Reads until text has come; the test's timeout is the limit. */
static void expect_bytes(int fd, const char *text)
{
    char got[4096];
    size_t n = 0;

    got[0] = '\0';
    while (!strstr(got, text)) {
        ssize_t more = read(fd, got + n, sizeof(got) - n - 1);

        if (more <= 0)
            fail_msg("\"%s\" did not come, but \"%s\"", text, got);
        n += (size_t)more;
        got[n] = '\0';
    }
}

static int finish(struct session *s)
{
    int status;

    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    close(s->terminal);
    close(s->guest);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_bytes_both_ways(void **state)
{
    struct session s = start(0);

    (void)state;
    expect_bytes(s.terminal, "^] detaches");
    assert_int_equal(write(s.terminal, "ls\r\x03\x04", 5), 5); /* ^C and ^D are the guest's */
    expect_bytes(s.guest, "ls\r\x03\x04");
    assert_int_equal(write(s.guest, "hello\r\n", 7), 7);
    expect_bytes(s.terminal, "hello\r\n");
    assert_int_equal(write(s.terminal, "bye\x1dnot sent", 12), 12);
    expect_bytes(s.guest, "bye");
    assert_int_equal(finish(&s), 0);
}

static void test_guest_ends(void **state)
{
    struct session s = start(0);

    (void)state;
    expect_bytes(s.terminal, "detaches");
    assert_int_equal(write(s.guest, "last words", 10), 10);
    shutdown(s.guest, SHUT_RDWR);
    expect_bytes(s.terminal, "last words");
    assert_int_equal(finish(&s), 0);
}

/* A signal that ends it leaves no raw terminal behind. */
static void test_terminated(void **state)
{
    struct session s = start(0);

    (void)state;
    expect_bytes(s.terminal, "detaches");
    assert_int_equal(kill(s.pid, SIGTERM), 0);
    assert_int_equal(finish(&s), 0);
}

static void test_timeout(void **state)
{
    struct session s = start(50);

    (void)state;
    assert_int_equal(finish(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_both_ways),
        cmocka_unit_test(test_guest_ends),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_timeout),
    };

    return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
