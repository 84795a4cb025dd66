/* SPDX-License-Identifier: MIT */
/* The dirty log of the real host, between its owners, against the fake hypervisor. */
#include <errno.h>
#include <libgodwit/hv.h>
#include <libgodwit/log_owner.h>
#include <string.h>

#include "fake_xen.h"
#include "host/migrate_host.h"
#include "support.h"

#define FREE_PAGES (4u << 18) /* 4 GiB */

struct fixture {
    struct migrate_host host;
    struct gw_error err;
    uint32_t domid;
};

static void open_host(struct fixture *f)
{
    assert_int_equal(migrate_this_host.open(migrate_this_host.arg, &f->host, &f->err), 0);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct stream_config c = {.vcpus = 1, .memory_bytes = 8u << 20, .name = "web1"};

    memset(&f, 0, sizeof(f));
    fake_reset(FREE_PAGES);
    c.text = (char *)(uintptr_t) "name = 'web1'\nkernel = '/gone'\nmemory = 8\nvcpus = 1\n";
    c.text_length = (uint32_t)strlen(c.text);
    open_host(&f);
    assert_int_equal(f.host.ops->create(f.host.ctx, &c, "web1--incoming", &f.domid, &f.err), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->host.ops->destroy(f->host.ctx, f->domid, &f->err), 0);
    f->host.ops->close(f->host.ctx);
    return 0;
}

/* A save that leaves the log on. */
static struct migrate_log_mark leave_on(struct fixture *f)
{
    struct migrate_log_mark mark = {0};

    assert_int_equal(f->host.ops->log_start(f->host.ctx, f->domid, &f->err), 0);
    assert_true(gw_log_owner_is_marked(f->domid));
    assert_int_equal(f->host.ops->log_mark(f->host.ctx, f->domid, &mark, &f->err), 0);
    f->host.ops->close(f->host.ctx);
    assert_false(gw_log_owner_is_marked(f->domid));
    open_host(f);
    return mark;
}

static void assert_not_resumed(struct fixture *f, uint32_t domid,
                               const struct migrate_log_mark *mark, const char *why)
{
    bool logged = fake_domain(f->domid)->logdirty;

    assert_int_equal(f->host.ops->log_resume(f->host.ctx, domid, mark, &f->err), -1);
    assert_int_equal(f->err.code, GW_EXIT_STATE);
    assert_contains(f->err.message, why);
    assert_contains(f->err.message, ": take a full save");
    assert_false(gw_log_owner_is_marked(f->domid));
    assert_int_equal(fake_domain(f->domid)->logdirty, logged);
}

/* The sentence that an operator sees if a tool beside ours reads the log of a guest that moves. */
static void test_foreign_reader(void **state)
{
    struct fixture *f = *state;
    struct gw_shadow clean = {.op = XEN_DOMCTL_SHADOW_OP_CLEAN};
    const struct migrate_host_ops *ops = f->host.ops;
    const uint8_t *bitmap;
    struct gw_hv *hv;

    assert_int_equal(gw_hv_open(&hv, &f->err), 0);
    assert_int_equal(ops->log_start(f->host.ctx, f->domid, &f->err), 0);
    assert_int_equal(ops->log_take(f->host.ctx, f->domid, 2048, false, &bitmap, &f->err), 0);
    assert_int_equal(gw_hv_shadow_op(hv, f->domid, &clean), 0);
    assert_int_equal(ops->log_take(f->host.ctx, f->domid, 2048, false, &bitmap, &f->err), -1);
    assert_contains(f->err.message,
                    "another program has taken pages from the dirty log of domain ");
    assert_contains(f->err.message, ", or switched it: end that program and try again");
    assert_int_equal(ops->log_stop(f->host.ctx, f->domid, &f->err), 0);
    gw_hv_close(hv);
}

/* A log that was left on for a save to come is no other: not one of another boot of the host, of
 * another domain, one that was read, or switched off and on. */
