/* SPDX-License-Identifier: MIT */
/* The command as a user meets it: output, messages, exit codes. Each run is a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/registry.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "fake_xen.h"
#include "support.h"
#include "support_cli.h"

static char config_path[256];

static int setup(void **state)
{
    char kernel[256], text[1024];

    if (support_setup(state) < 0)
        return -1;
    snprintf(kernel, sizeof(kernel), "%s", support_file("kernel", "program", 7));
    snprintf(text, sizeof(text), "name = 'web1'\nkernel = '%s'\nmemory = 8\nvcpus = 2\n", kernel);
    snprintf(config_path, sizeof(config_path), "%s", support_file("web1.cfg", text, strlen(text)));
    fake_reset(1u << 20);
    return 0;
}

static int run_create(const char *options)
{
    char line[512];

    snprintf(line, sizeof(line), "create %s %s", options, config_path);
    return run(line);
}

static void test_help(void **state)
{
    char line[64];

    (void)state;
    assert_int_equal(run("help"), 0);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        assert_contains(out, c->name);
        assert_ptr_equal(cli_command_find(c->name), c);
    }
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        snprintf(line, sizeof(line), "%s --help", c->name);
        assert_int_equal(run(line), 0);
        assert_contains(out, "usage: godwit ");
        assert_contains(out, "\n\n  "); /* an example, first */
        assert_string_equal(errors, "");
    }
    assert_int_equal(run("--help"), 0);
    assert_int_equal(run("help nonsense"), GW_EXIT_USAGE);
}

static void test_wrong_command_lines(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "which command?"},
        {"creat", "there is no command 'creat', did you mean 'create'?"},
        {"migrat", "did you mean 'migrate'?"},
        {"lsit", "did you mean 'list'?"},
        {"frobnicate", "there is no command 'frobnicate'; see"},
        {"list --frob", "unknown option '--frob'"},
        {"list -z", "unknown option '-z'"},
        {"create", "needs a configuration file"},
        {"domid", "needs the name of one guest"},
        {"destroy a b", "needs the name of one guest"},
        {"dirty -i", "option '-i' needs an argument"},
        {"dirty -i 0 web1", "'0' is not a number of seconds"},
        {"dirty -n -3 web1", "'-3' is not a number of lines"},
        {"shutdown", "needs the name of one guest, or -a"},
        {"shutdown -t x web1", "'x' is not a number of seconds"},
        {"info a b", "takes at most one guest"},
        {"migrate web1 tls://south", "has not the form tls://HOST:PORT"},
        {"migrate web1 tls://fe80::1:7700", "has not the form tls://HOST:PORT"},
        {"migrate web1 tls://south:70000", "has not the form tls://HOST:PORT"},
        {"migrate web1 tls://:7700", "needs the name of a host"},
        {"migrate web1 tcp://south:7700", "or add --insecure"},
        {"migrate web1 http://south:7700", "begins with neither tls:// nor tcp://"},
        {"migrate --stall 0 web1 south", "'0' is not a number of seconds"},
        {"migrate -s wire web1 tls://south:7700", "exclude each other"},
        {"migrate-receive --listen south:7700", "--listen needs tls://ADDRESS:PORT"},
        {"migrate-receive --listen tcp://:7700", "or add --insecure"},
        {"migrate-receive --max-connections 0", "is not a number of connections"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(cases[i].line), GW_EXIT_USAGE);
        assert_contains(errors, cases[i].message);
        assert_string_equal(out, "");
    }
}

