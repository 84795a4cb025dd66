/* SPDX-License-Identifier: MIT */
/* A migration as seen from another shell: asked, changed, cancelled; what is known afterwards. */
#include "fake_move.h"
#include "migrate/migrate_control.h"

#include <json-c/json.h>
#include <libgodwit/registry.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct fake_move *move;
    struct json_object *status; /* as asked for last */
};

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof(*f));
    char path[256];

    if (!f || !(f->move = fake_move_begin(0)))
        return -1;
    snprintf(path, sizeof(path), "%s/migrations/web.json", gw_registry_dir());
    unlink(path); /* of the test before */
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fake_move_end(f->move);
    json_object_put(f->status);
    free(f);
    return 0;
}

static pid_t start(struct fixture *f)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(gw_migrate(&f->move->options, &f->move->err));
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int ask(struct fixture *f)
{
    char *text = NULL;

    memset(&f->move->err, 0, sizeof(f->move->err));
    if (gw_migrate_status("web", &text, &f->move->err))
        return -1;
    json_object_put(f->status);
    f->status = json_tokener_parse(text);
    assert_non_null(f->status);
    free(text);
    return 0;
}

static const char *text_of(struct json_object *object, const char *key)
{
    struct json_object *value = json_object_object_get(object, key);

    return value ? json_object_get_string(value) : "(null)";
}

static int64_t number_of(struct json_object *object, const char *key)
{
    return json_object_get_int64(json_object_object_get(object, key));
}

static void assert_says(struct fixture *f, const char *key, const char *value)
{
    if (strcmp(text_of(f->status, key), value) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", key, text_of(f->status, key), value);
}

/* Until it is in this phase. */
static void await_phase(struct fixture *f, const char *phase)
{
    for (int i = 0; i < 1000; i++) {
        if (ask(f) == 0 && !strcmp(text_of(f->status, "phase"), phase) &&
            !strcmp(text_of(f->status, "result"), "active"))
            return;
        usleep(10000);
    }
    fail_msg("it never came to %s: %s, %s", phase, text_of(f->status, "phase"),
             f->move->err.message);
}

/* A migration that stays in its first round, or in its rounds, until somebody does something. */
static pid_t start_at_speed(struct fixture *f, unsigned bytes_per_s)
{
    f->move->options.limits.bandwidth_bytes_per_s = bytes_per_s;
    pid_t pid = start(f);

    await_phase(f, "rounds");
    return pid;
}

static pid_t start_slowly(struct fixture *f)
{
    return start_at_speed(f, 100000);
}

static void assert_still_at_source(struct fixture *f)
{
    assert_true(f->move->guest->used);
    assert_int_equal(f->move->guest->pauses, 0);
    assert_false(f->move->guest->logging);
    assert_false(f->move->world->ran_twice);
    assert_true(fake_move_left_nothing(f->move));
}

static void test_status_before_and_after(void **state)
{
    struct fixture *f = *state;

    f->move->options.name = "other";
    fake_guest_add(&f->move->world->hosts[0], "other");
    char *unused;
    assert_int_equal(gw_migrate_status("never", &unused, &f->move->err), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);
    assert_int_equal(gw_migrate_status("../web", &unused, &f->move->err), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_NO_GUEST);
    assert_int_equal(gw_migrate_cancel("never", &f->move->err), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);

    f->move->options.name = "web";
    assert_int_equal(wait_for(start(f)), 0);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "moved");
    assert_says(f, "phase", "done");
    assert_says(f, "runs_at", "destination");
    assert_says(f, "destination", "south");
    assert_true(json_object_array_length(json_object_object_get(f->status, "rounds")) >= 2);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), -1);
    assert_non_null(strstr(f->move->err.message, "web is not being migrated: see "));
}

/* A failure replaces what was known of an earlier success. */
static void test_status_is_of_the_last(void **state)
{
    struct fixture *f = *state;

    setenv("GODWIT_FAIL_AT", "source-final:error", 1);
    assert_int_equal(wait_for(start(f)), GW_EXIT_MIGRATE_FAILED);
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "failed");
    assert_says(f, "runs_at", "source");
    assert_int_equal(number_of(f->status, "exit"), GW_EXIT_MIGRATE_FAILED);
    assert_non_null(strstr(text_of(f->status, "error"), "source-final"));
    assert_int_equal(wait_for(start(f)), 0);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "moved");
}

static void test_status_while_it_runs(void **state)
{
    struct fixture *f = *state;
    pid_t pid = start_at_speed(f, 60000); /* a record needs 4 s, a round 25 */
    int64_t before = number_of(f->status, "bytes");

    assert_says(f, "result", "active");
    assert_says(f, "runs_at", "source");
    assert_int_equal(number_of(f->status, "memory_pages"), FAKE_PAGES);
    for (int i = 0; i < 30 && number_of(f->status, "bytes") == before; i++) {
        usleep(200000);
        assert_int_equal(ask(f), 0);
    }
    assert_true(number_of(f->status, "bytes") > before);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
}

