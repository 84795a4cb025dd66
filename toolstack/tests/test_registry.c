/* SPDX-License-Identifier: MIT */
#include <libgodwit/log_owner.h>
#include <libgodwit/registry.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static struct gw_record make_record(const char *name, uint32_t domid)
{
    struct gw_record r = {
        .domid = domid, .console_port = 7, .config_text = (char *)(uintptr_t) "name = \"x\"\n"};

    snprintf(r.name, sizeof(r.name), "%s", name);
    memset(r.uuid, (int)domid, sizeof(r.uuid));
    return r;
}

static int add(const char *name, uint32_t domid, struct gw_error *err)
{
    struct gw_record r = make_record(name, domid);

    return gw_registry_add(&r, err);
}

static void test_round_trip(void **state)
{
    struct gw_error err = {0};
    struct gw_record r, *all;
    size_t n;

    (void)state;
    assert_int_equal(gw_registry_list(&all, &n, &err), 0);
    assert_int_equal(n, 0);
    gw_record_list_free(all, n);
    assert_int_equal(add("b", 2, &err), 0);
    assert_int_equal(add("a", 1, &err), 0);
    assert_int_equal(add("a", 3, &err), -1);
    assert_int_equal(err.code, GW_EXIT_STATE);
    assert_int_equal(gw_registry_find("a", &r, &err), 0);
    assert_string_equal(r.name, "a");
    assert_int_equal(r.domid, 1);
    assert_int_equal(r.console_port, 7);
    assert_int_equal(r.uuid[15], 1);
    assert_string_equal(r.config_text, "name = \"x\"\n");
    gw_record_free(&r);
    assert_int_equal(gw_registry_list(&all, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].name, "a");
    gw_record_list_free(all, n);
}

static void test_rename_and_remove(void **state)
{
    struct gw_error err = {0};
    struct gw_record r;

    (void)state;
    assert_int_equal(gw_registry_rename("a", "b", &err), -1);
    assert_int_equal(err.code, GW_EXIT_STATE);
    assert_int_equal(gw_registry_rename("zz", "y", &err), -1);
    assert_int_equal(err.code, GW_EXIT_NO_GUEST);
    assert_int_equal(gw_registry_rename("a", "../y", &err), -1);
    assert_int_equal(err.code, GW_EXIT_USAGE);
    assert_int_equal(gw_registry_rename("a", "c", &err), 0);
    assert_int_equal(gw_registry_find("a", &r, &err), -1);
    assert_int_equal(gw_registry_find("c", &r, &err), 0);
    assert_string_equal(r.name, "c");
    gw_record_free(&r);
    assert_int_equal(gw_registry_remove("c", 99, &err), 0); /* another domain has the name now */
    assert_int_equal(gw_registry_find("c", &r, &err), 0);
    gw_record_free(&r);
    assert_int_equal(gw_registry_remove("c", 1, &err), 0);
    assert_int_equal(gw_registry_remove("c", 1, &err), 0);
    assert_int_equal(gw_registry_find("c", &r, &err), -1);
    assert_int_equal(err.code, GW_EXIT_NO_GUEST);
    assert_int_equal(gw_registry_remove("b", 2, &err), 0);
}

static void test_damaged_files(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"name\": 3}",
        "{\"name\": \"d\", \"domid\": -1, \"uuid\": \"\", \"console_port\": 1, \"config\": \"\"}",
        "{\"name\": \"d\", \"domid\": 1, \"uuid\": \"x\", \"console_port\": 1, \"config\": \"\"}",
    };
    struct gw_error err = {0};
    struct gw_record r, *all;
    size_t n;

    (void)state;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        support_file("d.json", texts[i], strlen(texts[i]));
        assert_int_equal(gw_registry_find("d", &r, &err), -1);
        assert_contains(err.message, "d.json is damaged");
        assert_int_equal(gw_registry_list(&all, &n, &err), 0);
        assert_int_equal(n, 0);
        gw_record_list_free(all, n);
    }
}

/* Many processes take the same name: exactly one gets it. */
static void test_concurrent_adds(void **state)
{
    unsigned winners = 0;
    struct gw_error err;

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        if (fork() == 0) {
            struct gw_error ignored;

            _exit(add("contested", i, &ignored) == 0 ? 1 : 0);
        }
    }
    for (uint32_t i = 0; i < 8; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        winners += (unsigned)WEXITSTATUS(status);
    }
    assert_int_equal(winners, 1);
    for (uint32_t i = 0; i < 8; i++)
        gw_registry_remove("contested", i, &err);
}

