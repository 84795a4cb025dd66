/* SPDX-License-Identifier: MIT */
#include "migrate_control.h"

#include "migrate_limits.h"
#include "migrate_status.h"
#include "precopy/precopy_policy.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S  2   /* with who connects and says nothing */
#define FRESH_MS    300 /* wait so long for a status that is up to date */
#define ALL_LIMITS  (~0u)
#define NS_PER_MS   1000000L
#define NS_PER_S    1000000000L
#define TURN_OPEN   0
#define TURN_CANCEL 1
#define TURN_GO     2

/* --- answers --------------------------------------------------------------------------------- */

static void add_error(struct json_object *answer, const struct gw_error *error)
{
    json_object_object_add(answer, "exit", json_object_new_int(error->code));
    json_object_object_add(answer, "error",
                           error->code ? json_object_new_string(error->message) : NULL);
}

static void add_limits(struct json_object *answer, const struct gw_migrate_limits *asked)
{
    const struct gw_migrate_limits filled = precopy_limits_fill(*asked);
    struct json_object *limits = json_object_new_object();

    migrate_limits_put(limits, &filled, ALL_LIMITS);
    json_object_object_add(answer, "limits", limits);
}

/* What has changed since the status was published. */
static void bring_up_to_date(struct json_object *status, const struct gw_migrate_limits *asked)
{
    struct json_object *limits = json_object_object_get(status, "limits");
    struct json_object *began = json_object_object_get(status, "began_unix_ms");
    const struct gw_migrate_limits filled = precopy_limits_fill(*asked);
    struct timespec now;
    int64_t ms;

    clock_gettime(CLOCK_REALTIME, &now);
    ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS - json_object_get_int64(began);
    if (ms > 0)
        json_object_object_add(status, "total_ms", json_object_new_int64(ms));
    if (limits)
        migrate_limits_put(limits, &filled, ALL_LIMITS);
}

static void answer_status(struct migrate_control *c, struct json_object *answer)
{
    struct timespec until;
    unsigned before;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += FRESH_MS * NS_PER_MS;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    pthread_mutex_lock(&c->lock);
    before = c->statuses;
    atomic_store_explicit(&c->asked, true, memory_order_relaxed);
    while (c->statuses == before && pthread_cond_timedwait(&c->published, &c->lock, &until) == 0)
        ;
    if (c->status) {
        bring_up_to_date(c->status, &c->limits);
        json_object_object_add(answer, "status", json_object_get(c->status));
    }
    pthread_mutex_unlock(&c->lock);
}

static void answer_set(struct migrate_control *c, struct json_object *request,
                       struct json_object *answer, struct gw_error *error)
{
    struct json_object *wanted = json_object_object_get(request, "limits");
    unsigned which = 0;

    pthread_mutex_lock(&c->lock);
    if (c->stopped)
        gw_error_set(error, GW_EXIT_STATE,
                     "%s has been stopped for the last round, and no limit counts any more: wait, "
                     "or see godwit migrate-cancel",
                     c->name);
    else if (migrate_limits_take(wanted, &c->limits, &which, error) == 0)
        c->changed = true;
    if (which & GW_LIMIT_BANDWIDTH)
        rate_limit_set(c->bandwidth, c->limits.bandwidth_bytes_per_s);
    add_limits(answer, &c->limits);
    pthread_mutex_unlock(&c->lock);
}

static void answer_cancel(struct migrate_control *c, struct gw_error *error)
{
    int turn = TURN_OPEN;

    /* Relaxed: one variable decides, and nothing else is handed over by it. */
    if (atomic_compare_exchange_strong_explicit(&c->turn, &turn, TURN_CANCEL, memory_order_relaxed,
                                                memory_order_relaxed) ||
        turn == TURN_CANCEL)
        /* Which has a handler, handover_guard.c's: it ends waiting, not the thread. */
        pthread_kill(c->owner, SIGTERM); /* NOLINT(bugprone-bad-signal-to-kill-thread) */
    else
        gw_error_set(
            error, GW_EXIT_STATE,
            "%s has been handed over: it cannot be taken back; see godwit migrate-status %s",
            c->name, c->name);
}

static struct json_object *answer(struct migrate_control *c, const char *text)
{
    struct json_object *answer = json_object_new_object(), *request = json_tokener_parse(text);
    struct json_object *what = json_object_object_get(request, "do");
    const char *verb = what ? json_object_get_string(what) : "";
    struct gw_error error = {0};

    if (!strcmp(verb, "status"))
        answer_status(c, answer);
    else if (!strcmp(verb, "set"))
        answer_set(c, request, answer, &error);
    else if (!strcmp(verb, "cancel"))
        answer_cancel(c, &error);
    else
        gw_error_set(&error, GW_EXIT_USAGE, "this is not a request");
    add_error(answer, &error);
    json_object_put(request);
    return answer;
}

/* --- the socket ------------------------------------------------------------------------------ */

static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Up to the end of what the other side sends. Returns false if that is too long or too slow. */
static bool read_request(int fd, char text[MIGRATE_REQUEST_BYTES_MAX + 1])
{
    size_t n = 0;
    ssize_t got;

    while (n <= MIGRATE_REQUEST_BYTES_MAX &&
           (got = recv(fd, text + n, MIGRATE_REQUEST_BYTES_MAX + 1 - n, 0)) != 0) {
        if (got < 0)
            return false;
        n += (size_t)got;
    }
    if (n > MIGRATE_REQUEST_BYTES_MAX)
        return false;
    text[n] = '\0';
    return true;
}