static int set(struct fixture *f, const struct gw_migrate_limits *limits, unsigned which,
               struct json_object **ret)
{
    char *text = NULL;

    memset(&f->move->err, 0, sizeof(f->move->err));
    int rc = gw_migrate_set("web", limits, which, &text, &f->move->err);
    if (rc == 0)
        *ret = json_tokener_parse(text);
    free(text);
    return rc;
}

/* It would take minutes; then as fast as it goes. */
static void test_set_bandwidth(void **state)
{
    const struct gw_migrate_limits faster = {.max_downtime_ms = 5000};
    struct fixture *f = *state;
    struct json_object *force = NULL;
    pid_t pid = start_at_speed(f, 5000);

    assert_int_equal(set(f, &faster, GW_LIMIT_BANDWIDTH | GW_LIMIT_MAX_DOWNTIME, &force), 0);
    assert_int_equal(number_of(force, "bandwidth_bytes_per_s"), 0);
    assert_int_equal(number_of(force, "max_downtime_ms"), 5000);
    assert_int_equal(number_of(force, "max_rounds"), 30); /* untouched */
    json_object_put(force);
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "moved");
    assert_int_equal(number_of(json_object_object_get(f->status, "limits"), "max_downtime_ms"),
                     5000);
    assert_non_null(strstr(text_of(f->status, "events"), "limits were changed"));
}

static void await_rounds(struct fixture *f, size_t n)
{
    for (int i = 0; i < 1000; i++) {
        if (ask(f) == 0 &&
            json_object_array_length(json_object_object_get(f->status, "rounds")) >= n)
            return;
        usleep(10000);
    }
    fail_msg("there are no %zu rounds", n);
}

/* A guest that never converges waits for its timeout: a shorter one counts at once. */
static void test_set_timeout(void **state)
{
    const struct gw_migrate_limits sooner = {.timeout_ms = 1};
    struct fixture *f = *state;
    struct json_object *force = NULL;

    f->move->world->busy = 400;
    f->move->options.limits = (struct gw_migrate_limits){
        .max_downtime_ms = 1, .timeout_ms = 600000, .throttle = GW_THROTTLE_OFF};
    pid_t pid = start(f);
    await_rounds(f, 4);
    assert_int_equal(set(f, &sooner, GW_LIMIT_TIMEOUT, &force), 0);
    assert_int_equal(number_of(force, "max_rounds"), GW_ROUNDS_MAX); /* as a timeout means */
    json_object_put(force);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_DIVERGED);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "diverged");
    f->move->world->busy = 0;
    assert_still_at_source(f);
}

/* Five rounds in an hour: between two of them nobody waits for the next one to be heard. */
static void test_set_ending(void **state)
{
    const struct gw_migrate_limits now = {.max_rounds = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    struct fixture *f = *state;
    struct json_object *force = NULL;

    f->move->world->busy = 400;
    f->move->options.limits = (struct gw_migrate_limits){
        .max_downtime_ms = 1, .timeout_ms = 3600000, .max_rounds = 5, .throttle = GW_THROTTLE_OFF};
    pid_t pid = start(f);
    await_rounds(f, 2);
    assert_int_equal(set(f, &now, GW_LIMIT_MAX_ROUNDS | GW_LIMIT_ON_TIMEOUT, &force), 0);
    json_object_put(force);
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "moved");
    assert_says(f, "stopped_because", "last round");
}

static void set_throttle(struct fixture *f, enum gw_throttle throttle, bool wanted)
{
    const struct gw_migrate_limits limits = {.throttle = throttle};
    const struct fake_vcpu *writer = &f->move->guest->vcpus[0];
    struct json_object *force = NULL;

    assert_int_equal(set(f, &limits, GW_LIMIT_THROTTLE, &force), 0);
    json_object_put(force);
    for (int i = 0; i < 2000 && (writer->percent != 0) != wanted; i++)
        usleep(10000);
    assert_int_equal(writer->percent != 0, wanted);
}

/* On and off again, in a migration that began without one. */
static void test_set_throttle(void **state)
{
    struct fixture *f = *state;

    f->move->world->busy = 30;
    f->move->options.limits = (struct gw_migrate_limits){.max_downtime_ms = 1,
                                                         .bandwidth_bytes_per_s = 4 << 20,
                                                         .timeout_ms = 100000,
                                                         .throttle = GW_THROTTLE_OFF};
    pid_t pid = start(f);
    await_rounds(f, 2);
    assert_int_equal(f->move->guest->vcpus[0].percent, 0);
    set_throttle(f, GW_THROTTLE_AUTO, true);
    set_throttle(f, GW_THROTTLE_OFF, false);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
    f->move->world->busy = 0;
    assert_still_at_source(f);
}