static void test_life_of_a_guest(void **state)
{
    struct fake_domain *d;
    char expected[64];
    uint32_t domid;

    (void)state;
    assert_int_equal(run_create("-p"), 0);
    assert_int_equal(run("domid web1"), 0);
    domid = (uint32_t)strtoul(out, NULL, 10);
    d = fake_domain(domid);
    assert_non_null(d);
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(run_create(""), GW_EXIT_STATE);
    assert_contains(errors, "godwit create: there is already a guest 'web1'");
    assert_int_equal(run("unpause web1"), 0);
    assert_int_equal(run("unpause web1"), 0);
    assert_int_equal(d->pause_count, 0);
    assert_int_equal(run("pause web1"), 0);
    assert_int_equal(run("pause web1"), 0);
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(run("shutdown web1"), GW_EXIT_STATE);
    assert_contains(errors, "web1 is paused");
    assert_int_equal(run("unpause web1"), 0);
    assert_int_equal(run("shutdown web1"), 0);
    assert_int_equal(d->power_key_presses, 1);
    assert_int_equal(run("shutdown -a"), 0);
    assert_int_equal(d->power_key_presses, 2);
    assert_int_equal(run("shutdown -w -t 0.3 web1"), GW_EXIT_TIMEOUT);
    assert_contains(errors, "web1 has not shut down in time");
    fake_guest_shutdown(d, SHUTDOWN_poweroff);
    assert_int_equal(run("shutdown -w web1"), 0);
    assert_int_equal(run("list"), 0);
    assert_contains(out, "Domain-0");
    snprintf(expected, sizeof(expected), "%5u      8     2     r--s--", domid);
    assert_contains(out, expected);
    assert_int_equal(run("destroy web1"), 0);
    assert_null(fake_domain(domid));
    assert_int_equal(run("domid web1"), GW_EXIT_NO_GUEST);
    assert_contains(errors, "godwit domid: there is no guest 'web1' here");
}

static void test_json(void **state)
{
    struct fake_domain *web1;
    struct json_object *o, *guests, *row, *value;

    (void)state;
    assert_int_equal(run_create("--json"), 0);
    o = json_tokener_parse(out);
    assert_true(json_object_object_get_ex(o, "domid", &value));
    json_object_put(o);
    assert_int_equal(run("list -l web1"), 0);
    o = json_tokener_parse(out);
    assert_true(json_object_object_get_ex(o, "guests", &guests));
    assert_int_equal(json_object_array_length(guests), 1);
    row = json_object_array_get_idx(guests, 0);
    assert_true(json_object_object_get_ex(row, "memory_bytes", &value));
    assert_int_equal(json_object_get_int64(value), (8 << 20) + 4096);
    assert_true(json_object_object_get_ex(row, "state", &value));
    assert_string_equal(json_object_get_string(value), "running");
    assert_true(json_object_object_get_ex(row, "config", &value));
    assert_contains(json_object_get_string(value), "memory = 8\n");
    json_object_put(o);
    assert_int_equal(run("list --json nobody"), GW_EXIT_NO_GUEST);
    assert_string_equal(out, "");
    assert_int_equal(run("info --json"), 0);
    o = json_tokener_parse(out);
    assert_true(json_object_object_get_ex(o, "timer_hz", &value));
    assert_int_equal(json_object_get_int64(value), 62500000);
    json_object_put(o);
    assert_int_equal(run("info web1"), 0);
    assert_contains(out, "logdirty:");
    assert_contains(out, "bits_set_vcpu:           2\n");
    assert_contains(out, "bits_set_model:          0\n");
    assert_null(strstr(out, "dirty pages")); /* it is not logged */
    assert_int_equal(run("info web1 --json"), 0);
    assert_contains(out, "\"throttle_percent\":50,");
    assert_contains(out, "\"stall_throttle_ns\":6000,");
    assert_null(strstr(out, "\"dirty_pages\"")); /* nobody knows */
    assert_int_equal(run("domid web1"), 0);
    web1 = fake_domain((uint32_t)strtoul(out, NULL, 10));
    web1->logdirty = true;
    assert_int_equal(run("info web1"), 0);
    assert_contains(out, "vcpu 1                   dirty pages 1344, faults 31, throttle 50 %; "
                         "us lost to faults 5, throttle 6, harvests 7, pauses 8\n");
    web1->logdirty = false;
    assert_int_equal(run("version --json"), 0);
    assert_contains(out, "\"xen_minor\":17");
    assert_int_equal(run("destroy web1"), 0);
}

static void expect_info(const char *line, const char *tracking, const char *split, const char *host)
{
    char expected[256], text[64];

    assert_int_equal(run(line), 0);
    snprintf(expected, sizeof(expected),
             "logdirty_tracking:       %s\nlogdirty_split:          %s\n"
             "host_tracking:           %s\n",
             tracking, split, host);
    assert_contains(out, expected);
    snprintf(text, sizeof(text), "%s --json", line);
    assert_int_equal(run(text), 0);
    snprintf(expected, sizeof(expected),
             "  \"logdirty_tracking\":\"%s\",\n  \"logdirty_split\":\"%s\",\n"
             "  \"host_tracking\":\"%s\"",
             tracking, split, host);
    assert_contains(out, expected);
}