static void write_answer(int fd, const char *text)
{
    size_t left = strlen(text);
    ssize_t done;

    for (; left > 0 && (done = send(fd, text, left, MSG_NOSIGNAL)) > 0; text += done)
        left -= (size_t)done;
}

/* As text of the caller's, or NULL: who migrates must not wait for who reads slowly. */
static char *print(struct migrate_control *c, struct json_object *answer)
{
    const char *text;
    char *copy;

    pthread_mutex_lock(&c->lock); /* the status in it is shared */
    text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
    copy = text ? strdup(text) : NULL;
    json_object_put(answer);
    pthread_mutex_unlock(&c->lock);
    return copy;
}

static void serve(struct migrate_control *c, int fd)
{
    const struct timeval limit = {.tv_sec = PATIENCE_S};
    char text[MIGRATE_REQUEST_BYTES_MAX + 1];

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (!may_ask(fd) || !read_request(fd, text))
        return;
    char *reply = print(c, answer(c, text));
    if (reply)
        write_answer(fd, reply);
    free(reply);
}

static void *listen_to_people(void *arg)
{
    struct migrate_control *c = arg;
    struct pollfd fds[2] = {{.fd = c->listen_fd, .events = POLLIN},
                            {.fd = c->wake_fd[0], .events = POLLIN}};

    sem_post(&c->begun);
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve(c, fd);
        close(fd);
    }
}

/*
 * Signals are for the thread that migrates: it is the one that waits. It goes on to fork, while
 * this thread may be answering somebody. That is safe with glibc: its fork() takes the locks of
 * malloc, of stdio and of name lookup first and frees them in the child; no child takes c->lock, a
 * child that carries a connection uses nothing else that this thread does, all others exec. What a
 * thread does while it starts, and the allocators of sanitizers, have no such guard: so it is in
 * its loop first.
 */
static int start_thread(struct migrate_control *c)
{
    sigset_t all, before;
    int rc;

    sem_init(&c->begun, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&c->thread, NULL, listen_to_people, c);
    while (rc == 0 && sem_wait(&c->begun) < 0) /* interrupted */
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sem_destroy(&c->begun);
    return rc;
}

static int start_listening(struct migrate_control *c, struct gw_error *err)
{
    int rc;

    migrate_status_remove_socket(c->name); /* of somebody who was killed */
    c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->listen_fd < 0 || pipe2(c->wake_fd, O_CLOEXEC) < 0 ||
        migrate_status_at_socket(c->listen_fd, c->name, bind) < 0 || listen(c->listen_fd, 8) < 0)
        return gw_error_errno(err, errno, "cannot listen for godwit migrate-status");
    rc = start_thread(c);
    return rc ? gw_error_errno(err, rc, "cannot start a thread") : 0;
}

static void close_all(struct migrate_control *c)
{
    int *fds[] = {&c->listen_fd, &c->wake_fd[0], &c->wake_fd[1], &c->lock_fd};

    migrate_status_remove_socket(c->name);
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

int migrate_control_open(struct migrate_control *c, const char *name,
                         const struct gw_migrate_limits *limits, struct rate_limit *bandwidth,
                         struct gw_error *err)
{
    memset(c, 0, sizeof(*c));
    c->name = name;
    c->limits = *limits;
    c->bandwidth = bandwidth;
    c->owner = pthread_self();
    c->listen_fd = c->wake_fd[0] = c->wake_fd[1] = -1;
    c->lock_fd = migrate_status_lock(name, err);
    if (c->lock_fd < 0)
        return -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->published, NULL);
    if (start_listening(c, err)) {
        close_all(c);
        return -1;
    }
    c->open = true;
    return 0;
}

/* --- the migration's side -------------------------------------------------------------------- */

bool migrate_control_take_limits(struct migrate_control *c, struct gw_migrate_limits *ret_limits)
{
    bool changed;

    pthread_mutex_lock(&c->lock);
    *ret_limits = precopy_limits_fill(c->limits);
    changed = c->changed;
    c->changed = false;
    pthread_mutex_unlock(&c->lock);
    return changed;
}

bool migrate_control_is_asked(struct migrate_control *c)
{
    return atomic_load_explicit(&c->asked, memory_order_relaxed);
}

void migrate_control_publish(struct migrate_control *c, struct json_object *status)
{
    pthread_mutex_lock(&c->lock);
    json_object_put(c->status);
    c->status = status;
    c->statuses++;
    atomic_store_explicit(&c->asked, false, memory_order_relaxed);
    pthread_cond_broadcast(&c->published);
    pthread_mutex_unlock(&c->lock);
}

void migrate_control_note_stop(struct migrate_control *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopped = true;
    pthread_mutex_unlock(&c->lock);
}

bool migrate_control_commit(struct migrate_control *c)
{
    int turn = TURN_OPEN;

    /* Relaxed: as in answer_cancel(). */
    return atomic_compare_exchange_strong_explicit(&c->turn, &turn, TURN_GO, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void migrate_control_close(struct migrate_control *c)
{
    if (!c->open)
        return;
    c->open = false;
    close(c->wake_fd[1]);
    c->wake_fd[1] = -1;
    pthread_join(c->thread, NULL);
    close_all(c);
    json_object_put(c->status);
    c->status = NULL;
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->published);
}
