/* SPDX-License-Identifier: MIT */
/*
 * Guests whose writers are known by a sample only. Arithmetic, and a model of guests: which pages
 * each vCPU writes, which of them are in the sample, and what the throttle makes of it.
 */
#include "precopy/throttle_sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLE 64u
#define VCPUS  32u

#define ALL_OVER 6151u /* prime, as the number of pages */

static void expect_rates(uint64_t ms, uint64_t dirty, const uint64_t *pages, const uint64_t *wanted,
                         unsigned n)
{
    struct throttle_measure look = {.ms = ms, .dirty_pages_per_s = dirty};
    struct throttle_vcpu vcpus[4] = {{0}};

    throttle_sample_rates(&look, pages, SAMPLE, vcpus, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(vcpus[i].dirty_pages_per_s, wanted[i]);
}

static void test_rates(void **state)
{
    /* Nobody was seen. */
    expect_rates(1000, 5000, (uint64_t[]){0, 0}, (uint64_t[]){0, 0}, 2);
    /* All of the log's pages are theirs, by the sample's shares: it said too much, or too little.
     */
    expect_rates(1000, 1000, (uint64_t[]){3 * 640, 640}, (uint64_t[]){750, 250}, 2);
    expect_rates(1000, 3000, (uint64_t[]){3 * 640, 640}, (uint64_t[]){2250, 750}, 2);
    /* More than the sample can be wrong by is somebody else's. */
    expect_rates(1000, 9000, (uint64_t[]){3 * 640, 640}, (uint64_t[]){2880, 960}, 2);
    expect_rates(500, 9000, (uint64_t[]){640}, (uint64_t[]){1920}, 1);
    /* A hit or two beside many are chance; beside few, or if they are all, they are not. */
    expect_rates(1000, 640, (uint64_t[]){640, 64, 128}, (uint64_t[]){640, 0, 0}, 3);
    expect_rates(1000, 256, (uint64_t[]){192, 64}, (uint64_t[]){192, 64}, 2);
    expect_rates(1000, 832, (uint64_t[]){640, 192}, (uint64_t[]){640, 192}, 2);
    expect_rates(1000, 64, (uint64_t[]){0, 64}, (uint64_t[]){0, 64}, 2);
    expect_rates(0, 64000, (uint64_t[]){64}, (uint64_t[]){64000}, 1);
}

static void test_look(void **state)
{
    assert_int_equal(throttle_sample_look_ms(12800, SAMPLE, 2), 80);
    assert_int_equal(throttle_sample_look_ms(1024, SAMPLE, 2), 1000);
    assert_int_equal(throttle_sample_look_ms(1024, SAMPLE, 1), 750);
    assert_int_equal(throttle_sample_look_ms(1, SAMPLE, 64), THROTTLE_SAMPLE_LOOK_MS);
    assert_int_equal(throttle_sample_look_ms(0, SAMPLE, 64), THROTTLE_SAMPLE_LOOK_MS);
}

/* --- a model of guests --------------------------------------------------------------------------
 */

struct writer {
    unsigned tenths;               /* of the link's speed, left alone */
    unsigned first, pages, stride; /* one after another, or all over them */
};

struct model {
    const char *what;
    unsigned n, writers; /* the first ones write, the others are not to be throttled */
    struct writer writer[2];
    struct writer calm; /* all others, each in pages of its own */
};

static const struct model models[] = {
    {"one vCPU", 1, 1, {{200, 5, 9000, 1}}, {0}},
    {"one that is just too fast", 1, 1, {{6, 5, 9000, 1}}, {0}},
    {"one all over its memory", 1, 1, {{6, 5, 9001, ALL_OVER}}, {0}},
    {"a writer all over, and a reader", 2, 1, {{6, 5, 9001, ALL_OVER}}, {20, 70001, 4, 1}},
    {"a writer and a reader with a stack", 2, 1, {{200, 0, 9000, 1}}, {20, 70001, 4, 1}},
    {"a writer and one that writes 16 pages", 2, 1, {{200, 0, 9000, 1}}, {20, 70003, 16, 1}},
    {"16 pages in as many words", 2, 1, {{200, 0, 9000, 1}}, {20, 70003, 16, 64}},
    {"a page of each 256 KiB", 2, 1, {{20, 17, 4096, 64}}, {20, 3, 4, 64}},
    {"two of different speed", 2, 2, {{200, 0, 9000, 1}, {50, 10000, 9000, 1}}, {0}},
    {"eight vCPUs", 8, 2, {{100, 0, 9000, 1}, {70, 10000, 9000, 1}}, {20, 70001, 6, 1}},
    {"32 vCPUs", VCPUS, 1, {{200, 0, 9000, 1}}, {20, 70001, 1, 1}},
};

struct run {
    const struct model *model;
    uint64_t link; /* pages a second */
    unsigned session, pressing;
    uint64_t at[VCPUS]; /* how far each has come in its pages */
    struct throttle_vcpu vcpus[VCPUS];
};

/* As a harvest chooses them (core/src/log.h). */
static bool is_in_sample(uint64_t gfn, unsigned session)
{
    return gfn % SAMPLE == (session * 39u + gfn / SAMPLE * 41u) % SAMPLE;
}

static struct writer writer_of(const struct run *run, unsigned v)
{
    const struct model *model = run->model;
    struct writer w = v < model->writers ? model->writer[v] : model->calm;

    if (v >= model->writers)
        w.first += v * 1000u * (w.stride == 1);
    return w;
}

static uint64_t page_of(const struct writer *w, uint64_t i)
{
    return w->first + (w->stride == ALL_OVER ? i * i % w->pages * ALL_OVER % w->pages
                                             : i % w->pages * w->stride);
}

/* What it writes in a round: how many pages, and of them so many in the sample. */
static uint64_t write_for(struct run *run, unsigned v, uint64_t ms, uint64_t *ret_hits)
{
    struct writer w = writer_of(run, v);
    uint64_t stores = run->link * w.tenths * ms / 10000 * (100 - run->vcpus[v].percent) / 100;
    uint64_t most = w.stride == ALL_OVER ? w.pages / 2 : w.pages; /* so many squares */
    uint64_t pages = stores < most ? stores : most;

    for (uint64_t i = 0; i < pages; i++)
        *ret_hits += is_in_sample(page_of(&w, run->at[v] + i), run->session);
    run->at[v] = w.pages ? (run->at[v] + stores) % w.pages : 0;
    return pages;
}

/* Rounds until they make up a look; whether the guest presses. */
static bool look_at(struct run *run, uint64_t *rate)
{
    struct throttle_measure look = {.send_pages_per_s = run->link, .sampled = true};
    unsigned n = run->model->n,
             wanted_ms = run->pressing ? throttle_sample_look_ms(*rate, SAMPLE, n) : 0;
    uint64_t pages[VCPUS] = {0}, dirty = 0, ms = *rate * 100 / run->link;

    ms = ms < 100 ? 100 : ms > 2000 ? 2000 : ms;
    while (look.ms < wanted_ms || look.ms < THROTTLE_LOOK_MS) {
        run->session++;
        for (unsigned v = 0; v < n; v++) {
            uint64_t hits = 0;
            dirty += write_for(run, v, ms, &hits);
            pages[v] += hits * SAMPLE;
        }
        look.ms += ms;
    }
    *rate = look.dirty_pages_per_s = dirty * 1000 / look.ms;
    throttle_sample_rates(&look, pages, SAMPLE, run->vcpus, n);
    throttle_decide(&run->pressing, &look, run->vcpus, n);
    return *rate > run->link / 2;
}

/* The writers pay until the guest presses no more, and stay there; nobody else ever does. */
static void converges(const struct model *model, uint64_t link, unsigned session)
{
    struct run run = {.model = model, .link = link, .session = session};
    uint64_t rate = link;
    unsigned pressed = 0;

    for (unsigned i = 0; i < 60; i++) {
        bool presses = look_at(&run, &rate);
        pressed += i >= 12 && presses;
        for (unsigned v = model->writers; v < model->n; v++)
            if (run.vcpus[v].percent)
                fail_msg("%s, link %u, from %u: look %u takes %u %% from vCPU %u", model->what,
                         (unsigned)link, session, i, run.vcpus[v].percent, v);
    }
    if (pressed)
        fail_msg("%s, link %u, from %u: pressed in %u of 48 looks", model->what, (unsigned)link,
                 session, pressed);
}

static void test_models(void **state)
{
    static const uint64_t links[] = {1500, 6000, 25600};

    for (size_t m = 0; m < sizeof(models) / sizeof(models[0]); m++)
        for (size_t l = 0; l < sizeof(links) / sizeof(links[0]); l++)
            for (unsigned session = 0; session < 64; session += 5)
                converges(&models[m], links[l], session);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_models),
    };

    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
