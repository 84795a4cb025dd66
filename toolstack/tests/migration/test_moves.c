/* SPDX-License-Identifier: MIT */
/* Moves in a row between three fake hosts, mixed with saves, and of eight guests at once. */
#include "fake_host.h"

#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FILES  4 /* the last one for saves that are refused */
#define GUESTS 8

struct fixture {
    struct fake_world *world;
    struct migrate_opener openers[FAKE_HOSTS];
    pthread_t vcpus;
    int fd;
    char fd_text[16];
    char folder[64], files[FILES][96];
    struct gw_error err;
};

/* What a child that moves a guest says: in memory shared with it. */
struct outcome {
    pid_t pid;
    int status;
    struct gw_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->world = fake_world_create(&f->fd);
    assert_non_null(f->world);
    for (unsigned i = 0; i < FAKE_HOSTS; i++)
        f->openers[i] = fake_opener(f->world, i);
    snprintf(f->fd_text, sizeof(f->fd_text), "%d", f->fd);
    strcpy(f->folder, "/tmp/godwit-moves-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    for (unsigned i = 0; i < FILES; i++)
        snprintf(f->files[i], sizeof(f->files[i]), "%s/%u.save", f->folder, i);
    f->world->busy = 8;
    f->vcpus = fake_vcpus_start(f->world);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    f->world->stop = true;
    pthread_join(f->vcpus, NULL);
    close(f->fd);
    munmap(f->world, sizeof(*f->world));
    for (unsigned i = 0; i < FILES; i++)
        unlink(f->files[i]);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else is ever left behind */
    free(f);
    return 0;
}

static int move(struct fixture *f, const char *name, unsigned from, unsigned to,
                struct gw_error *err)
{
    char to_text[2] = {(char)('0' + to), '\0'};
    char *command[] = {"/proc/self/exe", to_text, f->fd_text, NULL};
    struct gw_migrate_options options = {
        .name = name,
        .host = to_text,
        .transport.command = command,
        /* so that the number of rounds decides */
        .limits = {.max_rounds = 3, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP},
        .stall_ms = 60000,
        .verify = true,
        .opener = &f->openers[from],
    };

    memset(err, 0, sizeof(*err));
    return gw_migrate(&options, err);
}

/* It runs, is as it should be, and has nothing left of a log; n guests are on its host in all. */
static void assert_well(struct fixture *f, const char *name, unsigned at, unsigned n)
{
    struct fake_host *host = &f->world->hosts[at];
    struct fake_guest *guest = fake_guest_find(host, name);

    assert_non_null(guest);
    assert_false(guest->logging);
    assert_false(guest->split);
    uint64_t before = guest->steps;
    for (int i = 0; i < 20000 && guest->steps < before + 2; i++)
        usleep(1000);
    assert_true(guest->steps >= before + 2);
    fake_guest_pause(guest);
    assert_true(fake_guest_is_sound(guest));
    fake_guest_unpause(guest);
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        assert_int_equal(guest->vcpus[i].percent, 0);
    assert_int_equal(host->frames, n * FAKE_GUEST_FRAMES);
    assert_false(f->world->ran_twice);
}

static void assert_empty(struct fixture *f, unsigned at)
{
    struct fake_host *host = &f->world->hosts[at];

    for (int i = 0; i < 20000 && host->frames; i++)
        usleep(1000);
    assert_int_equal(host->frames, 0);
}

/* The only guest. */
static void assert_moves(struct fixture *f, unsigned from, unsigned to)
{
    if (move(f, "web", from, to, &f->err))
        fail_msg("from %u to %u: %s", from, to, f->err.message);
    assert_well(f, "web", to, 1);
    for (unsigned i = 0; i < FAKE_HOSTS; i++)
        if (i != to)
            assert_empty(f, i);
}

static unsigned times(unsigned n, unsigned n_long)
{
    return getenv("GODWIT_TEST_LONG") ? n_long : n;
}

static void test_there_and_back(void **state)
{
    struct fixture *f = *state;

    fake_guest_add(&f->world->hosts[0], "web");
    for (unsigned i = 0; i < times(50, 500); i++) {
        assert_moves(f, 0, 1);
        assert_moves(f, 1, 0);
    }
}

static void test_around_three_hosts(void **state)
{
    struct fixture *f = *state;

    fake_guest_add(&f->world->hosts[0], "web");
    for (unsigned i = 0; i < times(15, 300); i++)
        assert_moves(f, i % FAKE_HOSTS, (i + 1) % FAKE_HOSTS);
}

/* since: a file, or -1. */
static int save(struct fixture *f, unsigned at, unsigned file, int since, bool live,
                enum gw_after_save after)
{
    struct gw_save_options o = {.name = "web",
                                .path = f->files[file],
                                .since = since < 0 ? NULL : f->files[since],
                                .after = after,
                                .live = live,
                                .incremental = after != GW_SAVE_DESTROY,
                                .verify = true,
                                .opener = &f->openers[at]};

