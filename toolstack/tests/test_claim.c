/* SPDX-License-Identifier: MIT */
/* Whose an incoming guest is, told by the real host: its builder's, somebody's no more, or here. */
#include <libgodwit/migrate.h>
#include <libgodwit/registry.h>
#include <string.h>

#include "fake_xen.h"
#include "handover/handover.h"
#include "host/migrate_host.h"
#include "support.h"

#define FREE_PAGES (4u << 18) /* 4 GiB */
#define INCOMING   "web1--incoming"

struct fixture {
    struct migrate_host builder, asker;
    struct gw_error err;
    uint32_t domid;
};

static const uint8_t uuid[16] = "sixteen bytes  ";

static void open_host(struct fixture *f, struct migrate_host *host)
{
    assert_int_equal(migrate_this_host.open(migrate_this_host.arg, host, &f->err), 0);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct stream_config c = {.vcpus = 1, .memory_bytes = 8u << 20, .name = "web1"};

    memset(&f, 0, sizeof(f));
    fake_reset(FREE_PAGES);
    memcpy(c.uuid, uuid, sizeof(uuid));
    c.text = (char *)(uintptr_t) "name = 'web1'\nkernel = '/gone'\nmemory = 8\nvcpus = 1\n";
    c.text_length = (uint32_t)strlen(c.text);
    open_host(&f, &f.builder);
    open_host(&f, &f.asker);
    assert_int_equal(f.builder.ops->create(f.builder.ctx, &c, INCOMING, &f.domid, &f.err), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->asker.ops->destroy(f->asker.ctx, f->domid, &f->err), 0);
    f->asker.ops->close(f->asker.ctx);
    return 0;
}

static void assert_told(struct fixture *f, uint32_t expected)
{
    uint32_t where = UINT32_MAX;

    assert_int_equal(f->asker.ops->locate(f->asker.ctx, uuid, &where, &f->err), 0);
    assert_int_equal(where, expected);
}

static void test_builder_lives(void **state)
{
    struct fixture *f = *state;

    assert_false(gw_incoming_is_abandoned(INCOMING, f->domid));
    assert_told(f, HANDOVER_ARRIVING);
    f->builder.ops->close(f->builder.ctx);
}

static void test_builder_died(void **state)
{
    struct fixture *f = *state;

    f->builder.ops->close(f->builder.ctx);
    assert_true(gw_incoming_is_abandoned(INCOMING, f->domid));
    assert_told(f, HANDOVER_NEVER_RAN);
    assert_false(gw_incoming_is_abandoned(INCOMING, f->domid + 1)); /* the next of that name */
}

/* Who read the name a moment ago must not take the guest for a leftover: it may run. */
static void test_arrived_meanwhile(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->builder.ops->rename(f->builder.ctx, f->domid, INCOMING, "web1", &f->err),
                     0);
    f->builder.ops->close(f->builder.ctx);
    assert_false(gw_incoming_is_abandoned(INCOMING, f->domid));
    assert_told(f, HANDOVER_HERE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_builder_lives),
        TEST(test_builder_died),
        TEST(test_arrived_meanwhile),
    };

    return cmocka_run_group_tests_name("claim", tests, support_setup, support_teardown);
}