/* How writes are noticed: chosen, shown, and refused where the CPUs cannot. */
static void test_logdirty(void **state)
{
    unsigned domains = fake_domains_n();
    char line[512];

    (void)state;
    snprintf(line, sizeof(line), "create %s logdirty=\"hardware\"", config_path);
    assert_int_equal(run(line), GW_EXIT_UNSUPPORTED);
    assert_contains(errors, "godwit create: logdirty = \"hardware\" needs CPUs that note writes");
    assert_contains(errors, "say \"auto\"\n");
    assert_string_equal(out, "");
    assert_int_equal(fake_domains_n(), domains);
    assert_int_equal(run("domid web1"), GW_EXIT_NO_GUEST);
    expect_info("info", "fault", "lazy", "fault");
    fake_host.hardware_dirty = true;
    assert_int_equal(run(line), 0);
    expect_info("info", "hardware", "lazy", "hardware");
    expect_info("info web1", "hardware", "lazy", "hardware");
    assert_int_equal(run("destroy web1"), 0);
    snprintf(line, sizeof(line), "create %s logdirty=\"fault\" logdirty_split=\"eager\"",
             config_path);
    assert_int_equal(run(line), 0);
    expect_info("info web1", "fault", "eager", "hardware");
    assert_int_equal(run("list -l web1"), 0);
    assert_contains(out, "logdirty = \\\"fault\\\"\\nlogdirty_split = \\\"eager\\\"");
    assert_int_equal(run("destroy web1"), 0);
    snprintf(line, sizeof(line), "create %s logdirty=\"slow\"", config_path);
    assert_int_equal(run(line), GW_EXIT_CONFIG);
    assert_contains(errors, "command line:1: 'logdirty' must be");
    fake_host.hardware_dirty = false;
}

/* What the library says of read-only memory. */
static void test_readonly(void **state)
{
    struct godwit_range ranges[4];
    struct gw_error err;
    struct gw_hv *hv;
    uint64_t gfn = 0;
    uint32_t domid;
    unsigned n;

    (void)state;
    assert_int_equal(run_create(""), 0);
    assert_int_equal(run("domid web1"), 0);
    domid = (uint32_t)strtoul(out, NULL, 10);
    assert_int_equal(gw_hv_open(&hv, &err), 0);
    assert_int_equal(gw_hv_get_readonly(hv, domid, &gfn, ranges, 4, &n), 0);
    assert_true(n == 0 && gfn == UINT64_MAX);
    assert_int_equal(gw_hv_set_readonly(hv, domid, 0x40005, 7), 0);
    gfn = 0;
    assert_int_equal(gw_hv_get_readonly(hv, domid, &gfn, ranges, 4, &n), 0);
    assert_true(n == 1 && ranges[0].first_gfn == 0x40005 && ranges[0].pages == 7);
    assert_int_equal(gw_hv_set_readonly(hv, 999, 0x40005, 7), -ESRCH);
    gw_hv_close(hv);
    assert_int_equal(run("destroy web1"), 0);
}

static void test_dirty(void **state)
{
    struct fake_domain *d;
    struct json_object *o, *value;
    struct gw_log_owner other = GW_LOG_OWNER_NONE;
    struct gw_error err;
    uint32_t domid;

    (void)state;
    assert_int_equal(run_create(""), 0);
    assert_int_equal(run("domid web1"), 0);
    domid = (uint32_t)strtoul(out, NULL, 10);
    d = fake_domain(domid);
    d->logdirty = true; /* left on by one that was killed */
    assert_int_equal(run("dirty -i 0.01 -n 2 --json web1"), 0);
    o = json_tokener_parse(out);
    assert_true(json_object_object_get_ex(o, "pages", &value));
    assert_int_equal(json_object_get_int64(value), 0);
    json_object_put(o);
    assert_false(d->logdirty);
    /* Beside the owner of the log it peeks, and leaves the log as it was. */
    assert_int_equal(gw_log_owner_take(&other, domid, "migrate", &err), 0);
    d->logdirty = true;
    fake_mark_dirty(d, 0x40000);
    fake_mark_dirty(d, 0x40001);
    assert_int_equal(run("dirty -i 0.01 -n 1 web1"), 0);
    assert_contains(out, "(looking on)");
    assert_contains(out, "by vcpu 2, device 1; faults 3");
    assert_int_equal(run("dirty -i 0.01 -n 1 --json web1"), 0);
    assert_contains(out, "\"pages\":2,");
    assert_contains(out, "\"owner\":false");
    assert_contains(out, "\"faults_split\":1,");
    assert_contains(out, "\"bits_set_device\":1,");
    assert_true(d->logdirty);
    assert_int_equal(d->dirty[0x40000], 1);
    gw_log_owner_release(&other);
    assert_int_equal(run("dirty -n 1 0"), GW_EXIT_USAGE);
    assert_int_equal(run("dirty -n 1 nobody"), GW_EXIT_NO_GUEST);
    assert_int_equal(run("destroy web1"), 0);
}

