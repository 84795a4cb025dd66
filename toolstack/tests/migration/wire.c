/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SILENCE_MS 100

void wire_plan_print(const struct wire_plan *plan, char text[64])
{
    snprintf(text, 64, "%d:%d:%" PRIu64, (int)plan->end, plan->back, plan->bytes);
}

struct wire_plan wire_plan_read(const char *text)
{
    struct wire_plan plan = {0};
    int end = 0;

    if (sscanf(text, "%d:%d:%" SCNu64, &end, &plan.back, &plan.bytes) == 3)
        plan.end = (enum wire_end)end;
    return plan;
}

/* Carries what there is, at most `room` bytes. -1: the end of the input, or nobody takes it. */
static int64_t carry(int from, int to, uint64_t room)
{
    char buffer[4096];
    ssize_t got = read(from, buffer, room < sizeof(buffer) ? room : sizeof(buffer));

    if (got <= 0)
        return -1;
    for (ssize_t done = 0; done < got;) {
        ssize_t wrote = write(to, buffer + done, (size_t)(got - done));
        if (wrote < 0)
            return -1;
        done += wrote;
    }
    return got;
}

/* Holds all ends open and carries nothing, until the near side is gone. */
static void be_silent(void)
{
    struct pollfd near = {.fd = 1};

    while (!(near.revents & (POLLERR | POLLHUP)))
        poll(&near, 1, SILENCE_MS);
}

static int run_behind(char *const *argv, int *ret_in, int *ret_out)
{
    int to[2], from[2];

    if (pipe(to) || pipe(from))
        return -1;
    if (fork() == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int i = 0; i < 2; i++) {
            close(to[i]);
            close(from[i]);
        }
        execv(argv[0], argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    *ret_in = to[1];
    *ret_out = from[0];
    return 0;
}

/* Both ways, each with its count. Returns when the plan says so or nothing can come any more. */
static void carry_all(const struct wire_plan *plan, const int from[2], int to[2], uint64_t bytes[2])
{
    while (to[0] >= 0 || to[1] >= 0) {
        struct pollfd fds[2] = {{.fd = to[0] < 0 ? -1 : from[0], .events = POLLIN},
                                {.fd = to[1] < 0 ? -1 : from[1], .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            continue;
        for (int way = 0; way < 2; way++) {
            uint64_t room = UINT64_MAX;
            if (!fds[way].revents)
                continue;
            if (plan->end != WIRE_WHOLE && plan->back == way)
                room = plan->bytes - bytes[way];
            int64_t n = room ? carry(from[way], to[way], room) : -1;
            if (n > 0)
                bytes[way] += (uint64_t)n;
            if (room != UINT64_MAX && bytes[way] == plan->bytes)
                return;
            if (n < 0) {
                close(to[way]);
                to[way] = -1;
            }
        }
    }
}

int wire_run(const struct wire_plan *plan, char *const *argv, uint64_t ret_bytes[2])
{
    int in, out;

    signal(SIGPIPE, SIG_IGN);
    ret_bytes[0] = ret_bytes[1] = 0;
    if (run_behind(argv, &in, &out))
        return 1;
    int from[2] = {0, out}, to[2] = {in, 1};
    if (!(plan->end != WIRE_WHOLE && plan->bytes == 0))
        carry_all(plan, from, to, ret_bytes);
    if (plan->end == WIRE_SILENT && plan->on_silence)
        plan->on_silence();
    if (plan->end == WIRE_SILENT)
        be_silent();
    for (int i = 0; i < 2; i++) {
        close(from[i]);
        close(to[i]);
    }
    while (plan->end == WIRE_WHOLE && wait(NULL) > 0) {
    }
    return 0;
}
