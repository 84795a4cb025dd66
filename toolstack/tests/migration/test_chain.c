/* SPDX-License-Identifier: MIT */
/* Live and incremental saves on a fake host, and what is restored from chains of them. */
#include "fake_save.h"

#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Pages that the guest of a chain writes to, however fast it is. With its table and its console
 * they are few enough for a live save to stop at once after the first round: none is in a file more
 * than twice.
 */
#define SPAN 48

/* Of the guest, when the chain ended. */
static uint8_t memory_then[FAKE_PAGES][STREAM_PAGE_BYTES];

static int set_up(void **state)
{
    *state = fake_save_begin(1);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    assert_true(fake_save_end(*state)); /* nothing else is ever left behind */
    return 0;
}

static void assert_saves(struct fake_save *f, const struct gw_save_options *o)
{
    if (fake_save_run(f, o))
        fail_msg("%s", f->err.message);
}

static void assert_refused(struct fake_save *f, const struct gw_save_options *o, const char *why)
{
    if (fake_save_run(f, o) == 0)
        fail_msg("saved, in spite of %s", why);
    if (!strstr(f->err.message, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.message);
    assert_int_equal(f->guest->pauses, 0);
}

static void assert_not_restored(struct fake_save *f, const unsigned *which, unsigned n,
                                const char *why)
{
    if (fake_save_restore(f, which, n) == 0)
        fail_msg("restored, in spite of %s", why);
    if (!strstr(f->err.message, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.message);
    assert_null(fake_save_guest(f));
}

/* Three files, the last of a guest that has stopped with memory_then. */
static void make_chain(struct fake_save *f, bool live)
{
    struct gw_save_options o = fake_save_options(f, 0, -1);

    f->world->span = SPAN;
    o.live = live;
    assert_saves(f, &o);
    assert_true(f->guest->logging);
    fake_save_let_work(f);
    o = fake_save_options(f, 1, 0);
    o.live = live;
    assert_saves(f, &o);
    fake_save_let_work(f);
    o = fake_save_options(f, 2, 1);
    o.live = live;
    o.after = GW_SAVE_DESTROY;
    o.incremental = false;
    assert_saves(f, &o);
    assert_false(f->guest->used);
    memcpy(memory_then, f->guest->memory, sizeof(memory_then));
}

static off_t size_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void test_chain(struct fake_save *f, bool live)
{
    static const unsigned all[] = {0, 1, 2}, last[] = {2}, two[] = {0, 1};

    make_chain(f, live);
    /* The full one has two thirds of all pages; the comparison's sums are 4 bytes for each. */
    assert_true(size_of(f->files[0]) > FAKE_PAGES * STREAM_PAGE_BYTES / 2);
    assert_true(size_of(f->files[1]) < 2 * (SPAN + 4) * STREAM_PAGE_BYTES);
    assert_true(size_of(f->files[2]) < 2 * (SPAN + 4) * STREAM_PAGE_BYTES);
    if (fake_save_restore(f, all, 3))
        fail_msg("%s", f->err.message);
    assert_memory_equal(fake_save_guest(f)->memory, memory_then,
                        sizeof(fake_save_guest(f)->memory));
    fake_save_guest(f)->used = false;
    if (fake_save_restore(f, last, 1)) /* finds the others by itself */
        fail_msg("%s", f->err.message);
    assert_memory_equal(fake_save_guest(f)->memory, memory_then,
                        sizeof(fake_save_guest(f)->memory));
    fake_save_guest(f)->used = false;
    if (fake_save_restore(f, two, 2)) /* an earlier point */
        fail_msg("%s", f->err.message);
    assert_true(fake_guest_is_sound(fake_save_guest(f)));
    assert_memory_not_equal(fake_save_guest(f)->memory, memory_then,
                            sizeof(fake_save_guest(f)->memory));
}

static void test_stopped_chain(void **state)
{
    test_chain(*state, false);
}

static void test_live_chain(void **state)
{
    test_chain(*state, true);
}

static void test_live(void **state)
{
    static const unsigned first[] = {0};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);

    o.live = true;
    o.incremental = false;
    o.after = GW_SAVE_DESTROY;
    f->world->busy = 8;
    uint64_t steps = f->guest->steps;
    assert_saves(f, &o);
    assert_true(f->guest->steps > steps); /* it has run on */
    assert_true(f->world->hosts[0].log_takes >= 2);
    assert_false(f->guest->used);
    if (fake_save_restore(f, first, 1))
        fail_msg("%s", f->err.message);
    assert_memory_equal(fake_save_guest(f)->memory, f->guest->memory, sizeof(f->guest->memory));
    assert_true(fake_guest_is_sound(fake_save_guest(f)));
}

/* Afterwards it runs on as before, not logged. */
static void test_live_checkpoint(void **state)
{
    static const unsigned first[] = {0};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);

    o.live = true;
    o.incremental = false;
    o.compress_level = 1;
    assert_saves(f, &o);
    assert_false(f->guest->logging);
    assert_int_equal(f->guest->pauses, 0);
    fake_save_let_work(f);
    f->guest->used = false;
    if (fake_save_restore(f, first, 1))
        fail_msg("%s", f->err.message);
    assert_true(fake_guest_is_sound(fake_save_guest(f)));
}

