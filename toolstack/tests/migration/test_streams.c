/* SPDX-License-Identifier: MIT */
/* How pages travel: on several connections, compressed, under a limit; and what breaks there. */
#include "fake_host.h"
#include "libgodwit/rate_limit.h"

#include <libgodwit/migrate.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct fake_world *world;
    struct migrate_opener source;
    struct fake_guest *guest;
    pthread_t vcpus;
    char *command[4];
    char fd_text[16];
    struct gw_migrate_options options;
    struct gw_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    f->world = fake_world_create(&fd);
    assert_non_null(f->world);
    f->source = fake_opener(f->world, 0);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    snprintf(f->fd_text, sizeof(f->fd_text), "%d", fd);
    f->command[0] = "/proc/self/exe";
    f->command[1] = "--receive";
    f->command[2] = f->fd_text;
    f->options = (struct gw_migrate_options){
        .name = "web",
        .host = "south",
        .transport.command = f->command,
        .verify = true,
        .max_rounds = 4,
        .max_downtime_ms = 1, /* so that the number of rounds decides */
        .stall_ms = 20000,
        .opener = &f->source,
    };
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
    close(atoi(f->fd_text));
    munmap(f->world, sizeof(*f->world));
    free(f);
    unsetenv("GODWIT_FAIL_AT");
    return 0;
}

static void assert_sound(struct fake_guest *guest)
{
    assert_non_null(guest);
    fake_guest_pause(guest);
    assert_true(fake_guest_is_sound(guest));
    fake_guest_unpause(guest);
}

static int migrate(struct fixture *f)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_migrate(&f->options, &f->err);
}

/* There, and back to where it can be moved from again. */
static void assert_moves(struct fixture *f, unsigned from)
{
    struct migrate_opener opener = fake_opener(f->world, from);
    struct fake_host *to = &f->world->hosts[!from];

    f->options.opener = &opener;
    f->command[1] = from ? "--receive-at-0" : "--receive";
    int status = migrate(f);
    if (status)
        fail_msg("%u streams, level %d: %s", f->options.streams, f->options.compress_level,
                 f->err.message);
    assert_null(fake_guest_find(&f->world->hosts[from], "web"));
    assert_sound(fake_guest_find(to, "web"));
    assert_int_equal(f->world->hosts[0].mapped_pages, 0);
    assert_int_equal(f->world->hosts[1].mapped_pages, 0);
    assert_false(f->world->ran_twice);
}

static void test_all_combinations(void **state)
{
    static const unsigned streams[] = {1, 2, 4, 16};
    static const int levels[] = {0, 1, 19};
    struct fixture *f = *state;
    unsigned from = 0;

    for (unsigned i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        for (unsigned j = 0; j < sizeof(levels) / sizeof(levels[0]); j++) {
            f->options.streams = streams[i];
            f->options.compress_level = levels[j];
            assert_moves(f, from);
            from = !from;
        }
}

static int receive(int fd, unsigned host)
{
    struct fake_world *world = fake_world_open(fd);
    struct migrate_opener opener = fake_opener(world, host);
    struct gw_receive_options options = {.stall_ms = 20000, .opener = &opener};
    struct gw_error err = {0};

    return gw_migrate_receive(&options, 0, 1, &err);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return receive(atoi(argv[2]), !strcmp(argv[1], "--receive"));
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_all_combinations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
