/* SPDX-License-Identifier: MIT */
/* Sentences of docs/runbook.md that take an unlike peer or a host that fails at the very end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>

#include "fake_move.h"
#include "handover/handover.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_CALLS 12u /* of the source: all that it does to end a migration is among them */

/* A receiver that greets as another version does, and waits until nobody listens. */
static int greet_as(const char *version, const char *capabilities)
{
    struct handover_hello hello = {.version = (uint32_t)atoi(version),
                                   .capabilities = (uint32_t)atoi(capabilities)};
    struct handover_io io = {.in_fd = -1, .out_fd = 1, .stall_ms = 20000, .peer = "the source"};
    struct gw_error err = {0};
    char byte;

    if (handover_send(&io, HANDOVER_HELLO, &hello, sizeof(hello), &err))
        return 1;
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

static void assert_says(const struct fake_move *m, const char *words)
{
    if (!strstr(m->err.message, words))
        fail_msg("it said \"%s\", not \"%s\"", m->err.message, words);
}

static void assert_unlike_peer(const char *version, const char *capabilities, unsigned streams,
                               const char *words)
{
    struct fake_move *m = fake_move_begin(0);
    char *command[] = {m->command[0], "--greet", (char *)(uintptr_t)version,
                       (char *)(uintptr_t)capabilities, NULL};

    m->options.transport.command = command;
    m->options.streams = streams;
    m->options.compress_level = streams ? 0 : 1;
    assert_int_equal(gw_migrate(&m->options, &m->err), GW_EXIT_MIGRATE_FAILED);
    assert_says(m, words);
    assert_says(m, "; \"web\" runs on here");
    assert_int_equal(m->guest->pauses, 0);
    assert_int_equal(m->world->hosts[0].log_starts, 0);
    fake_move_end(m);
}

static void test_other_versions(void **state)
{
    (void)state;
    assert_unlike_peer("2", "7", 1, "south speaks version 2 of the handover, this is version 1");
    assert_unlike_peer("1", "0", 0,
                       "the godwit at south cannot read compressed pages: use --compress=none");
    assert_unlike_peer("1", "1", 4, "the godwit at south takes one connection only: use --streams");
}

/* Moves a guest whose host has no memory for the given call; its exit status, and the calls so far.
 */
static int move_failing(struct fake_move *m, unsigned call, unsigned *ret_calls)
{
    int status;

    m->world->hosts[0].calls = 0;
    m->world->hosts[0].fail_call = call;
    status = gw_migrate(&m->options, &m->err);
    *ret_calls = m->world->hosts[0].calls;
    m->world->hosts[0].fail_call = 0;
    return status;
}

/* One of the last calls of the source fails, so that it must say both sentences' words. */
static void assert_fails_at_the_end(const char *fail_at, const char *words)
{
    bool said = false;
    unsigned calls, unused;
    struct fake_move *m = fake_move_begin(0);

    setenv("GODWIT_FAIL_AT", fail_at, 1);
    move_failing(m, 0, &calls);
    fake_move_end(m);
    for (unsigned i = 0; i < LAST_CALLS && i < calls && !said; i++) {
        m = fake_move_begin(0);
        setenv("GODWIT_FAIL_AT", fail_at, 1);
        int status = move_failing(m, calls - i, &unused);
        said = strstr(m->err.message, words) != NULL;
        assert_true(!said || status == GW_EXIT_FAILED);
        fake_move_end(m);
    }
    if (!said)
        fail_msg("none of the last %u of %u calls made it say \"%s\"", LAST_CALLS, calls, words);
}

static void test_remnants(void **state)
{
    (void)state;
    assert_fails_at_the_end("none:error",
                            "\"web\" runs at south, but its old copy, which is paused "
                            "here, could not be destroyed (");
    assert_fails_at_the_end("source-final:error", "; and then putting it back failed: ");
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return greet_as(argv[2], argv[3]);
    if (argc == 3)
        fake_move_receive(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_remnants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