    memset(&f->err, 0, sizeof(f->err));
    return gw_save(&o, &f->err);
}

static void assert_saves(struct fixture *f, unsigned at, unsigned file, int since, bool live,
                         enum gw_after_save after)
{
    if (save(f, at, file, since, live, after))
        fail_msg("file %u: %s", file, f->err.message);
}

static void assert_nothing_follows(struct fixture *f, unsigned at, unsigned file)
{
    assert_int_equal(save(f, at, FILES - 1, (int)file, true, GW_SAVE_RUN_ON), GW_EXIT_STATE);
    assert_non_null(strstr(f->err.message, "take a full save"));
}

static void assert_restores(struct fixture *f, unsigned at, unsigned file)
{
    struct gw_restore_options o = {
        .path = f->files[file], .verify = true, .opener = &f->openers[at]};

    memset(&f->err, 0, sizeof(f->err));
    if (gw_restore(&o, &f->err))
        fail_msg("file %u: %s", file, f->err.message);
    assert_well(f, "web", at, 1);
}

/* Each step goes on from what the one before has left, the log of a chain of saves above all. */
static void test_saves_and_moves_mixed(void **state)
{
    struct fixture *f = *state;
    unsigned at = 0, next;

    fake_guest_add(&f->world->hosts[0], "web");
    for (unsigned i = 0; i < times(5, 100); i++, at = (next + 1) % FAKE_HOSTS) {
        next = (at + 1) % FAKE_HOSTS;
        assert_saves(f, at, 0, -1, i % 2, GW_SAVE_RUN_ON);
        assert_saves(f, at, 1, 0, i % 3, GW_SAVE_RUN_ON);
        assert_nothing_follows(f, at, 0);
        /* A move takes the log, whatever becomes of it. */
        f->world->hosts[next].refuse_create = true;
        assert_int_equal(move(f, "web", at, next, &f->err), GW_EXIT_MIGRATE_FAILED);
        f->world->hosts[next].refuse_create = false;
        assert_saves(f, at, 2, 1, true, GW_SAVE_RUN_ON); /* it did not get that far */
        setenv("GODWIT_FAIL_AT", "source-final:error", 1);
        assert_int_equal(move(f, "web", at, next, &f->err), GW_EXIT_MIGRATE_FAILED);
        unsetenv("GODWIT_FAIL_AT");
        assert_well(f, "web", at, 1);
        assert_nothing_follows(f, at, 2);
        assert_saves(f, at, 0, -1, true, GW_SAVE_RUN_ON);
        assert_moves(f, at, next);
        assert_nothing_follows(f, next, 0);
        assert_saves(f, next, 0, -1, true, GW_SAVE_RUN_ON);
        assert_saves(f, next, 1, 0, i % 2, GW_SAVE_DESTROY);
        assert_empty(f, next);
        assert_restores(f, (next + 1) % FAKE_HOSTS, 1);
    }
}

/* Each in a process of its own, as from so many shells. */
static void move_all(struct fixture *f, struct outcome *outcomes, unsigned from, unsigned to)
{
    char name[16];

    for (unsigned i = 0; i < GUESTS; i++) {
        snprintf(name, sizeof(name), "web%u", i);
        outcomes[i].status = -1;
        pid_t pid = fake_guest_find(&f->world->hosts[from], name) ? fork() : -1;
        if (pid == 0) {
            outcomes[i].status = move(f, name, from, to, &outcomes[i].err);
            _exit(0);
        }
        outcomes[i].pid = pid;
    }
    for (unsigned i = 0; i < GUESTS; i++)
        if (outcomes[i].pid > 0)
            waitpid(outcomes[i].pid, NULL, 0);
}

/* Returns how many have stayed. Each is where its outcome says, and only there. */
static unsigned count_left(struct fixture *f, const struct outcome *outcomes, unsigned from,
                           unsigned to)
{
    unsigned left = 0, seen = 0;
    char name[16];

    for (unsigned i = 0; i < GUESTS; i++)
        left += outcomes[i].pid > 0 && outcomes[i].status;
    for (unsigned i = 0; i < GUESTS; i++) {
        bool stayed = outcomes[i].pid > 0 && outcomes[i].status;
        snprintf(name, sizeof(name), "web%u", i);
        if (outcomes[i].status < 0 && outcomes[i].pid > 0)
            fail_msg("%s: the process that moved it has died", name);
        if (stayed && !strstr(outcomes[i].err.message, "not enough memory"))
            fail_msg("%s: %s", name, outcomes[i].err.message);
        assert_null(fake_guest_find(&f->world->hosts[stayed ? to : from], name));
        assert_well(f, name, stayed ? from : to, stayed ? left : GUESTS - left);
        seen++;
    }
    assert_int_equal(seen, GUESTS);
    return left;
}

/* On the way back there is room for five: the others stay, say why, and follow later. */
static void test_eight_at_once(void **state)
{
    struct fixture *f = *state;
    size_t bytes = GUESTS * sizeof(struct outcome);
    struct outcome *outcomes =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char name[16];

    f->world->busy = 2;
    for (unsigned i = 0; i < GUESTS; i++) {
        snprintf(name, sizeof(name), "web%u", i);
        fake_guest_add(&f->world->hosts[0], name)->config.uuid[0] = (uint8_t)i;
    }
    for (unsigned i = 0; i < times(2, 50); i++) {
        move_all(f, outcomes, 0, 1);
        assert_int_equal(count_left(f, outcomes, 0, 1), 0);
        f->world->hosts[0].room = 5;
        move_all(f, outcomes, 1, 0);
        assert_int_equal(count_left(f, outcomes, 1, 0), 3);
        f->world->hosts[0].room = 0;
        move_all(f, outcomes, 1, 0);
        assert_int_equal(count_left(f, outcomes, 1, 0), 0);
    }
    munmap(outcomes, bytes);
}

static int receive(int fd, unsigned host)
{
    struct migrate_opener opener = fake_opener(fake_world_open(fd), host);
    struct gw_receive_options options = {.stall_ms = 60000, .opener = &opener};
    struct gw_error err = {0};

    _exit(gw_migrate_receive(&options, 0, 1, &err));
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return receive(atoi(argv[2]), (unsigned)atoi(argv[1]));
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_around_three_hosts),
        TEST(test_saves_and_moves_mixed),
        TEST(test_eight_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
