/* SPDX-License-Identifier: MIT */
/* A dry run says what a migration would say, and leaves both hosts as they were. */
#include "fake_move.h"
#include "handover/handover.h"

#include <json-c/json.h>
#include <libgodwit/registry.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_DOMID 10 /* of a fake host that has made no guest */

static char said[16384];

static int set_up(void **state)
{
    struct fake_move *m = *state = fake_move_begin(8);
    char path[256];

    if (!m)
        return -1;
    m->options.dry_run = true;
    snprintf(path, sizeof(path), "%s/migrations/web.json", gw_registry_dir());
    unlink(path); /* of the test before */
    return 0;
}

static int tear_down(void **state)
{
    struct fake_move *m = *state;

    fake_move_end(m);
    return 0;
}

/* Keeps what was said on stdout. */
static int try_it(struct fake_move *m)
{
    FILE *file = tmpfile();
    int saved = dup(1), status;

    assert_true(file && saved >= 0);
    fflush(stdout);
    dup2(fileno(file), 1);
    memset(&m->err, 0, sizeof(m->err));
    status = gw_migrate(&m->options, &m->err);
    dup2(saved, 1);
    close(saved);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    fclose(file);
    return status;
}

static void assert_said(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" was not said: %s", part, text);
}

/* At the source nothing has changed at all, and nothing stays at the destination. */
static void assert_untouched(struct fake_move *m)
{
    struct gw_error unused = {0};
    uint64_t steps = m->guest->steps;
    char *status;

    assert_true(m->guest->used);
    assert_int_equal(m->guest->pauses, 0);
    assert_int_equal(m->guest->log_owner, 0);
    assert_int_equal(m->world->hosts[0].log_starts, 0);
    assert_int_equal(m->world->hosts[0].reads, 0);
    assert_string_equal(m->guest->note, "");
    for (int i = 0; i < 500 && m->guest->steps == steps; i++)
        usleep(10000);
    assert_true(m->guest->steps > steps);
    assert_int_equal(gw_migrate_status("web", &status, &unused), -1);
    assert_int_equal(unused.code, GW_EXIT_STATE);
    assert_true(fake_move_left_nothing(m));
}

static void assert_refused(struct fake_move *m, enum gw_exit code, const char *why)
{
    int status = try_it(m);

    if (status != (int)code)
        fail_msg("exit status %d, not %d: %s", status, code, m->err.message);
    assert_said(m->err.message, why);
    assert_said(m->err.message, "; nothing was moved");
    assert_null(strstr(said, "would take it"));
}

static void test_possible(void **state)
{
    struct fake_move *m = *state;

    m->options.limits = (struct gw_migrate_limits){
        .timeout_ms = 60000, .on_timeout = GW_ON_TIMEOUT_STOP, .bandwidth_bytes_per_s = 4000};
    if (try_it(m))
        fail_msg("%s", m->err.message);
    assert_string_equal(
        said, "web is here: 2 MiB, 2 vCPUs, not paused\n"
              "south answers, and speaks the same version\n"
              "south would take it: name and UUID are free, CPUs and devices fit, memory is there\n"
              "its pages would be sent over 1 connection, not compressed, at 4000 bytes/s at most\n"
              "it would be stopped once the rest takes 300 ms; after 1000 rounds or 60000 ms "
              "without that, it would be stopped all the same\n"
              "it would run on at south; nothing was moved\n");
    /* It was built, and was gone before the answer. */
    assert_int_equal(m->world->hosts[1].next_domid, NO_DOMID + 1);
    assert_int_equal(m->world->hosts[1].frames, 0);
    assert_int_equal(m->world->hosts[1].pages_written, 0);
    assert_untouched(m);
    m->options.dry_run = false;
    m->options.limits = (struct gw_migrate_limits){.on_timeout = GW_ON_TIMEOUT_STOP};
    assert_int_equal(gw_migrate(&m->options, &m->err), 0);
}

static void test_paused_and_several_connections(void **state)
{
    struct fake_move *m = *state;

    m->options.streams = 3;
    m->options.compress_level = 1;
    m->options.paused = true;
    assert_int_equal(try_it(m), 0);
    assert_said(said, "over 3 connections, compressed, without a limit\n");
    assert_said(said, "it would stay paused at south; nothing was moved\n");
    assert_int_equal(m->world->hosts[1].frames, 0);
    assert_untouched(m);
}

static struct json_object *try_for_programs(struct fake_move *m, int expected)
{
    m->options.json = true;
    assert_int_equal(try_it(m), expected);
    struct json_object *object = json_tokener_parse(said);
    assert_non_null(object);
    return object;
}