/* ^C ends `dirty` politely: the log is off and free, the exit code is 0. */
static void test_dirty_interrupted(void **state)
{
    struct gw_log_owner other = GW_LOG_OWNER_NONE;
    struct gw_error err;
    char line[64];
    int ready[2];
    pid_t pid;
    int status;
    uint32_t domid;

    (void)state;
    assert_int_equal(run_create(""), 0);
    assert_int_equal(run("domid web1"), 0);
    domid = (uint32_t)strtoul(out, NULL, 10);
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)(uintptr_t) "godwit", (char *)(uintptr_t) "dirty",
                        (char *)(uintptr_t) "-i",     (char *)(uintptr_t) "0.05",
                        (char *)(uintptr_t) "web1",   NULL};
        int rc;

        dup2(ready[1], 1);
        rc = cli_run(5, argv);
        _exit(fake_domain(domid)->logdirty ? 99 : rc);
    }
    assert_true(read(ready[0], line, sizeof(line)) > 0); /* its first line */
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(gw_log_owner_try(&other, domid, "test", &err), 1);
    gw_log_owner_release(&other);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(run("destroy web1"), 0);
}

/* A migration that starts while `dirty` has the log gets it, and `dirty` looks on from then on. */
static void test_dirty_hands_over(void **state)
{
    struct gw_log_owner strong = GW_LOG_OWNER_NONE;
    struct gw_error err = {0};
    char text[4096] = "";
    int lines[2], status;
    size_t n = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(run_create(""), 0);
    assert_int_equal(run("domid web1"), 0);
    assert_int_equal(pipe(lines), 0);
    pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)(uintptr_t) "godwit", (char *)(uintptr_t) "dirty",
                        (char *)(uintptr_t) "-i",     (char *)(uintptr_t) "0.05",
                        (char *)(uintptr_t) "--json", (char *)(uintptr_t) "web1"};

        dup2(lines[1], 1);
        _exit(cli_run(6, argv));
    }
    close(lines[1]);
    while (!strstr(text, "\"owner\":true") && n + 1 < sizeof(text))
        n += (size_t)read(lines[0], text + n, sizeof(text) - n - 1);
    assert_int_equal(gw_log_owner_take(&strong, (uint32_t)strtoul(out, NULL, 10), "migrate", &err),
                     0);
    memset(text, 0, sizeof(text));
    for (n = 0; !strstr(text, "\"owner\":false") && n + 1 < sizeof(text);)
        n += (size_t)read(lines[0], text + n, sizeof(text) - n - 1);
    gw_log_owner_release(&strong);
    memset(text, 0, sizeof(text));
    for (n = 0; !strstr(text, "\"owner\":true") && n + 1 < sizeof(text);) /* and has it again */
        n += (size_t)read(lines[0], text + n, sizeof(text) - n - 1);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(lines[0]);
    assert_int_equal(run("destroy web1"), 0);
}