/* As somebody would who does not use gw_migrate_set(). Returns the answer's exit code, -1: none. */
static int64_t say(const char *request)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char text[8192];
    ssize_t n = 0, got;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/migrations/web.socket",
             gw_registry_dir());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    shutdown(fd, SHUT_WR);
    while ((got = recv(fd, text + n, sizeof(text) - 1 - (size_t)n, 0)) > 0)
        n += got;
    close(fd);
    text[n] = '\0';
    if (n == 0)
        return -1;
    struct json_object *answer = json_tokener_parse(text);
    int64_t code = number_of(answer, "exit");
    json_object_put(answer);
    return code;
}

/* All or nothing: a request with one wrong limit changes none. */
static void test_bad_requests(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"do\": 7}",
        "{\"do\": \"dance\"}",
        "{\"do\": \"set\"}",
        "{\"do\": \"set\", \"limits\": 3}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"speed\": 1}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"max_rounds\": 0}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"max_rounds\": 1001}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"timeout_ms\": -1}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"timeout_ms\": 1e99}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"on_timeout\": \"wait\"}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 7, \"throttle\": 1}}",
        "{\"do\": \"set\", \"limits\": {\"max_downtime_ms\": 0}}",
        "{\"do\": \"set\", \"limits\": {\"bandwidth_bytes_per_s\": 9223372036854775807}}",
    };
    struct fixture *f = *state;
    pid_t pid = start_slowly(f);
    char *long_one = malloc(10000);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (say(bad[i]) != GW_EXIT_USAGE)
            fail_msg("accepted: %s", bad[i]);
    memset(long_one, ' ', 9999);
    long_one[9999] = '\0';
    assert_int_equal(say(long_one), -1);
    free(long_one);
    assert_int_equal(ask(f), 0);
    assert_int_equal(number_of(json_object_object_get(f->status, "limits"), "max_downtime_ms"),
                     300);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
}

/* Nobody but root reaches the socket, or reads what is known. */
static void test_for_root_only(void **state)
{
    struct fixture *f = *state;
    pid_t pid = start_slowly(f);
    char path[256];
    struct stat facts;

    snprintf(path, sizeof(path), "%s/migrations", gw_registry_dir());
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
    assert_int_equal(ask(f), 0);
    snprintf(path, sizeof(path), "%s/migrations/web.json", gw_registry_dir());
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    snprintf(path, sizeof(path), "%s/migrations/web.socket", gw_registry_dir());
    assert_int_equal(stat(path, &facts), -1);
    assert_says(f, "result", "cancelled");
    assert_still_at_source(f);
}

/* At each step of the source before the point of no return. */
static void test_cancel_everywhere(void **state)
{
    static const char *const steps[] = {
        "source-hello",  "source-head",   "source-accepted", "source-log",
        "source-round0", "source-round1", "source-stopped",  "source-final",
        "source-state",  "source-verify", "source-end",      "source-ready",
    };
    struct fixture *f = *state;

    f->move->options.verify = true;
    f->move->options.limits = (struct gw_migrate_limits){
        .max_rounds = 4, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    f->move->world->busy = 8;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char fail_at[64];
        snprintf(fail_at, sizeof(fail_at), "%s:hang", steps[i]);
        setenv("GODWIT_FAIL_AT", fail_at, 1);
        pid_t pid = start(f);
        int rc = -1;
        for (int n = 0; n < 500 && rc; n++) {
            rc = gw_migrate_cancel("web", &f->move->err);
            if (rc && f->move->err.code != GW_EXIT_STATE) {
                rc = f->move->err.code == GW_EXIT_FAILED ? 0 : rc; /* it hangs with an error */
                break;
            }
            usleep(10000);
        }
        if (rc)
            fail_msg("%s: %s", steps[i], f->move->err.message);
        wait_for(pid);
        assert_still_at_source(f);
    }
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(wait_for(start(f)), 0);
}

