/* SPDX-License-Identifier: MIT */
/* When to stop and when to give up, as a table of cases. */
#include "precopy/precopy_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 8

/* pages, zero pages, ms, dirtied, full throttle */
#define ROUND(p, z, t, d, f)                                                                       \
    {                                                                                              \
        .pages = (p), .zero_pages = (z), .ms = (t), .send_ms = (t), .dirtied = (d),                \
        .full_throttle = (f)                                                                       \
    }

struct policy_case {
    const char *name;
    struct gw_migrate_limits limits;
    uint64_t elapsed_ms, fixed_ms;
    unsigned n;
    struct precopy_round rounds[ROUNDS];
    enum precopy_verdict verdict;
    const char *why;      /* NULL: none */
    uint64_t estimate_ms; /* 0: not looked at */
};

static const struct policy_case cases[] = {
    {"much left after the first round",
     {0},
     10000,
     0,
     1,
     {ROUND(100000, 0, 10000, 60000, false)},
     PRECOPY_GO_ON,
     NULL,
     6000},
    {"zero pages of the first round say nothing about speed",
     {0},
     1000,
     0,
     1,
     {ROUND(100000, 90000, 1000, 5000, false)},
     PRECOPY_GO_ON,
     NULL,
     500},
    {"little left",
     {0},
     16000,
     0,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 2000, false)},
     PRECOPY_STOP,
     "short enough",
     200},
    {"the fixed part counts",
     {0},
     16000,
     101,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 2000, false)},
     PRECOPY_GO_ON,
     NULL,
     301},
    {"exactly the limit",
     {0},
     16000,
     100,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 2000, false)},
     PRECOPY_STOP,
     "short enough",
     300},
    {"another limit",
     {.max_downtime_ms = 3000},
     16000,
     0,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 30000, false)},
     PRECOPY_STOP,
     "short enough",
     3000},
    {"later rounds tell the speed, not the first",
     {0},
     16000,
     0,
     2,
     {ROUND(100000, 0, 100, 10000, false), ROUND(10000, 0, 10000, 1000, false)},
     PRECOPY_GO_ON,
     NULL,
     1000},
    {"a short round has no speed of its own",
     {0},
     16000,
     0,
     3,
     {ROUND(100000, 0, 100, 1000, false), ROUND(1000, 0, 1000, 700, false),
      ROUND(10, 0, 1000, 200, false)},
     PRECOPY_GO_ON,
     NULL,
     397},
    {"a handful of pages says nothing about the speed of many",
     {0},
     16000,
     0,
     1,
     {ROUND(57, 13, 1, 512, false)},
     PRECOPY_GO_ON,
     NULL,
     12},
    {"nor does it matter when no more are left, or it is the last round",
     {.max_rounds = 1},
     16000,
     0,
     1,
     {ROUND(57, 13, 1, 512, false)},
     PRECOPY_STOP,
     "short enough",
     12},
    {"a guest that is all skipped leaves the first round to go by",
     {0},
     16000,
     0,
     2,
     {ROUND(1000, 0, 1000, 200, false), ROUND(0, 0, 0, 200, false)},
     PRECOPY_STOP,
     "short enough",
     200},
    {"idle",
     {0},
     100,
     2,
     1,
     {ROUND(100000, 100000, 100, 0, false)},
     PRECOPY_STOP,
     "short enough",
     2},
    {"not converging, but the throttle has steps left",
     {0},
     30000,
     0,
     3,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 60000, false),
      ROUND(60000, 0, 6000, 60000, true)},
     PRECOPY_GO_ON,
     "not converging",
     6000},
    {"not converging at full throttle",
     {0},
     30000,
     0,
     4,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 60000, false),
      ROUND(60000, 0, 6000, 60000, true), ROUND(60000, 0, 6000, 60000, true)},
     PRECOPY_GIVE_UP,
     "not converging",
     0},
    {"the same, to be stopped",
     {.on_timeout = GW_ON_TIMEOUT_STOP},
     30000,
     0,
     4,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 60000, false),
      ROUND(60000, 0, 6000, 60000, true), ROUND(60000, 0, 6000, 60000, true)},
     PRECOPY_STOP,
     "not converging",
     0},
    {"the same, with time left: perhaps it calms down",
     {.timeout_ms = 60000},
     30000,
     0,
     4,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 60000, false),
      ROUND(60000, 0, 6000, 60000, true), ROUND(60000, 0, 6000, 60000, true)},
     PRECOPY_GO_ON,
     "not converging",
     0},
    {"and it does",
     {.timeout_ms = 60000},
     30000,
     0,
     5,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 60000, false),
      ROUND(60000, 0, 6000, 60000, true), ROUND(60000, 0, 6000, 60000, true),
      ROUND(60000, 0, 6000, 1000, true)},
     PRECOPY_STOP,
     "short enough",
     100},
    {"slow progress is progress",
     {0},
     30000,
     0,
     3,
     {ROUND(100000, 0, 10000, 60000, true), ROUND(60000, 0, 6000, 57000, true),
      ROUND(57000, 0, 5700, 53000, true)},
     PRECOPY_GO_ON,
     NULL,
     0},
    {"to and fro is none",
     {0},
     30000,
     0,
     5,
     {ROUND(100000, 0, 10000, 50000, true), ROUND(50000, 0, 5000, 60000, true),
      ROUND(60000, 0, 6000, 49000, true), ROUND(49000, 0, 4900, 60000, true),
      ROUND(60000, 0, 6000, 48000, true)},
     PRECOPY_GIVE_UP,
     "not converging",
     0},
    {"out of time",
     {.timeout_ms = 20000},
     20000,
     0,
     1,
     {ROUND(100000, 0, 20000, 60000, false)},
     PRECOPY_GIVE_UP,
     "out of time",
     0},
    {"out of time, to be stopped",
     {.timeout_ms = 20000, .on_timeout = GW_ON_TIMEOUT_STOP},
     20000,
     0,
     1,
     {ROUND(100000, 0, 20000, 60000, false)},
     PRECOPY_STOP,
     "out of time",
     0},
    {"out of time, but short enough",
     {.timeout_ms = 20000},
     20000,
     0,
     1,
     {ROUND(100000, 0, 20000, 100, false)},
     PRECOPY_STOP,
     "short enough",
     0},
    {"out of rounds",
     {.max_rounds = 2},
     20000,
     0,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 30000, false)},
     PRECOPY_GIVE_UP,
     "last round",
     0},
    {"out of rounds, to be stopped",
     {.max_rounds = 2, .on_timeout = GW_ON_TIMEOUT_STOP},
     20000,
     0,
     2,
     {ROUND(100000, 0, 10000, 60000, false), ROUND(60000, 0, 6000, 30000, false)},
     PRECOPY_STOP,
     "last round",
     0},
    {"a limit below what any stop takes",
     {.max_downtime_ms = 5},
     20000,
     40,
     2,
     {ROUND(1000, 0, 100, 10, false), ROUND(10, 0, 1, 0, false)},
     PRECOPY_GIVE_UP,
     "not converging",
     40},
};

