/* SPDX-License-Identifier: MIT */
/* The other shell's side of a migration: what migrate_control.c answers, and what is left in the
 * file when nobody answers any more. */
#include "migrate_control.h"
#include "migrate_limits.h"
#include "migrate_status.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_S    5
#define STEP_MS     20
#define CHANGE_MS   2000  /* between the lock and the socket, and between the end and the file */
#define CANCEL_MS   60000 /* for the guest to be put right and the destination to let go */
#define ANSWER_STEP 65536u

static void sleep_step(void)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

    nanosleep(&step, NULL);
}

/* The process's answer; NULL and errno if it did not come. */
static struct json_object *receive_answer(int fd)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *answer = NULL;
    char part[ANSWER_STEP];
    ssize_t got;

    errno = 0;
    while (tokener && !answer && (got = recv(fd, part, sizeof(part), 0)) > 0) {
        answer = json_tokener_parse_ex(tokener, part, (int)got);
        if (!answer && json_tokener_get_error(tokener) != json_tokener_continue)
            break;
    }
    if (tokener)
        json_tokener_free(tokener);
    return answer;
}

static int send_request(int fd, struct json_object *request)
{
    const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
    size_t length = text ? strlen(text) : 0;

    return length && send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length &&
                   shutdown(fd, SHUT_WR) == 0
               ? 0
               : -1;
}

/* 1: it answered. 0: nobody listens. -1: it does not answer. */
static int ask_once(const char *name, struct json_object *request, struct json_object **ret_answer,
                    struct gw_error *err)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

    if (fd < 0)
        return gw_error_errno(err, errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (migrate_status_at_socket(fd, name, connect) < 0) {
        if (errno == EACCES || errno == EPERM || errno == EAGAIN)
            rc = gw_error_errno(err, errno, "cannot ask the process that migrates %s", name);
    } else if (send_request(fd, request) == 0 && (*ret_answer = receive_answer(fd))) {
        rc = 1;
    } else if (errno == EAGAIN && migrate_status_is_locked(name)) {
        rc = gw_error_set(err, GW_EXIT_TIMEOUT,
                          "the process that migrates %s did not answer for %u s: look whether it "
                          "was stopped",
                          name, ANSWER_S);
    }
    close(fd);
    return rc;
}

/* As ask_once(). Between the lock and the socket, and the other way at the end, is a moment. */
static int ask(const char *name, struct json_object *request, struct json_object **ret_answer,
               struct gw_error *err)
{
    int rc = ask_once(name, request, ret_answer, err);

    for (unsigned waited_ms = 0; rc == 0 && waited_ms < CHANGE_MS && migrate_status_is_locked(name);
         waited_ms += STEP_MS) {
        sleep_step();
        rc = ask_once(name, request, ret_answer, err);
    }
    return rc;
}

static struct json_object *request_for(const char *verb)
{
    struct json_object *request = json_object_new_object();

    json_object_object_add(request, "do", json_object_new_string(verb));
    return request;
}

/* The answer's error becomes ours. */
static int check_answer(struct json_object *answer, struct gw_error *err)
{
    int code = json_object_get_int(json_object_object_get(answer, "exit"));
    const char *text = json_object_get_string(json_object_object_get(answer, "error"));

    return code ? gw_error_set(err, (enum gw_exit)code, "%s",
                               text ? text : "it did not say why: see godwit migrate-status")
                : 0;
}

/* What the file says. One whose process is gone without a word was killed. */
static int read_file(const char *name, struct json_object **ret_status, struct gw_error *err)
{
    struct gw_error killed = {0};
    const char *runs_at;

    if (migrate_status_read(name, ret_status, err))
        return -1;
    runs_at = json_object_get_string(json_object_object_get(*ret_status, "runs_at"));
    if (runs_at && !strcmp(runs_at, "unknown"))
        gw_error_set(&killed, GW_EXIT_MIGRATE_UNKNOWN,
                     "the processes that migrated it were killed, perhaps after the guest was "
                     "handed over: see godwit resolve %s",
                     name);
    else
        gw_error_set(&killed, GW_EXIT_MIGRATE_FAILED,
                     "the processes that migrated it were killed: look with godwit list whether "
                     "it is paused");
    migrate_status_bury(*ret_status, &killed);
    return 0;
}

static int print(struct json_object *object, char **ret_json, struct gw_error *err)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);

    *ret_json = text ? strdup(text) : NULL;
    return *ret_json ? 0 : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
}

int gw_migrate_status(const char *name, char **ret_json, struct gw_error *err)
{
    struct json_object *request = request_for("status"), *answer = NULL, *status = NULL;
    int rc = ask(name, request, &answer, err);

    if (rc > 0) {
        status = json_object_get(json_object_object_get(answer, "status"));
        rc = status ? 0
                    : gw_error_set(err, GW_EXIT_STATE,
                                   "the migration of %s has just begun: ask again", name);
    } else if (rc == 0) {
        rc = read_file(name, &status, err);
    }
    if (rc == 0)
        rc = print(status, ret_json, err);
    json_object_put(status);
    json_object_put(answer);
    json_object_put(request);
    return rc;
}

static int not_running(const char *name, struct gw_error *err)
{
    return gw_error_set(
        err, GW_EXIT_STATE,
        "%s is not being migrated: see godwit list, and godwit migrate-status for the last time",
        name);
}

int gw_migrate_set(const char *name, const struct gw_migrate_limits *limits, unsigned which,
                   char **ret_json, struct gw_error *err)
{
    struct json_object *request = request_for("set"), *answer = NULL;
    struct json_object *wanted = json_object_new_object();
    int rc;

    migrate_limits_put(wanted, limits, which);
    json_object_object_add(request, "limits", wanted);
    rc = ask(name, request, &answer, err);
    if (rc == 0)
        rc = not_running(name, err);
    else if (rc > 0)
        rc = check_answer(answer, err);
    if (rc == 0)
        rc = print(json_object_object_get(answer, "limits"), ret_json, err);
    json_object_put(answer);
    json_object_put(request);
    return rc;
}

/* What became of a migration that was told to end. */
static int tell_outcome(const char *name, struct gw_error *err)
{
    struct json_object *status;
    const char *result, *error;
    int rc = 0;

    if (read_file(name, &status, err))
        return -1;
    result = json_object_get_string(json_object_object_get(status, "result"));
    error = json_object_get_string(json_object_object_get(status, "error"));
    if (result && strcmp(result, "cancelled") != 0)
        rc = gw_error_set(err, GW_EXIT_FAILED, "it ended otherwise: %s", error ? error : result);
    json_object_put(status);
    return rc;
}

int gw_migrate_cancel(const char *name, struct gw_error *err)
{
    struct json_object *request = request_for("cancel"), *answer = NULL;
    unsigned waited_ms = 0;
    int rc = ask(name, request, &answer, err);

    if (rc == 0)
        rc = not_running(name, err);
    else if (rc > 0)
        rc = check_answer(answer, err);
    for (; rc == 0 && migrate_status_is_locked(name) && waited_ms < CANCEL_MS; waited_ms += STEP_MS)
        sleep_step();
    if (rc == 0 && waited_ms >= CANCEL_MS)
        rc = gw_error_set(err, GW_EXIT_TIMEOUT,
                          "%s is cancelled, but it has not ended yet: see godwit migrate-status %s",
                          name, name);
    if (rc == 0)
        rc = tell_outcome(name, err);
    json_object_put(answer);
    json_object_put(request);
    return rc;
}