static void test_wrong_chains(void **state)
{
    static const unsigned order[] = {0, 2, 1}, gap[] = {0, 2}, headless[] = {1, 2},
                          twice[] = {0, 0}, all[] = {0, 1, 2}, last[] = {2}, foreign[] = {3, 1, 2};
    struct fake_save *f = *state;
    char hidden[128];

    make_chain(f, false);
    assert_not_restored(f, order, 3, "is missing");
    assert_not_restored(f, gap, 2, "is missing");
    assert_not_restored(f, headless, 2, "is missing");
    assert_not_restored(f, twice, 2, "only the first file may be one");

    /* Another chain of the same guest, and another guest. */
    struct gw_save_options o = fake_save_options(f, 3, -1);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    assert_saves(f, &o);
    f->guest->used = false;
    assert_not_restored(f, foreign, 3, "does not follow");
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    memcpy(f->guest->config.uuid, "another guest!!!", 16);
    assert_saves(f, &o);
    f->guest->used = false;
    assert_not_restored(f, foreign, 3, "another guest");

    /* A missing file, by name. */
    snprintf(hidden, sizeof(hidden), "%s.hidden", f->files[1]);
    assert_int_equal(rename(f->files[1], hidden), 0);
    assert_not_restored(f, last, 1, "needs 1.save");
    assert_int_equal(rename(hidden, f->files[1]), 0);

    /* A changed one: with a checksum that is right again. */
    int fd = open(f->files[0], O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, size_of(f->files[0]) / 2), 1);
    close(fd);
    assert_not_restored(f, all, 3, "checksum is wrong");
}

static void test_changed_base(void **state)
{
    static const unsigned both[] = {0, 1};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);
    uint8_t crc[4];

    assert_saves(f, &o);
    o = fake_save_options(f, 1, 0);
    assert_saves(f, &o);
    f->guest->used = false;
    /* Whoever changes the base and puts its checksums right is found by the next file. */
    int fd = open(f->files[0], O_RDWR | O_CLOEXEC);
    off_t end = size_of(f->files[0]);
    assert_int_equal(pread(fd, crc, 4, end - 16), 4);
    crc[0] ^= 1;
    assert_int_equal(pwrite(fd, crc, 4, end - 16), 4);
    close(fd);
    assert_not_restored(f, both, 2, "checksum is wrong");
}

/* The log is not the one that the save left on. */
static void test_epochs(void **state)
{
    static char elsewhere[128];
    struct fake_save *f = *state;
    struct gw_save_options full = fake_save_options(f, 0, -1), more = fake_save_options(f, 1, 0);

    assert_saves(f, &full);
    f->guest->log_epoch++; /* somebody's CLEAN */
    assert_refused(f, &more, "take a full save");
    assert_true(f->guest->logging); /* it is the other's now */
    f->guest->logging = false;      /* somebody's OFF */
    assert_refused(f, &more, "take a full save");
    assert_saves(f, &full);
    f->world->hosts[0].boot_id++;
    f->guest->logging = true;
    assert_refused(f, &more, "take a full save");
    f->guest->logging = false;
    assert_saves(f, &full);
    f->guest->domid += 5; /* restarted */
    assert_refused(f, &more, "take a full save");
    f->guest->domid -= 5;
    assert_saves(f, &more);

    /* Each save can be followed by one only. */
    more = fake_save_options(f, 2, 0);
    assert_refused(f, &more, "take a full save");
    more = fake_save_options(f, 1, 1);
    assert_refused(f, &more, "based on itself");
    f->guest->logging = false;
    full.incremental = false;
    assert_saves(f, &full);
    more = fake_save_options(f, 1, 0);
    assert_refused(f, &more, "--incremental");
    full.incremental = true;
    full.after = GW_SAVE_DESTROY;
    assert_refused(f, &full, "nothing can follow");
    snprintf(elsewhere, sizeof(elsewhere), "%s/nothing", f->folder);
    more.since = elsewhere;
    assert_refused(f, &more, "cannot open");
    more.since = "/dev/null";
    assert_refused(f, &more, "not a saved guest");
}

