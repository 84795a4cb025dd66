/* SPDX-License-Identifier: MIT */
#include "migrate_overdue.h"

#include "handover/handover_guard.h"
#include <signal.h>
#include <sys/time.h>

#define OTHER_WORK_MS 1000u

static volatile sig_atomic_t ran_out;

unsigned migrate_overdue_limit(const struct gw_migrate_limits *limits)
{
    if (limits->on_timeout == GW_ON_TIMEOUT_STOP ||
        limits->max_downtime_ms > (GW_LIMIT_MS_MAX - OTHER_WORK_MS) / 2)
        return 0;
    return 2 * limits->max_downtime_ms + OTHER_WORK_MS;
}

static void on_alarm(int signal_number)
{
    ran_out = 1;
    handover_cancelled = signal_number;
}

static void set_timer(unsigned ms)
{
    const struct itimerval timer = {
        .it_value = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

void migrate_overdue_begin(unsigned ms)
{
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART: waits are interrupted */

    ran_out = 0;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    set_timer(ms);
}

bool migrate_overdue_end(void)
{
    set_timer(0);
    return ran_out != 0;
}
