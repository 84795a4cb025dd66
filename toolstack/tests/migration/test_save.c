/* SPDX-License-Identifier: MIT */
/* Save and restore on a fake host: files that are whole, damaged, made up or could not be written.
 */
#include "fake_save.h"

#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct fake_save *base;
    struct fake_world *world;
    struct fake_guest *guest;
    const char *file;
    char partial[128];
    struct gw_save_options save;
    struct gw_restore_options restore;
    struct gw_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->base = fake_save_begin(8);
    assert_non_null(f->base);
    f->world = f->base->world;
    f->guest = f->base->guest;
    f->file = f->base->files[0];
    snprintf(f->partial, sizeof(f->partial), "%s.partial", f->file);
    f->save = (struct gw_save_options){.name = "web", .path = f->file, .opener = &f->base->opener};
    f->restore = (struct gw_restore_options){.path = f->file, .opener = &f->base->opener};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_true(fake_save_end(f->base)); /* nothing is ever left behind */
    free(f);
    return 0;
}

static int save(struct fixture *f)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_save(&f->save, &f->err);
}

static int restore(struct fixture *f)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_restore(&f->restore, &f->err);
}

static void assert_saves(struct fixture *f)
{
    if (save(f))
        fail_msg("%s", f->err.message);
}

static void assert_sound(struct fake_guest *guest)
{
    assert_non_null(guest);
    fake_guest_pause(guest);
    assert_true(fake_guest_is_sound(guest));
    fake_guest_unpause(guest);
}

static unsigned guests(struct fixture *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        n += f->world->hosts[0].guests[i].used;
    return n;
}

static void test_save_and_restore(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    uint8_t *memory = malloc(sizeof(f->guest->memory));

    assert_saves(f);
    assert_false(f->guest->used);
    memcpy(memory, f->guest->memory, sizeof(f->guest->memory));
    assert_int_equal(stat(f->file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    f->restore.paused = true;
    if (restore(f))
        fail_msg("%s", f->err.message);
    struct fake_guest *back = fake_guest_find(&f->world->hosts[0], "web");
    assert_non_null(back);
    assert_int_equal(back->pauses, 1);
    assert_memory_equal(back->memory, memory, sizeof(back->memory));
    assert_int_equal(back->state[63], 0xA5);
    free(memory);

    /* The same file can be restored again, but not beside its twin. */
    assert_int_equal(restore(f), GW_EXIT_STATE);
    assert_int_equal(guests(f), 1);
    back->used = false;
    f->restore.paused = false;
    assert_int_equal(restore(f), 0);
    back = fake_guest_find(&f->world->hosts[0], "web");
    assert_int_equal(back->pauses, 0);
    assert_sound(back);
}

/* Page types are in the file, are made again after the last page, and a lie about it is found. */
static void test_readonly_memory(void **state)
{
    struct fixture *f = *state;
    struct fake_guest *back;

    f->guest->readonly[1] = f->guest->readonly[2] = true;
    f->guest->readonly[200] = f->guest->readonly[FAKE_PAGES - 1] = true;
    assert_saves(f);
    f->restore.paused = true;
    if (restore(f))
        fail_msg("%s", f->err.message);
    back = fake_guest_find(&f->world->hosts[0], "web");
    assert_non_null(back);
    for (unsigned page = 0; page < FAKE_PAGES; page++)
        assert_int_equal(back->readonly[page],
                         page == 1 || page == 2 || page == 200 || page == FAKE_PAGES - 1);
    assert_true(fake_guest_is_sound(back));
}

static void test_checkpoint(void **state)
{
    struct fixture *f = *state;

    f->save.after = GW_SAVE_RUN_ON;
    assert_saves(f);
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
    f->save.after = GW_SAVE_STAY_PAUSED;
    assert_saves(f); /* replaces the file */
    assert_int_equal(f->guest->pauses, 1);
    assert_saves(f); /* of a paused guest: one pause is still enough */
    assert_int_equal(f->guest->pauses, 1);
    f->guest->used = false;
    assert_int_equal(restore(f), 0);
    assert_int_equal(fake_guest_find(&f->world->hosts[0], "web")->pauses, 1); /* as it was saved */
}

static void assert_not_saved(struct fixture *f, const char *why)
{
    if (!save(f))
        fail_msg("saved, in spite of %s", why);
    if (!strstr(f->err.message, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.message);
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
    assert_int_equal(access(f->partial, F_OK), -1);
    assert_sound(f->guest);
}

static void test_failures_of_save(void **state)
{
    static const char *const steps[] = {"save-stopped", "save-head", "save-pages", "save-end"};
    static const char *const actions[] = {"error", "kill", "cancel"};
    struct fixture *f = *state;
    char fail_at[64];

    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 3; j++) {
            if (i == 3 && j == 2)
                continue; /* nothing is left to be cancelled then */
            snprintf(fail_at, sizeof(fail_at), "%s:%s", steps[i], actions[j]);
            setenv("GODWIT_FAIL_AT", fail_at, 1);
            assert_not_saved(f, j == 0 ? "GODWIT_FAIL_AT" : j == 1 ? "killed" : "cancelled");
            assert_int_equal(access(f->file, F_OK), -1);
        }
    unsetenv("GODWIT_FAIL_AT");
    f->world->hosts[0].refuse_pause = true;
    assert_not_saved(f, "does not pause");
    f->world->hosts[0].refuse_pause = false;
    assert_saves(f);
}

/* An older file with the same name survives a save that fails. */
static void test_disk_full(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small = {.rlim_cur = 300000, .rlim_max = RLIM_INFINITY};

    f->save.after = GW_SAVE_RUN_ON;
    assert_saves(f);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_not_saved(f, "File too large");
    setrlimit(RLIMIT_FSIZE, &old);
    f->save.path = "/dev/full";
    assert_not_saved(f, "No space left");
    f->save.path = "/nonexistent/file";
    assert_int_equal(save(f), GW_EXIT_FAILED);
    f->guest->used = false;
    assert_int_equal(restore(f), 0);
}

static size_t read_file(struct fixture *f, uint8_t *data, size_t bytes)
{
    int fd = open(f->file, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, data, bytes);

    close(fd);
    assert_true(n > 0);
    return (size_t)n;
}

static void write_file(struct fixture *f, const uint8_t *data, size_t bytes)
{
    int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, data, bytes), bytes);
    close(fd);
}