static void test_resume(void **state)
{
    struct fixture *f = *state;
    struct gw_shadow clean = {.op = XEN_DOMCTL_SHADOW_OP_CLEAN},
                     off = {.op = XEN_DOMCTL_SHADOW_OP_OFF},
                     on = {.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY};
    struct migrate_log_mark mark = leave_on(f), other = mark;
    struct gw_hv *hv;

    assert_int_equal(gw_hv_open(&hv, &f->err), 0);
    other.boot_id[15] ^= 1;
    assert_not_resumed(f, f->domid, &other, "this host was started after that save");
    other = mark;
    other.domid--;
    assert_not_resumed(f, f->domid, &other, "the guest was restarted, restored or moved");
    assert_int_equal(f->host.ops->log_resume(f->host.ctx, f->domid, &mark, &f->err), 0);
    assert_true(gw_log_owner_is_marked(f->domid));
    f->host.ops->close(f->host.ctx);
    open_host(f);

    assert_int_equal(gw_hv_shadow_op(hv, f->domid, &clean), 0);
    assert_not_resumed(f, f->domid, &mark, "another program has taken pages");
    assert_int_equal(gw_hv_shadow_op(hv, f->domid, &off), 0);
    assert_not_resumed(f, f->domid, &mark, "was switched off since that save");
    assert_int_equal(gw_hv_shadow_op(hv, f->domid, &on), 0);
    assert_not_resumed(f, f->domid, &mark, "another program has taken pages");
    gw_hv_close(hv);
}

/* Whoever claims the guest, or would go on with its log, switches off one of a process that was
 * killed. One that was left on for a save to come stays on. */
static void test_left_on(void **state)
{
    struct fixture *f = *state;
    const struct gw_log_owner killed = {.claim_fd = -1, .log_fd = -1, .domid = f->domid};
    struct migrate_log_mark mark = leave_on(f);

    assert_int_equal(f->host.ops->log_claim(f->host.ctx, f->domid, &f->err), 0);
    assert_true(fake_domain(f->domid)->logdirty);
    f->host.ops->close(f->host.ctx);
    open_host(f);

    assert_int_equal(gw_log_owner_mark(&killed, &f->err), 0);
    assert_int_equal(f->host.ops->log_claim(f->host.ctx, f->domid, &f->err), 0);
    assert_false(fake_domain(f->domid)->logdirty);
    assert_not_resumed(f, f->domid, &mark, "was switched off since that save");

    mark = leave_on(f);
    assert_int_equal(gw_log_owner_mark(&killed, &f->err), 0);
    assert_int_equal(f->host.ops->log_resume(f->host.ctx, f->domid, &mark, &f->err), -1);
    assert_contains(f->err.message, "was switched off since that save");
    assert_false(fake_domain(f->domid)->logdirty);
    assert_false(gw_log_owner_is_marked(f->domid));
}

/* It cannot be switched off: whoever comes next tries again, and nobody saves meanwhile. */
static void test_left_on_and_stays(void **state)
{
    struct fixture *f = *state;
    const struct gw_log_owner killed = {.claim_fd = -1, .log_fd = -1, .domid = f->domid};

    leave_on(f);
    assert_int_equal(gw_log_owner_mark(&killed, &f->err), 0);
    fake_host.fail_at = fake_host.calls + 1;
    fake_host.fail_errno = EIO;
    assert_int_equal(f->host.ops->log_claim(f->host.ctx, f->domid, &f->err), -1);
    assert_contains(f->err.message, "cannot switch off the dirty log that was left on");
    assert_true(gw_log_owner_is_marked(f->domid));
    assert_int_equal(f->host.ops->log_claim(f->host.ctx, f->domid, &f->err), 0);
    assert_false(fake_domain(f->domid)->logdirty);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_foreign_reader),
        TEST(test_resume),
        TEST(test_left_on),
        TEST(test_left_on_and_stays),
    };

    return cmocka_run_group_tests_name("log", tests, support_setup, support_teardown);
}
