/* SPDX-License-Identifier: MIT */
/*
 * The connection ends, or falls silent, after any byte of either direction: afterwards there is one
 * guest that may run, nothing else is left on either host, and a guest that is still at the source
 * can be moved at once.
 */
#include "fake_host.h"
#include "wire.h"

#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STALL_MS 300

/* How many bytes a whole migration carries each way: written by the wire. */
static _Atomic uint64_t *carried;

struct fixture {
    struct fake_world *world;
    struct migrate_opener source;
    struct fake_guest *guest;
    pid_t vcpus;
    char fd_text[16], carried_text[16], plan_text[64];
    char *command[8];
    struct gw_migrate_options options;
    struct gw_error err;
};

static int carried_fd;

static void begin(struct fixture *f, unsigned busy)
{
    int fd;

    memset(f, 0, sizeof(*f));
    f->world = fake_world_create(&fd);
    assert_non_null(f->world);
    f->source = fake_opener(f->world, 0);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    f->world->busy = busy;
    snprintf(f->fd_text, sizeof(f->fd_text), "%d", fd);
    snprintf(f->carried_text, sizeof(f->carried_text), "%d", carried_fd);
    f->command[0] = "/proc/self/exe";
    f->command[1] = "--wire";
    f->command[2] = f->plan_text;
    f->command[3] = f->carried_text;
    f->command[4] = f->fd_text;
    f->options = (struct gw_migrate_options){
        .name = "web",
        .host = "south",
        .transport.command = f->command,
        .verify = true,
        .limits = {.max_rounds = 2, .on_timeout = GW_ON_TIMEOUT_STOP},
        .stall_ms = STALL_MS,
        .opener = &f->source,
    };
    f->vcpus = fork(); /* a process: what forks here must have one thread */
    if (f->vcpus == 0) {
        fake_vcpus(f->world);
        _exit(0);
    }
}

static void finish(struct fixture *f)
{
    f->world->stop = true;
    waitpid(f->vcpus, NULL, 0);
    close(atoi(f->fd_text));
    munmap(f->world, sizeof(*f->world));
}

static int migrate(struct fixture *f, const struct wire_plan *plan)
{
    memset(&f->err, 0, sizeof(f->err));
    wire_plan_print(plan, f->plan_text);
    return gw_migrate(&f->options, &f->err);
}

/* What is there of the guest at the destination, once the receiver has put things right. */
static struct fake_guest *settled_destination(struct fixture *f, bool expected)
{
    for (int i = 0; i < 400; i++) {
        struct fake_guest *there = NULL;
        for (unsigned g = 0; g < FAKE_GUESTS; g++)
            if (f->world->hosts[1].guests[g].used)
                there = &f->world->hosts[1].guests[g];
        if (!there || (expected && !there->pauses))
            return there;
        usleep(10000);
    }
    fail_msg("%s: a guest is left behind at the destination", f->plan_text);
    return NULL;
}

static void assert_one_guest(struct fixture *f, int status)
{
    struct fake_guest *there = settled_destination(f, status != GW_EXIT_MIGRATE_FAILED);

    if (f->world->ran_twice)
        fail_msg("%s: it ran twice", f->plan_text);
    assert_int_equal(f->world->hosts[0].mapped_pages, 0);
    assert_int_equal(f->world->hosts[1].mapped_pages, 0);
    switch (status) {
    case GW_EXIT_OK:
        assert_true(there && !f->guest->used);
        return;
    case GW_EXIT_MIGRATE_FAILED:
    case GW_EXIT_UNSUPPORTED:
        assert_true(!there && f->guest->used);
        assert_int_equal(f->guest->pauses, 0);
        break;
    case GW_EXIT_MIGRATE_UNKNOWN:
        assert_true(f->guest->used);
        assert_int_equal(f->guest->pauses, 1);
        break;
    default:
        fail_msg("%s: exit status %d, %s", f->plan_text, status, f->err.message);
    }
    assert_false(f->guest->logging);
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        assert_int_equal(f->guest->vcpus[i].percent, 0);
}

static void break_after(enum wire_end end, int back, uint64_t bytes, unsigned outcomes[16])
{
    const struct wire_plan plan = {end, back, bytes}, whole = {WIRE_WHOLE, 0, 0};
    struct fixture f;

    begin(&f, 4);
    int status = migrate(&f, &plan);
    assert_one_guest(&f, status);
    outcomes[status & 15]++;
    if (status == GW_EXIT_MIGRATE_FAILED) {
        f.options.stall_ms = 20000;
        status = migrate(&f, &whole);
        if (status)
            fail_msg("after %s it cannot be moved: %s", f.plan_text, f.err.message);
        assert_one_guest(&f, status);
    }
    finish(&f);
}