static void assert_check(struct fixture *f, int wanted)
{
    struct gw_stream_summary summary;
    struct gw_error err = {0};

    assert_int_equal(gw_stream_check(f->file, NULL, &summary, &err), wanted ? -1 : 0);
    assert_int_equal(err.code, wanted);
    if (wanted)
        return;
    assert_string_equal(summary.name, "web");
    assert_int_equal(summary.pages, FAKE_PAGES);
    assert_true(summary.zero_pages > 0 && summary.zero_pages < FAKE_PAGES);
    assert_string_equal(summary.versions, "a fake host");
}

static void assert_not_restored(struct fixture *f, const char *why)
{
    int status = restore(f);

    if (status == 0)
        fail_msg("restored, in spite of %s", why);
    if (!strstr(f->err.message, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.message);
    assert_int_equal(guests(f), 0);
}

static void test_damaged_files(void **state)
{
    static uint8_t data[4 << 20], copy[4 << 20];
    struct fixture *f = *state;

    assert_saves(f);
    size_t n = read_file(f, data, sizeof(data));
    assert_check(f, 0);
    for (size_t cut = 1; cut < n; cut += n / 23) {
        write_file(f, data, cut);
        assert_not_restored(f, "ends too early");
        assert_check(f, GW_EXIT_CONFIG);
        assert_non_null(strstr(f->err.message, "offset"));
    }
    for (unsigned i = 1; n > 0 && i < 40; i++) {
        size_t at = (size_t)i * 2654435761u % n;
        memcpy(copy, data, n);
        copy[at] ^= (uint8_t)(1u << (i % 8));
        write_file(f, copy, n);
        assert_not_restored(f, "");
        assert_check(f, GW_EXIT_CONFIG);
    }
    for (size_t i = 0; i < sizeof(copy); i++)
        copy[i] = (uint8_t)(i * i >> 3);
    write_file(f, copy, 100000);
    assert_not_restored(f, "not a saved");
    write_file(f, data, n);
    assert_int_equal(restore(f), 0);
}

/* A stream that is right in form but leaves out a page. */
static void test_missing_page(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].other_layout = true; /* whoever reads back finds other frames */
    assert_int_equal(save(f), GW_EXIT_FAILED);
    f->world->hosts[0].other_layout = false;
    assert_saves(f);
    f->world->hosts[0].other_layout = true;
    assert_not_restored(f, "laid out differently");
}

static void test_failures_of_restore(void **state)
{
    static const char *const steps[] = {"dest-config", "dest-created", "dest-pages", "dest-state",
                                        "restore-finish"};
    static const char *const actions[] = {"error", "kill"};
    struct fixture *f = *state;
    char fail_at[64];

    assert_saves(f);
    for (unsigned i = 0; i < 5; i++)
        for (unsigned j = 0; j < 2; j++) {
            snprintf(fail_at, sizeof(fail_at), "%s:%s", steps[i], actions[j]);
            setenv("GODWIT_FAIL_AT", fail_at, 1);
            assert_not_restored(f, j ? "killed" : "GODWIT_FAIL_AT");
        }
    unsetenv("GODWIT_FAIL_AT");
    f->world->hosts[0].facts.id[0] = 7;
    assert_not_restored(f, "ID_AA64PFR0_EL1");
    f->world->hosts[0].facts.id[0] = 0;
    f->restore.path = "/nonexistent/file";
    assert_not_restored(f, "cannot open");
    f->restore.path = f->base->folder;
    assert_not_restored(f, "cannot be read");
    f->restore.path = f->file;
    assert_int_equal(restore(f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_save_and_restore), TEST(test_readonly_memory),     TEST(test_checkpoint),
        TEST(test_failures_of_save), TEST(test_disk_full),           TEST(test_damaged_files),
        TEST(test_missing_page),     TEST(test_failures_of_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
