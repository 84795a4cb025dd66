/* SPDX-License-Identifier: MIT */
/* What the commands beside `migrate` take, print and refuse. What they do to a migration is tested
 * in migration/test_control.c. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../cli/cli.h"
#include "support.h"
#include "support_cli.h"

static char folder[256], path[300];

static int setup(void **state)
{
    if (support_setup(state) < 0)
        return -1;
    snprintf(folder, sizeof(folder), "%s/migrations", support_dir());
    snprintf(path, sizeof(path), "%s/web1.json", folder);
    return mkdir(folder, 0700);
}

static void leave(const char *status)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(status, f);
    fclose(f);
}

static const char moved[] =
    "{\"schema\": \"godwit.migrate.v1\", \"guest\": \"web1\", \"source\": \"north\", "
    "\"destination\": \"south\", \"result\": \"moved\", \"phase\": \"done\", \"runs_at\": "
    "\"destination\", \"exit\": 0, \"error\": null, \"total_ms\": 900, \"downtime_ms\": 41, "
    "\"downtime_estimate_ms\": 40, \"bytes\": 7000, \"pages\": 12, \"memory_pages\": 10, "
    "\"limits\": {\"max_downtime_ms\": 300, \"bandwidth_bytes_per_s\": 0, \"timeout_ms\": 0, "
    "\"on_timeout\": \"cancel\", \"max_rounds\": 30, \"throttle\": \"auto\"}, \"rounds\": [{\"n\": 1, "
    "\"dirty_pages_per_s\": 55, \"throttle\": [{\"vcpu\": 1, \"percent\": 20}]}]}";

static void test_status_for_people(void **state)
{
    (void)state;
    leave(moved);
    assert_int_equal(run("migrate-status web1"), 0);
    assert_contains(out, "north -> south\n");
    assert_contains(out, "result:              moved\n");
    assert_contains(out, "runs at:             destination\n");
    assert_contains(out, "downtime:            41 ms\n");
    assert_contains(out, "dirtied:             55 pages/s\n");
    assert_contains(out, "vCPU 1 gets 20 % less CPU time\n");
    assert_contains(out, "bandwidth:           unlimited\n");
    assert_null(strstr(out, "error:"));
    assert_string_equal(errors, "");
}

static void test_status_for_programs(void **state)
{
    struct json_object *object;

    (void)state;
    leave(moved);
    assert_int_equal(run("migrate-status --json web1"), 0);
    object = json_tokener_parse(out);
    assert_string_equal(json_object_get_string(json_object_object_get(object, "result")), "moved");
    json_object_put(object);
}

/* Whatever stands in the file. */
static void test_status_that_is_damaged(void **state)
{
    (void)state;
    leave("{\"guest\": \"web1\", \"result\": \"moved\", \"rounds\": 7}");
    assert_int_equal(run("migrate-status web1"), 0);
    assert_contains(out, "rounds:              0\n");
    leave("{\"guest\": 3, \"result\": {}, \"rounds\": [{\"throttle\": \"all\"}], \"limits\": []}");
    assert_int_equal(run("migrate-status web1"), 0);
    leave("{\"guest\": ");
    assert_int_equal(run("migrate-status web1"), GW_EXIT_FAILED);
    assert_contains(errors, "is damaged: see godwit list");
}

/* A file that says "active" while nobody holds the lock is of processes that were killed. */
static void test_status_of_the_killed(void **state)
{
    (void)state;
    leave("{\"guest\": \"web1\", \"result\": \"active\", \"runs_at\": \"source\"}");
    assert_int_equal(run("migrate-status web1"), 0);
    assert_contains(out, "result:              failed\n");
    assert_contains(out, "were killed");
    leave("{\"guest\": \"web1\", \"result\": \"active\", \"runs_at\": \"unknown\"}");
    assert_int_equal(run("migrate-status web1"), 0);
    assert_contains(out, "result:              unknown\n");
}

static void test_nothing_to_tell(void **state)
{
    (void)state;
    assert_int_equal(run("migrate-status web1"), GW_EXIT_STATE);
    assert_contains(errors, "no migration of 'web1' is known here");
    assert_int_equal(run("migrate-cancel web1"), GW_EXIT_STATE);
    assert_contains(errors, "web1 is not being migrated");
    assert_int_equal(run("migrate-set --max-downtime 1s web1"), GW_EXIT_STATE);
    assert_contains(errors, "web1 is not being migrated");
    assert_int_equal(run("migrate-status ../web1"), GW_EXIT_NO_GUEST);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const damaged[] = {"", "{\"guest\":", "[3]"};
        leave(damaged[i]);
        assert_int_equal(run("migrate-status web1"), GW_EXIT_FAILED);
        assert_contains(errors, "is damaged");
    }
}

static void test_wrong_command_lines(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"migrate-status", "needs the name of one guest"},
        {"migrate-status a b", "needs the name of one guest"},
        {"migrate-cancel", "needs the name of one guest"},
        {"migrate-set --max-downtime 1s", "needs the name of one guest"},
        {"migrate-set web1", "needs a limit to change"},
        {"migrate-set --max-downtime 0 web1", "'0' is not a time"},
        {"migrate-set --bandwidth fast web1", "'fast' is not a speed"},
        {"migrate-set --timeout 31d web1", "'31d' is not a time"},
        {"migrate-set --on-timeout wait web1", "not 'wait'"},
        {"migrate-set --max-rounds 1001 web1", "'1001' is not a number of rounds"},
        {"migrate-set --throttle never web1", "not 'never'"},
        {"resolve", "needs the name of one guest"},
        {"resolve --here --there web1", "exclude each other"},
        {"resolve --here --checked luck web1", "not 'luck'"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(cases[i].line), GW_EXIT_USAGE);
        assert_contains(errors, cases[i].message);
        assert_string_equal(out, "");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, support_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_status_for_people),      TEST(test_status_for_programs),
        TEST(test_status_that_is_damaged), TEST(test_status_of_the_killed),
        TEST(test_nothing_to_tell),        TEST(test_wrong_command_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