static void assert_field(struct json_object *object, const char *key, const char *value)
{
    const char *found = json_object_get_string(json_object_object_get(object, key));

    if (!found || strcmp(found, value) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", key, found, value);
}

static void test_for_programs(void **state)
{
    struct fake_move *m = *state;
    struct json_object *object = try_for_programs(m, 0), *events;

    assert_field(object, "schema", "godwit.migrate.v1");
    assert_field(object, "result", "possible");
    assert_field(object, "phase", "setup");
    assert_field(object, "runs_at", "source");
    assert_field(object, "exit", "0");
    assert_field(object, "memory_pages", "513");
    assert_field(object, "pages", "0");
    events = json_object_object_get(object, "events");
    assert_int_equal(json_object_array_length(events), 7);
    assert_field(json_object_array_get_idx(events, 0), "what",
                 "web is here: 2 MiB, 2 vCPUs, not paused");
    json_object_put(object);
    m->world->hosts[1].refuse_create = true;
    object = try_for_programs(m, GW_EXIT_FAILED);
    assert_field(object, "result", "refused");
    assert_field(object, "runs_at", "source");
    assert_field(object, "exit", "1");
    assert_field(object, "error", m->err.message);
    json_object_put(object);
}

static void test_refused_there(void **state)
{
    struct fake_move *m = *state;
    struct fake_host *south = &m->world->hosts[1];
    struct fake_guest *other = fake_guest_add(south, "web");

    assert_refused(m, GW_EXIT_STATE,
                   "south refused: a guest with the name \"web\" is here already");
    snprintf(other->name, sizeof(other->name), "other");
    assert_refused(m, GW_EXIT_STATE, "south refused: a guest with the UUID of \"web\" is here");
    other->config.uuid[0] ^= 1;
    assert_int_equal(try_it(m), 0);
    fake_guest_remove(south, other);
    south->refuse_create = true;
    assert_refused(m, GW_EXIT_FAILED, "south refused: not enough memory for the guest");
    south->refuse_create = false;
    south->other_layout = true;
    assert_refused(m, GW_EXIT_UNSUPPORTED, "laid out differently");
    south->other_layout = false;
    south->facts.cntfrq_hz++;
    assert_refused(m, GW_EXIT_UNSUPPORTED, "south refused: ");
    south->facts.cntfrq_hz--;
    assert_untouched(m);
    assert_int_equal(try_it(m), 0);
}

static void test_refused_here(void **state)
{
    struct fake_move *m = *state;
    struct fake_move running = *m;
    pid_t pid;

    m->options.name = "nobody";
    assert_refused(m, GW_EXIT_NO_GUEST, "there is no guest 'nobody' here");
    m->options.name = "web";
    snprintf(m->guest->note, sizeof(m->guest->note), "held");
    assert_refused(m, GW_EXIT_STATE, "web is held");
    m->guest->note[0] = '\0';
    m->guest->shut_down = true;
    assert_refused(m, GW_EXIT_STATE, "web has shut down");
    m->guest->shut_down = false;
    m->guest->log_owner = getpid();
    assert_refused(m, GW_EXIT_STATE, "the dirty log is in use");
    m->guest->log_owner = 0;
    assert_int_equal(m->world->hosts[1].next_domid, NO_DOMID);

    running.options.dry_run = false;
    running.options.limits.bandwidth_bytes_per_s = 50000;
    pid = fork();
    if (pid == 0)
        _exit(gw_migrate(&running.options, &running.err));
    for (int i = 0; i < 1000 && m->world->hosts[0].log_starts == 0; i++)
        usleep(10000);
    assert_refused(m, GW_EXIT_STATE, "web is being migrated already: see godwit migrate-status");
    assert_int_equal(gw_migrate_cancel("web", &running.err), 0);
    waitpid(pid, NULL, 0);
}

/* Whatever breaks on the way: nothing stays. A worker that is killed counts as failed. */
static void test_failures(void **state)
{
    static const struct {
        const char *fail_at;
        enum gw_exit code;
    } cases[] = {
        {"source-hello:error", GW_EXIT_FAILED}, {"source-head:error", GW_EXIT_FAILED},
        {"source-head:kill", GW_EXIT_FAILED},   {"source-accepted:kill", GW_EXIT_FAILED},
        {"dest-hello:error", GW_EXIT_FAILED},   {"dest-config:error", GW_EXIT_FAILED},
        {"dest-created:error", GW_EXIT_FAILED}, {"dest-created:kill", GW_EXIT_FAILED},
        {"dest-accept:error", GW_EXIT_FAILED},  {"dest-accept:kill", GW_EXIT_FAILED},
    };
    struct fake_move *m = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("GODWIT_FAIL_AT", cases[i].fail_at, 1);
        int status = try_it(m);
        if (status != (int)cases[i].code)
            fail_msg("%s: exit status %d: %s", cases[i].fail_at, status, m->err.message);
        assert_untouched(m);
    }
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(try_it(m), 0);
}

