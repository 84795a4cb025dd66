/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "terminal.h"

#define DETACH_KEY 0x1d /* ^] */

static volatile sig_atomic_t ended_by_signal;

static void on_signal(int signal)
{
    ended_by_signal = signal;
}

/* Signals that would leave the terminal raw end the loop instead. */
static void catch_signals(void)
{
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};

    ended_by_signal = 0;
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

static int write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);

        if (done < 0 && errno == EINTR && !ended_by_signal)
            continue;
        if (done < 0)
            return -1;
        data += done;
        n -= (size_t)done;
    }
    return 0;
}

static unsigned long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000;
}

/* stdin to the guest. Returns 1 to go on, 0 detach, and sets *open to false at the end of input. */
static int forward_input(int fd, bool is_tty, bool *open)
{
    char data[256];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    char *detach = n > 0 && is_tty ? memchr(data, DETACH_KEY, (size_t)n) : NULL;

    if (n <= 0) {
        *open = n < 0 && errno == EINTR;
        return 1;
    }
    if (detach)
        n = detach - data;
    if (write_all(fd, data, (size_t)n) < 0)
        return 0;
    return detach ? 0 : 1;
}

/* The guest to stdout. Returns 1 to go on, 0 its console ended, -1 stdout is gone. */
static int forward_output(int fd)
{
    char data[4096];
    ssize_t n = read(fd, data, sizeof(data));

    if (n < 0 && errno == EINTR)
        return 1;
    if (n <= 0)
        return 0;
    return write_all(STDOUT_FILENO, data, (size_t)n) < 0 ? -1 : 1;
}

static int join(int fd, bool is_tty, unsigned timeout_ms)
{
    unsigned long end = now_ms() + timeout_ms;
    bool input_open = true;
    int rc = 1;

    while (rc > 0 && !ended_by_signal) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = input_open ? STDIN_FILENO : -1, .events = POLLIN}};
        unsigned long now = now_ms();
        int wait = -1;

        if (timeout_ms && now >= end)
            return 0;
        if (timeout_ms)
            wait = (int)(end - now);
        if (poll(fds, 2, wait) < 0)
            continue; /* EINTR: the loop's condition decides */
        if (fds[0].revents)
            rc = forward_output(fd);
        if (rc > 0 && fds[1].revents)
            rc = forward_input(fd, is_tty, &input_open);
    }
    return rc;
}

int terminal_run(int fd, unsigned timeout_ms, struct gw_error *err)
{
    struct termios saved, raw;
    bool is_tty = tcgetattr(STDIN_FILENO, &saved) == 0;
    int rc;

    fflush(stdout);
    catch_signals();
    if (is_tty) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        fprintf(stderr, "[attached; ^] detaches]\r\n");
    }
    rc = join(fd, is_tty, timeout_ms);
    if (is_tty) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
        fprintf(stderr, "\n[detached]\n");
    }
    return rc < 0 ? gw_error_set(err, GW_EXIT_FAILED, "cannot write the guest's output") : 0;
}