/* An idle guest: how much a migration carries, to choose the places from. */
static void measure(uint64_t ret_bytes[2])
{
    const struct wire_plan whole = {WIRE_WHOLE, 0, 0};
    struct fixture f;

    begin(&f, 0);
    f.options.stall_ms = 20000;
    int status = migrate(&f, &whole);
    if (status)
        fail_msg("%s", f.err.message);
    finish(&f);
    for (int i = 0; i < 500 && !carried[1]; i++)
        usleep(10000);
    ret_bytes[0] = carried[0];
    ret_bytes[1] = carried[1];
    assert_true(ret_bytes[0] > 100000 && ret_bytes[1] >= 64);
}

/* The first 300 bytes are greetings and headers, the last 200 checksum, END and GO. */
static uint64_t place(uint64_t total, unsigned i, unsigned n)
{
    if (i < n / 3)
        return 300 * i / (n / 3);
    if (i < 2 * (n / 3))
        return 300 + (total - 500) * (i - n / 3) / (n / 3);
    return total - 200 + 200 * (i - 2 * (n / 3)) / (n - 2 * (n / 3));
}

static unsigned places(void)
{
    return getenv("GODWIT_TEST_LONG") ? 240 : 24;
}

static void test_cut_on_the_way_there(void **state)
{
    unsigned outcomes[16] = {0};
    uint64_t bytes[2];

    measure(bytes);
    for (unsigned i = 0; i < places(); i++)
        break_after(WIRE_CUT, 0, place(bytes[0], i, places()), outcomes);
    assert_true(outcomes[GW_EXIT_MIGRATE_FAILED] > places() / 2);
}

/* Every byte of the answers: the last message is the one that says that the guest runs. */
static void test_cut_on_the_way_back(void **state)
{
    unsigned outcomes[16] = {0};
    uint64_t bytes[2], step = getenv("GODWIT_TEST_LONG") ? 1 : 6;

    measure(bytes);
    for (uint64_t i = 0; i < bytes[1]; i += step)
        break_after(WIRE_CUT, 1, i, outcomes);
    break_after(WIRE_CUT, 1, bytes[1] - 1, outcomes);
    assert_true(outcomes[GW_EXIT_MIGRATE_FAILED] > 0 && outcomes[GW_EXIT_MIGRATE_UNKNOWN] > 0);
}

static void test_silence(void **state)
{
    unsigned outcomes[16] = {0}, n = places() / 4;
    uint64_t bytes[2];

    measure(bytes);
    for (unsigned i = 0; i < n; i++) {
        break_after(WIRE_SILENT, 0, place(bytes[0], i, n), outcomes);
        break_after(WIRE_SILENT, 1, bytes[1] * i / n, outcomes);
    }
    break_after(WIRE_SILENT, 1, bytes[1] - 1, outcomes);
    assert_true(outcomes[GW_EXIT_MIGRATE_FAILED] > n && outcomes[GW_EXIT_MIGRATE_UNKNOWN] > 0);
}

static int receive(int fd)
{
    struct migrate_opener opener = fake_opener(fake_world_open(fd), 1);
    struct gw_receive_options options = {.stall_ms = 2 * STALL_MS, .opener = &opener};
    struct gw_error err = {0};

    return gw_migrate_receive(&options, 0, 1, &err);
}

static int carry(char **argv)
{
    char *behind[] = {"/proc/self/exe", "--receive", argv[4], NULL};
    struct wire_plan plan = wire_plan_read(argv[2]);
    uint64_t bytes[2];
    _Atomic uint64_t *totals =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[3]), 0);
    int rc = wire_run(&plan, behind, bytes);

    if (totals != MAP_FAILED) {
        totals[0] = bytes[0];
        totals[1] = bytes[1];
    }
    return rc;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return receive(atoi(argv[2]));
    if (argc == 5)
        return carry(argv);
    carried_fd = memfd_create("carried", 0);
    if (ftruncate(carried_fd, 4096))
        return 1;
    carried = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, carried_fd, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_on_the_way_there),
        cmocka_unit_test(test_cut_on_the_way_back),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