static void test_cancel_too_late(void **state)
{
    struct fixture *f = *state;

    setenv("GODWIT_FAIL_AT", "source-go:hang", 1);
    pid_t pid = start(f);
    await_phase(f, "handover");
    for (int i = 0; i < 500; i++) {
        memset(&f->move->err, 0, sizeof(f->move->err));
        if (f->move->guest->pauses > 0 &&
            say("{\"do\": \"set\", \"limits\": {\"max_rounds\": 5}}") != 0)
            break;
        usleep(10000);
    }
    usleep(200000);
    assert_int_equal(say("{\"do\": \"set\", \"limits\": {\"max_rounds\": 5}}"), GW_EXIT_STATE);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);
    assert_non_null(strstr(f->move->err.message, "has been handed over"));
    kill(pid, SIGTERM); /* ends the hanging step */
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_UNKNOWN);
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "unknown");
    assert_says(f, "runs_at", "unknown");
    assert_int_equal(number_of(f->status, "exit"), GW_EXIT_MIGRATE_UNKNOWN);
}

/* Whoever is first: who was told "cancelled" finds the guest here; after GO nobody is told so. */
static void test_cancel_or_commit(void **state)
{
    static const char cancel[] = "{\"do\": \"cancel\"}";
    const struct gw_migrate_limits limits = {0};
    struct rate_limit bandwidth = RATE_LIMIT_INIT;
    struct migrate_control control;
    struct fixture *f = *state;

    signal(SIGTERM, SIG_IGN);
    assert_int_equal(migrate_control_open(&control, "web", &limits, &bandwidth, &f->move->err), 0);
    assert_int_equal(say(cancel), 0);
    assert_int_equal(say(cancel), 0); /* twice is fine */
    assert_false(migrate_control_commit(&control));
    migrate_control_close(&control);
    assert_int_equal(migrate_control_open(&control, "web", &limits, &bandwidth, &f->move->err), 0);
    assert_true(migrate_control_commit(&control));
    assert_int_equal(say(cancel), GW_EXIT_STATE);
    migrate_control_close(&control);
    signal(SIGTERM, SIG_DFL);
}

/* The worker alone is killed: its parent says so. */
static void test_status_of_a_killed_worker(void **state)
{
    struct fixture *f = *state;

    setenv("GODWIT_FAIL_AT", "source-round1:kill", 1);
    f->move->world->busy = 8;
    f->move->options.limits = (struct gw_migrate_limits){
        .max_rounds = 4, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    assert_int_equal(wait_for(start(f)), GW_EXIT_MIGRATE_FAILED);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "failed");
    assert_says(f, "runs_at", "source");
    assert_non_null(strstr(text_of(f->status, "error"), "killed by signal 9"));
    setenv("GODWIT_FAIL_AT", "source-gone:kill", 1);
    assert_int_equal(wait_for(start(f)), GW_EXIT_MIGRATE_UNKNOWN);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "unknown");
    assert_int_equal(number_of(f->status, "exit"), GW_EXIT_MIGRATE_UNKNOWN);
}

/* All of it is killed at once: nobody is left to write, and still nobody is told "active". */
static void test_status_of_the_killed(void **state)
{
    struct fixture *f = *state;

    f->move->options.limits.bandwidth_bytes_per_s = 100000;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        _exit(gw_migrate(&f->move->options, &f->move->err));
    }
    await_phase(f, "rounds");
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(ask(f), 0);
        if (strcmp(text_of(f->status, "result"), "active") != 0)
            break;
        usleep(10000);
    }
    assert_says(f, "result", "failed");
    assert_non_null(strstr(text_of(f->status, "error"), "were killed"));
}

/* A second migration of the same guest is refused, and the first one's status stays. */
static void test_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    pid_t pid = start_slowly(f);

    assert_int_equal(wait_for(start(f)), GW_EXIT_STATE);
    assert_int_equal(ask(f), 0);
    assert_says(f, "result", "active");
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
}

/* A process that was stopped does not answer: an error, not a hang. */
static void test_stopped_process(void **state)
{
    struct fixture *f = *state;
    pid_t pid = start_slowly(f);
    char path[64], children[64] = "";

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(children, sizeof(children), file));
    fclose(file);
    pid_t worker = (pid_t)atoi(children);
    kill(worker, SIGSTOP);
    assert_int_equal(ask(f), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_TIMEOUT);
    kill(worker, SIGCONT);
    assert_int_equal(gw_migrate_cancel("web", &f->move->err), 0);
    assert_int_equal(wait_for(pid), GW_EXIT_MIGRATE_CANCELLED);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_status_before_and_after),
        TEST(test_status_is_of_the_last),
        TEST(test_status_while_it_runs),
        TEST(test_set_bandwidth),
        TEST(test_set_timeout),
        TEST(test_set_ending),
        TEST(test_set_throttle),
        TEST(test_bad_requests),
        TEST(test_for_root_only),
        TEST(test_cancel_everywhere),
        TEST(test_cancel_or_commit),
        TEST(test_cancel_too_late),
        TEST(test_status_of_a_killed_worker),
        TEST(test_status_of_the_killed),
        TEST(test_one_at_a_time),
        TEST(test_stopped_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