/* Handed over, and no answer: only resolve lets it run here. */
static void test_held(void **state)
{
    static const char note[] = "{\"destination\":\"south\",\"since_unix_ms\":7,\"transport\":"
                               "\"command\",\"command\":[\"false\"]}";
    struct gw_error err = {0};
    struct fake_domain *d;
    uint32_t domid;

    (void)state;
    assert_int_equal(run_create("-p"), 0);
    assert_int_equal(run("domid web1"), 0);
    domid = (uint32_t)strtoul(out, NULL, 10);
    d = fake_domain(domid);
    assert_int_equal(run("resolve web1"), GW_EXIT_STATE);
    assert_contains(errors, "web1 is not held");
    assert_int_equal(gw_registry_hold("web1", domid + 1, note, &err), -1);
    assert_int_equal(err.code, GW_EXIT_NO_GUEST);
    assert_int_equal(gw_registry_hold("web1", domid, note, &err), 0);
    assert_int_equal(run("unpause web1"), GW_EXIT_STATE);
    assert_contains(errors,
                    "web1 was handed over to another host and may run there: godwit resolve "
                    "web1 finds out");
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(run("save -p web1 /nonexistent"), GW_EXIT_STATE);
    assert_contains(errors, "see godwit resolve web1");
    assert_int_equal(run("list"), 0);
    assert_contains(out, "--h---");
    assert_int_equal(run("list --json"), 0);
    assert_contains(out, "\"destination\":\"south\"");
    assert_int_equal(run("info web1"), 0);
    assert_contains(out, "held_for:                south");
    assert_int_equal(run("resolve web1"), GW_EXIT_MIGRATE_UNKNOWN);
    assert_contains(errors, "web1 stays held");
    assert_int_equal(run("resolve --here web1"), GW_EXIT_MIGRATE_UNKNOWN);
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(run("resolve --here --checked no-power web1"), 0);
    assert_string_equal(out, "web1 runs on here\n");
    assert_int_equal(d->pause_count, 0);
    assert_int_equal(run("list --json"), 0);
    assert_null(strstr(out, "held"));

    assert_int_equal(gw_registry_hold("web1", domid, note, &err), 0);
    assert_int_equal(run("resolve --there --checked runs-there web1"), 0);
    assert_contains(out, "web1 is at south");
    assert_null(fake_domain(domid));
}

/* Only a terminal has a line that is rewritten. */
static void test_progress(void **state)
{
    int kept = dup(2), terminal, screen, file = open("/dev/null", O_WRONLY);
    enum gw_progress on_terminal, elsewhere;

    (void)state;
    assert_int_equal(openpty(&screen, &terminal, NULL, NULL, NULL), 0);
    dup2(terminal, 2);
    on_terminal = cli_progress();
    dup2(file, 2);
    elsewhere = cli_progress();
    dup2(kept, 2);
    assert_int_equal(on_terminal, GW_PROGRESS_TERMINAL);
    assert_int_equal(elsewhere, GW_PROGRESS_LINES);
    close(kept);
    close(terminal);
    close(screen);
    close(file);
}

static void test_exit_codes(void **state)
{
    char line[512];

    (void)state;
    assert_int_equal(run("create /nonexistent"), GW_EXIT_CONFIG);
    snprintf(line, sizeof(line), "create -n %s colour=3", config_path);
    assert_int_equal(run(line), GW_EXIT_CONFIG);
    snprintf(line, sizeof(line), "create -n %s memory=16", config_path);
    assert_int_equal(run(line), 0);
    assert_contains(out, "memory = 16\n");
    assert_int_equal(fake_domains_n(), 1);
    assert_int_equal(run("destroy 0"), GW_EXIT_USAGE);
    assert_int_equal(run("destroy Domain-0"), GW_EXIT_USAGE);
    assert_int_equal(run("console web1"), GW_EXIT_NO_GUEST);
    assert_int_equal(run_create(""), 0);
    assert_int_equal(run("console web1"), GW_EXIT_UNAVAILABLE);
    assert_contains(errors, "cannot reach godwitd");
    assert_int_equal(run("destroy web1"), 0);
    fake_host.fail_errno = EPERM;
    fake_host.fail_at = fake_host.calls + 5;
    assert_int_equal(run("list"), GW_EXIT_DENIED);
    fake_host.absent = true;
    assert_int_equal(run("list"), GW_EXIT_UNAVAILABLE);
    assert_int_equal(run("version"), 0); /* the toolstack's own is an answer */
    fake_host.absent = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_wrong_command_lines),
        cmocka_unit_test(test_life_of_a_guest),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_logdirty),
        cmocka_unit_test(test_readonly),
        cmocka_unit_test(test_dirty),
        cmocka_unit_test(test_dirty_interrupted),
        cmocka_unit_test(test_dirty_hands_over),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_exit_codes),
    };

    return cmocka_run_group_tests_name("cli", tests, setup, support_teardown);
}
