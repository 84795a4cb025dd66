/* SPDX-License-Identifier: MIT */
/* The way of pages from the guest to a connection: skipped, compressed, under a limit, ahead of it.
 */
#include "fake_move.h"
#include "pages/page_pipe.h"
#include "save/save_source.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = fake_move_begin(8);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

struct sink {
    struct handover_io io;
    struct migrate_host host;
    struct save_source source;
    struct gw_error err;
};

static void open_sink(struct fake_move *f, struct sink *s)
{
    memset(s, 0, sizeof(*s));
    s->io = (struct handover_io){
        .out_fd = memfd_create("sink", 0), .in_fd = -1, .stall_ms = 20000, .peer = "a file"};
    assert_int_equal(f->source.open(f->source.arg, &s->host, &s->err), 0);
    fake_guest_pause(f->guest);
    assert_int_equal(save_source_open(&s->source, &s->host, &s->io, "web", &s->err), 0);
}

static void close_sink(struct fake_move *f, struct sink *s)
{
    save_source_close(&s->source);
    fake_guest_unpause(f->guest);
    close(s->io.out_fd);
}

static void skip_odd(void *arg, const uint64_t *gfns, unsigned n, bool *ret_skip)
{
    assert_true(n <= MIGRATE_BATCH_PAGES);
    for (unsigned i = 0; i < n; i++) {
        ret_skip[i] = gfns[i] % 2;
        assert_true(i == 0 || gfns[i] > gfns[i - 1]);
    }
}

static void test_skipped_compressed_timed(void **state)
{
    struct fake_move *f = *state;
    struct sink s;

    open_sink(f, &s);
    for (unsigned page = 1; page < FAKE_PAGES; page++)
        memset(f->guest->memory[page], page % 2 ? 'x' : 0, STREAM_PAGE_BYTES);
    s.source.compress_level = 1;
    s.source.skip = skip_odd;
    assert_int_equal(save_source_send_pages(&s.source, NULL, s.source.memory_pages, &s.err), 0);
    assert_int_equal(s.source.skipped_pages, FAKE_RAM_PAGES / 2 + 1); /* the console's is odd */
    assert_int_equal(s.source.pages, FAKE_RAM_PAGES / 2);
    assert_int_equal(s.source.zero_pages, 0);
    uint64_t bytes = save_source_bytes(&s.source);
    assert_true(bytes + s.source.saved_bytes > s.source.pages * STREAM_PAGE_BYTES);
    assert_true(bytes < s.source.saved_bytes / 50);
    for (unsigned phase = MIGRATE_READ; phase <= MIGRATE_SEND; phase++)
        assert_true(s.source.times.ns[phase] > 0);
    close_sink(f, &s);
    for (unsigned page = 1; page < FAKE_PAGES; page++) /* as its table says again */
        memset(f->guest->memory[page], 0, STREAM_PAGE_BYTES);
}

static bool yes(void *arg)
{
    return true;
}

static void *lift_limit(void *arg)
{
    usleep(20000);
    rate_limit_set(arg, 0);
    return NULL;
}

static void test_limit(void **state)
{
    struct fake_move *f = *state;
    struct rate_limit limit = RATE_LIMIT_INIT;
    uint64_t began = migrate_now_ns();
    pthread_t thread;
    struct sink s;

    open_sink(f, &s);
    rate_limit_set(&limit, 20u << 20);
    s.source.limit = &limit;
    assert_int_equal(save_source_send_pages(&s.source, NULL, s.source.memory_pages, &s.err), 0);
    /* All but the last record were paid for. */
    assert_true(migrate_now_ns() - began >=
                (save_source_bytes(&s.source) - (300u << 10)) * 1000000000 / (20u << 20));
    close_sink(f, &s);

    limit = (struct rate_limit)RATE_LIMIT_INIT;
    rate_limit_set(&limit, 1);
    assert_true(rate_limit_wait(&limit, 1u << 30, yes, NULL)); /* a debt of 34 years */
    pthread_create(&thread, NULL, lift_limit, &limit);
    assert_true(rate_limit_wait(&limit, 1, yes, NULL));
    pthread_join(thread, NULL);
}

static void *send_all(void *arg)
{
    struct sink *s = arg;

    save_source_send_pages(&s->source, NULL, s->source.memory_pages, &s->err);
    return NULL;
}

/* What has happened so far behind a connection that has taken one lot of pages, and no more. */
struct ahead {
    uint64_t read, saved_bytes;
};

/* Waits until that much has happened, and a moment longer for what should not; or until nothing has
 * for 3 s. */
static struct ahead look_ahead(struct fake_host *here, struct sink *s, struct ahead wanted)
{
    struct ahead now = {0}, before = {0};

    for (unsigned idle_ms = 0; idle_ms < 3000; idle_ms++) {
        now.read = here->pages_read; /* the pipe was made before the first */
        now.saved_bytes = now.read ? page_pipe_saved_bytes(s->source.pipe) : 0;
        if (now.read >= wanted.read && now.saved_bytes >= wanted.saved_bytes)
            break;
        if (memcmp(&now, &before, sizeof(now)) != 0)
            idle_ms = 0;
        before = now;
        usleep(1000);
    }
    usleep(20000);
    now.read = here->pages_read;
    return now;
}

static struct ahead send_to_who_takes_nothing(struct fake_move *f, int level, struct ahead wanted)
{
    struct rate_limit limit = RATE_LIMIT_INIT;
    struct ahead found;
    pthread_t thread;
    struct sink s;

    open_sink(f, &s);
    for (unsigned page = 1; page < FAKE_PAGES; page++)
        memset(f->guest->memory[page], 'x', STREAM_PAGE_BYTES);
    rate_limit_set(&limit, 1); /* what is sent first is sent, and then nothing for days */
    s.source.limit = &limit;
    s.source.compress_level = level;
    f->world->hosts[0].pages_read = 0;
    pthread_create(&thread, NULL, send_all, &s);
    found = look_ahead(&f->world->hosts[0], &s, wanted);
    rate_limit_set(&limit, 0); /* whatever was found: the thread must end before this function */
    pthread_join(thread, NULL);
    assert_int_equal(s.err.code, 0);
    close_sink(f, &s);
    for (unsigned page = 1; page < FAKE_PAGES; page++) /* as its table says again */
        memset(f->guest->memory[page], 0, STREAM_PAGE_BYTES);
    return found;
}

/* While a connection takes nothing, pages are read and compressed for it: the lots that wait behind
 * the one that it took, and not all. */
static void test_reads_ahead(void **state)
{
    const uint64_t lot = PAGE_JOB_CONTENTS, lot_bytes = lot * STREAM_PAGE_BYTES;
    const struct ahead raw = {.read = 4 * lot};
    const struct ahead packed = {.read = 4 * lot, .saved_bytes = 3 * lot_bytes};
    struct ahead found = send_to_who_takes_nothing(*state, 0, raw);

    if (found.read < raw.read || found.read > FAKE_PAGES - 2 * lot)
        fail_msg("%ju of %u pages were read while the connection took nothing",
                 (uintmax_t)found.read, FAKE_PAGES);
    found = send_to_who_takes_nothing(*state, 1, packed);
    if (found.read < packed.read || found.saved_bytes < packed.saved_bytes)
        fail_msg("%ju pages were read while the connection took nothing, and compressing them "
                 "saved %ju bytes",
                 (uintmax_t)found.read, (uintmax_t)found.saved_bytes);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_skipped_compressed_timed),
        TEST(test_limit),
        TEST(test_reads_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