static void test_cases(void **state)
{
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct policy_case *c = &cases[i];
        const struct gw_migrate_limits limits = precopy_limits_fill(c->limits);
        const struct precopy_view view = {
            .rounds = c->rounds, .n = c->n, .elapsed_ms = c->elapsed_ms, .fixed_ms = c->fixed_ms};
        const char *why = "";
        enum precopy_verdict verdict = precopy_decide(&limits, &view, &why);

        if (verdict != c->verdict || (why == NULL) != (c->why == NULL) ||
            (why && strcmp(why, c->why) != 0))
            fail_msg("%s: verdict %d (%s), wanted %d (%s)", c->name, verdict, why ? why : "",
                     c->verdict, c->why ? c->why : "");
        uint64_t estimate = precopy_estimate_ms(&view);
        if (c->estimate_ms && estimate != c->estimate_ms)
            fail_msg("%s: %llu ms, wanted %llu", c->name, (unsigned long long)estimate,
                     (unsigned long long)c->estimate_ms);
    }
}

/* The last piece of a round goes out at once: a round of one piece looks as if there was no limit.
 */
static void test_no_faster_than_the_limit(void **state)
{
    const struct precopy_round round = {
        .pages = 1000, .bytes = 4096000, .ms = 10, .send_ms = 10, .dirtied = 500};
    struct precopy_view view = {.rounds = &round, .n = 1, .bandwidth_bytes_per_s = 2048000};

    assert_int_equal(precopy_estimate_ms(&view), 1000);
    view.bandwidth_bytes_per_s = 0;
    assert_int_equal(precopy_estimate_ms(&view), 5);
}

static void test_defaults(void **state)
{
    struct gw_migrate_limits limits = precopy_limits_fill((struct gw_migrate_limits){0});

    assert_int_equal(limits.max_downtime_ms, 300);
    assert_int_equal(limits.max_rounds, 30);
    limits = precopy_limits_fill((struct gw_migrate_limits){.timeout_ms = 1});
    assert_int_equal(limits.max_rounds, GW_ROUNDS_MAX);
    limits = precopy_limits_fill((struct gw_migrate_limits){.max_rounds = UINT32_MAX});
    assert_int_equal(limits.max_rounds, GW_ROUNDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_no_faster_than_the_limit),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