static void test_log_owner(void **state)
{
    struct gw_log_owner strong = GW_LOG_OWNER_NONE, weak = GW_LOG_OWNER_NONE,
                        other = GW_LOG_OWNER_NONE;
    struct gw_error err = {0};

    (void)state;
    assert_false(gw_log_owner_wanted(5));
    assert_int_equal(gw_log_owner_try(&weak, 5, "dirty", &err), 1);
    assert_int_equal(gw_log_owner_try(&other, 5, "dirty", &err), 0); /* one at a time */
    assert_int_equal(gw_log_owner_try(&other, 6, "dirty", &err), 1); /* per guest */
    gw_log_owner_release(&other);
    gw_log_owner_release(&weak);
    assert_int_equal(gw_log_owner_take(&strong, 5, "migrate", &err), 0);
    assert_true(gw_log_owner_wanted(5));
    assert_int_equal(gw_log_owner_try(&weak, 5, "dirty", &err), 0);
    assert_int_equal(gw_log_owner_take(&other, 5, "save", &err), -1);
    assert_int_equal(err.code, GW_EXIT_STATE);
    assert_contains(err.message, "in use by migrate (process");
    gw_log_owner_release(&strong);
    gw_log_owner_release(&strong); /* idempotent */
    assert_false(gw_log_owner_wanted(5));
    assert_int_equal(gw_log_owner_take(&strong, 5, "save", &err), 0);
    gw_log_owner_release(&strong);
}

/* Whoever is killed leaves its mark for the next owner; whoever releases has removed it. */
static void test_log_mark(void **state)
{
    struct gw_log_owner next = GW_LOG_OWNER_NONE;
    struct gw_error err = {0};
    int status;

    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        if (fork() == 0) {
            struct gw_log_owner owner = GW_LOG_OWNER_NONE;

            if (gw_log_owner_take(&owner, 7, "save", &err) || gw_log_owner_mark(&owner, &err) ||
                gw_log_owner_mark(&owner, &err) || !gw_log_owner_is_marked(7))
                _exit(1);
            if (!dies)
                gw_log_owner_unmark(&owner);
            _exit(0);
        }
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        assert_int_equal(gw_log_owner_take(&next, 7, "save", &err), 0);
        assert_int_equal(gw_log_owner_is_marked(7), dies);
        assert_false(gw_log_owner_is_marked(8));
        gw_log_owner_unmark(&next);
        gw_log_owner_unmark(&next); /* idempotent */
        assert_false(gw_log_owner_is_marked(7));
        gw_log_owner_release(&next);
    }
}

/* A weak owner that watches lets a strong one in; one that dies does too. */
static void test_log_handover(void **state)
{
    struct gw_log_owner strong = GW_LOG_OWNER_NONE;
    struct gw_error err = {0};
    int ready[2], status;
    char byte;

    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        assert_int_equal(pipe(ready), 0);
        if (fork() == 0) {
            struct gw_log_owner weak = GW_LOG_OWNER_NONE;

            if (gw_log_owner_try(&weak, 9, "dirty", &err) != 1 || write(ready[1], "x", 1) != 1)
                _exit(1);
            while (!gw_log_owner_wanted(9))
                usleep(1000);
            if (!dies)
                gw_log_owner_release(&weak);
            _exit(0); /* with the lock, if it dies */
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(gw_log_owner_take(&strong, 9, "migrate", &err), 0);
        gw_log_owner_release(&strong);
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        close(ready[0]);
        close(ready[1]);
    }
}

/* The disk is full after any byte of a record: the old record stays, and nothing beside it. */
static void test_disk_full(void **state)
{
    struct rlimit before, small;
    struct gw_error err = {0};
    struct gw_record r, *all;
    unsigned failed = 0;
    char path[PATH_MAX];
    size_t n;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(add("old", 1, &err), 0);
    for (rlim_t bytes = 0;; bytes += 7) {
        small = (struct rlimit){.rlim_cur = bytes, .rlim_max = before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int added = add("new", 2, &err);
        int renamed = gw_registry_rename("old", "older", &err);
        setrlimit(RLIMIT_FSIZE, &before);
        snprintf(path, sizeof(path), "%s/new.json.new", gw_registry_dir());
        assert_int_equal(access(path, F_OK), -1);
        if (added == 0 && renamed == 0)
            break;
        failed++;
        assert_non_null(strstr(err.message, "File too large"));
        assert_int_equal(gw_registry_list(&all, &n, &err), 0);
        assert_int_equal(n, 1 + (added == 0));
        gw_record_list_free(all, n);
        assert_int_equal(gw_registry_find(renamed ? "old" : "older", &r, &err), 0);
        gw_record_free(&r);
        if (added == 0)
            assert_int_equal(gw_registry_remove("new", 2, &err), 0);
        if (renamed == 0)
            assert_int_equal(gw_registry_rename("older", "old", &err), 0);
    }
    assert_true(failed > 5);
    assert_int_equal(gw_registry_remove("new", 2, &err), 0);
    assert_int_equal(gw_registry_remove("older", 1, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_rename_and_remove),
        cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_concurrent_adds),
        cmocka_unit_test(test_log_owner),     cmocka_unit_test(test_log_handover),
        cmocka_unit_test(test_log_mark),      cmocka_unit_test(test_disk_full),
    };

    return cmocka_run_group_tests_name("registry", tests, support_setup, support_teardown);
}