/* Whatever fails: the guest runs on, no log stays on, no file is there, and a full save works. */
static void test_failures(void **state)
{
    static const char *const steps[] = {"save-resumed", "save-taken", "save-round",
                                        "save-stopped", "save-pages", "save-end"};
    static const char *const actions[] = {"error", "kill", "cancel"};
    struct fake_save *f = *state;
    char fail_at[64];

    for (unsigned i = 0; i < 18; i++) {
        struct gw_save_options full = fake_save_options(f, 0, -1),
                               more = fake_save_options(f, 1, 0);

        if (i == 17)
            continue; /* nothing is left to be cancelled then */
        more.live = true;
        assert_saves(f, &full);
        fake_save_let_work(f);
        snprintf(fail_at, sizeof(fail_at), "%s:%s", steps[i / 3], actions[i % 3]);
        setenv("GODWIT_FAIL_AT", fail_at, 1);
        assert_refused(f, &more,
                       i % 3 == 0   ? "GODWIT_FAIL_AT"
                       : i % 3 == 1 ? "killed"
                                    : "cancelled");
        unsetenv("GODWIT_FAIL_AT");
        assert_false(f->guest->logging);
        assert_int_equal(access(f->files[1], F_OK), -1);
        assert_refused(f, &more, "take a full save");
    }
}

static void test_full_disk(void **state)
{
    struct fake_save *f = *state;
    struct gw_save_options full = fake_save_options(f, 0, -1), more = fake_save_options(f, 1, 0);
    struct rlimit old, small;

    assert_saves(f, &full);
    for (unsigned i = 0; i < 5; i++)
        fake_save_let_work(f);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 100000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    more.live = true;
    assert_refused(f, &more, "File too large");
    assert_non_null(strstr(f->err.message, "the next save must be a full one"));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(f->guest->logging);
    assert_saves(f, &full);
}

/* Two saves to one file: the second one is refused, and does no harm to the first. */
static void test_same_file(void **state)
{
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);
    char partial[128];

    snprintf(partial, sizeof(partial), "%s.partial", f->files[0]);
    int fd = open(partial, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;

    assert_int_equal(write(fd, "half", 4), 4);
    pid_t pid = fork();
    if (pid == 0) {
        int own = open(partial, O_RDWR | O_CLOEXEC);
        _exit(own < 0 || flock(own, LOCK_EX) || raise(SIGSTOP));
    }
    int child;
    waitpid(pid, &child, WUNTRACED);
    assert_refused(f, &o, "another save is writing");
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(status.st_nlink, 1);
    kill(pid, SIGKILL);
    waitpid(pid, &child, 0);
    assert_saves(f, &o); /* one that was left behind is taken over */
    close(fd);
}

/* A memory that is not as it was is found. */
static void test_verify(void **state)
{
    static const unsigned first[] = {0};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);

    o.after = GW_SAVE_DESTROY;
    o.incremental = false;
    assert_saves(f, &o);
    f->world->hosts[0].corrupt_write = true;
    assert_not_restored(f, first, 1, "1 pages are not as they were");
    f->world->hosts[0].corrupt_write = false;
    if (fake_save_restore(f, first, 1))
        fail_msg("%s", f->err.message);
    f->guest = fake_save_guest(f);
    o.verify = false;
    assert_saves(f, &o);
    assert_not_restored(f, first, 1, "nothing to compare with");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_live),       TEST(test_live_checkpoint), TEST(test_stopped_chain),
        TEST(test_live_chain), TEST(test_wrong_chains),    TEST(test_changed_base),
        TEST(test_epochs),     TEST(test_failures),        TEST(test_full_disk),
        TEST(test_same_file),  TEST(test_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
