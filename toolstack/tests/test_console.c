/* SPDX-License-Identifier: MIT */
/* The console ring against a guest that lies, and the daemon's backlog. */
#include <libgodwit/console.h>
#include <stdlib.h>
#include <string.h>

#include "../daemon/backlog.h"
#include "support.h"

static void guest_puts(struct xencons_interface *ring, const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = data[i];
}

static void test_output(void **state)
{
    struct xencons_interface ring = {0};
    char got[4096];
    int notify;

    (void)state;
    assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), 0);
    assert_int_equal(notify, 0);
    guest_puts(&ring, "hello", 5);
    assert_int_equal(gw_console_ring_read(&ring, got, 2, &notify), 2);
    assert_int_equal(notify, 1);
    assert_int_equal(gw_console_ring_read(&ring, got + 2, sizeof(got), &notify), 3);
    assert_memory_equal(got, "hello", 5);
}

/* Indices run through 2^32 and around the buffer. */
static void test_wrap(void **state)
{
    struct xencons_interface ring = {0};
    char sent[777], got[777];
    int notify;

    (void)state;
    ring.out_cons = ring.out_prod = UINT32_MAX - 5000;
    for (unsigned i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 5);
    for (unsigned round = 0; round < 50; round++) {
        guest_puts(&ring, sent, sizeof(sent));
        assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), sizeof(got));
        assert_memory_equal(sent, got, sizeof(got));
    }
    assert_true(ring.out_prod < 100000);
}

static void test_full_output(void **state)
{
    struct xencons_interface ring = {0};
    char sent[2048], got[2048];
    int notify;

    (void)state;
    memset(sent, 'x', sizeof(sent));
    guest_puts(&ring, sent, sizeof(sent));
    assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), 2048);
    assert_memory_equal(sent, got, 2048);
}

static void test_scribbled_indices(void **state)
{
    struct xencons_interface ring = {0};
    char got[4096];
    int notify;

    (void)state;
    ring.out_prod = 2049; /* more than the ring holds */
    assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), 0);
    assert_int_equal(ring.out_cons, 2049);
    guest_puts(&ring, "ok", 2); /* and it works again */
    assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), 2);
    ring.out_cons = ring.out_prod + 1;
    assert_int_equal(gw_console_ring_read(&ring, got, sizeof(got), &notify), 0);
    ring.in_prod = 5;
    ring.in_cons = 6;
    assert_int_equal(gw_console_ring_room(&ring), sizeof(ring.in));
    assert_int_equal(gw_console_ring_write(&ring, "a", 1), 1);
    assert_int_equal(ring.in_prod, 7); /* one byte in an otherwise empty ring */
    assert_int_equal(gw_console_ring_room(&ring), sizeof(ring.in) - 1);
}

static void test_input(void **state)
{
    struct xencons_interface ring = {0};
    char sent[1100];

    (void)state;
    memset(sent, 'k', sizeof(sent));
    ring.in_prod = ring.in_cons = UINT32_MAX - 10;
    assert_int_equal(gw_console_ring_write(&ring, "abc", 3), 3);
    assert_int_equal(ring.in[MASK_XENCONS_IDX(UINT32_MAX - 10, ring.in)], 'a');
    assert_int_equal(gw_console_ring_write(&ring, sent, sizeof(sent)), 1021);
    assert_int_equal(gw_console_ring_write(&ring, sent, sizeof(sent)), 0);
    ring.in_cons += 10;
    assert_int_equal(gw_console_ring_write(&ring, sent, sizeof(sent)), 10);
}

static void test_backlog(void **state)
{
    struct backlog *b = calloc(1, sizeof(*b));
    uint64_t fast = 0, slow = 0;
    const char *data;
    char chunk[1000];

    (void)state;
    assert_int_equal(backlog_peek(b, &fast, &data), 0);
    for (unsigned i = 0; i < 100; i++) { /* 100000 bytes: more than it holds */
        memset(chunk, (int)i, sizeof(chunk));
        backlog_write(b, chunk, sizeof(chunk));
        for (size_t n; (n = backlog_peek(b, &fast, &data)) > 0; fast += n)
            assert_int_equal((unsigned char)data[0], i);
    }
    assert_int_equal(fast, 100000);
    assert_int_equal(backlog_oldest(b), 100000 - BACKLOG_BYTES);
    /* The slow reader lost the oldest bytes, not the newest. */
    assert_true(backlog_peek(b, &slow, &data) > 0);
    assert_int_equal(slow, 100000 - BACKLOG_BYTES);
    assert_int_equal((unsigned char)data[0], (100000 - BACKLOG_BYTES) / 1000);
    for (size_t n; (n = backlog_peek(b, &slow, &data)) > 0; slow += n)
        ;
    assert_int_equal(slow, 100000);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),      cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_full_output), cmocka_unit_test(test_scribbled_indices),
        cmocka_unit_test(test_input),       cmocka_unit_test(test_backlog),
    };

    return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