static void test_no_connection(void **state)
{
    struct fake_move *m = *state;
    char *missing[] = {"/nonexistent/godwit", NULL}, *silent[] = {"sleep", "100", NULL};

    m->options.transport.command = missing;
    assert_refused(m, GW_EXIT_FAILED, "the connection to south ended");
    m->options.transport.command = silent;
    m->options.stall_ms = 300;
    assert_refused(m, GW_EXIT_TIMEOUT, "south did not answer");
    assert_untouched(m);
}

/* The connection stands, and the source has done nothing yet with the answer. */
static void test_gone_before_the_answer(void **state)
{
    struct fake_move *m = *state;
    pid_t pid;

    setenv("GODWIT_FAIL_AT", "source-accepted:hang", 1);
    pid = fork();
    if (pid == 0)
        _exit(gw_migrate(&m->options, &m->err));
    for (int i = 0; i < 1000 && m->world->hosts[1].next_domid == NO_DOMID; i++)
        usleep(10000);
    assert_int_equal(m->world->hosts[1].next_domid, NO_DOMID + 1);
    assert_true(fake_move_left_nothing(m));
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static void test_cancelled(void **state)
{
    struct fake_move *m = *state;
    int status;
    pid_t pid;

    setenv("GODWIT_FAIL_AT", "source-head:hang", 1);
    pid = fork();
    if (pid == 0)
        _exit(gw_migrate(&m->options, &m->err));
    for (int i = 0; i < 50; i++) { /* at whatever point it hears */
        usleep(20000);
        kill(pid, SIGINT);
        if (waitpid(pid, &status, WNOHANG) == pid) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
            break;
        }
        assert_true(i < 49);
    }
    assert_untouched(m);
}

/* --- a destination of before ---------------------------------------------------------------------
 */

/* Passes on what a receiver says, but for the capability that it did not have. */
static void pass_on(int from)
{
    struct {
        struct handover_header header;
        struct handover_hello hello;
    } first;
    char part[4096];
    ssize_t n = read(from, &first, sizeof(first));

    if (n != (ssize_t)sizeof(first))
        _exit(1);
    first.hello.capabilities &= ~(uint32_t)HANDOVER_CAN_TRY;
    for (const void *data = &first; n > 0; data = part) {
        if (write(1, data, (size_t)n) != n)
            _exit(1);
        n = read(from, part, sizeof(part));
    }
    _exit(0);
}

_Noreturn static void receive_as_of_old(const char *fd_text)
{
    int fds[2];

    if (pipe(fds) < 0)
        _exit(1);
    if (fork() == 0) {
        close(fds[1]);
        close(0);
        pass_on(fds[0]);
    }
    dup2(fds[1], 1);
    close(fds[0]);
    close(fds[1]);
    fake_move_receive(fd_text);
}

static void test_older_destination(void **state)
{
    struct fake_move *m = *state;
    struct fake_host *south = &m->world->hosts[1];

    m->command[1] = "--of-old";
    assert_int_equal(try_it(m), 0);
    assert_said(said, "it is older, and does not know dry runs\n");
    assert_said(said, "south would take it: ");
    assert_said(said, "it takes back what it has built\n");
    assert_int_equal(south->next_domid, NO_DOMID + 1);
    assert_untouched(m);
    m->options.streams = 2; /* with BEGIN, that has no flags there */
    assert_int_equal(try_it(m), 0);
    assert_untouched(m);
    m->options.streams = 1;
    south->refuse_create = true;
    assert_refused(m, GW_EXIT_FAILED, "south refused: not enough memory for the guest");
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--of-old"))
        receive_as_of_old(argv[2]);
    if (argc == 3)
        fake_move_receive(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_possible),      TEST(test_paused_and_several_connections),
        TEST(test_for_programs),  TEST(test_refused_there),
        TEST(test_refused_here),  TEST(test_failures),
        TEST(test_no_connection), TEST(test_gone_before_the_answer),
        TEST(test_cancelled),     TEST(test_older_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
