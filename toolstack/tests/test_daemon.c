/* SPDX-License-Identifier: MIT */
/* The daemon's loop, step by step, with guests and clients played by the test. */
#include <errno.h>
#include <inttypes.h>
#include <libgodwit/console.h>
#include <libgodwit/domain.h>
#include <libgodwit/layout.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../daemon/daemon.h"
#include "fake_xen.h"
#include "restore/restore_claim.h"
#include "support.h"

static struct daemon d;
static char kernel_path[256];

static int setup(void **state)
{
    if (support_setup(state) < 0)
        return -1;
    snprintf(kernel_path, sizeof(kernel_path), "%s", support_file("kernel", "program", 7));
    return 0;
}

static void start(void)
{
    struct gw_error err = {0};

    fake_reset(1u << 20);
    memset(&d, 0, sizeof(d));
    if (daemon_open(&d, &err) < 0)
        fail_msg("%s", err.message);
}

/* Lets the daemon do all that it has to do now. */
static void settle(void)
{
    for (unsigned i = 0; i < 6; i++)
        daemon_step(&d, 2);
}

static uint32_t create(const char *name, enum gw_action action)
{
    struct gw_config config = {.vcpus = 1,
                               .memory_mib = 4,
                               .kernel = kernel_path,
                               .cmdline = (char *)(uintptr_t) "",
                               .on_poweroff = action,
                               .on_reboot = action,
                               .on_crash = action,
                               .logdirty = fake_host.hardware_dirty ? GODWIT_TRACKING_HARDWARE
                                                                    : GODWIT_TRACKING_DEFAULT};
    struct gw_domain domain = {0};
    struct gw_error err = {0};
    static uint8_t id;

    snprintf(config.name, sizeof(config.name), "%s", name);
    memset(config.uuid, ++id, sizeof(config.uuid));
    if (gw_domain_create(d.hv, &config, false, &domain, &err) < 0)
        fail_msg("%s", err.message);
    return domain.domid;
}

static struct xencons_interface ring_copy(uint32_t domid)
{
    struct xencons_interface ring = {0};

    assert_true(
        fake_guest_read(fake_domain(domid), gw_layout_console_gfn() << 12, &ring, sizeof(ring)));
    return ring;
}

/* The hypervisor's PL011 puts output into the ring and signals. */
static void guest_prints(uint32_t domid, const char *text)
{
    struct xencons_interface ring = ring_copy(domid);

    for (; *text; text++)
        ring.out[MASK_XENCONS_IDX(ring.out_prod++, ring.out)] = *text;
    assert_true(
        fake_guest_write(fake_domain(domid), gw_layout_console_gfn() << 12, &ring, sizeof(ring)));
    fake_evtchn_raise_guest(domid, fake_domain(domid)->vuart_port);
}

/* The handshake needs the daemon to answer while the client waits: the test plays both. */
static int connect_raw(const char *request)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" GW_CONSOLE_SOCKET, support_dir());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    settle();
    return fd;
}

static const char *receive(int fd)
{
    static char text[BACKLOG_BYTES + 100];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return n == 0 ? "(closed)" : text;
}

static void test_console(void **state)
{
    struct xencons_interface ring;
    uint32_t domid;
    int fd, late;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    settle(); /* the registry changed */
    guest_prints(domid, "boot\n");
    settle();
    fd = connect_raw("console web1\n");
    settle();
    assert_string_equal(receive(fd), "ok\nboot\n"); /* recent output first */
    guest_prints(domid, "more\n");
    settle();
    assert_string_equal(receive(fd), "more\n");
    assert_int_equal(write(fd, "ls\r", 3), 3);
    settle();
    ring = ring_copy(domid);
    assert_int_equal(ring.in_prod, 3);
    assert_memory_equal(ring.in, "ls\r", 3);
    assert_true(fake_evtchn_notifies() >= 3);
    late = connect_raw("console web1\n");
    settle();
    assert_string_equal(receive(late), "ok\nboot\nmore\n");
    close(late);
    settle();
    close(fd);
    settle();
    daemon_close(&d);
}

static void test_output_without_reader(void **state)
{
    static char line[1001];
    uint32_t domid;
    int fd;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    settle();
    for (unsigned i = 0; i < 100; i++) {
        memset(line, 'a' + (int)(i % 26), 1000);
        guest_prints(domid, line);
        settle();
        assert_int_equal(ring_copy(domid).out_cons, (i + 1) * 1000); /* never left full */
    }
    fd = connect_raw("console web1\n");
    settle();
    assert_int_equal(strlen(receive(fd)), 3 + BACKLOG_BYTES); /* the newest, no more */
    close(fd);
    daemon_close(&d);
}

static void test_full_input(void **state)
{
    static char keys[3000];
    struct xencons_interface ring;
    uint32_t domid;
    int fd;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    settle();
    fd = connect_raw("console web1\n");
    memset(keys, 'k', sizeof(keys));
    assert_int_equal(write(fd, keys, sizeof(keys)), sizeof(keys));
    settle();
    assert_int_equal(ring_copy(domid).in_prod, 1024);
    /* The rest waits in the socket until the guest has read. */
    ring = ring_copy(domid);
    ring.in_cons = 1000;
    fake_guest_write(fake_domain(domid), gw_layout_console_gfn() << 12, &ring, sizeof(ring));
    fake_evtchn_raise_guest(domid, fake_domain(domid)->vuart_port);
    settle();
    assert_int_equal(ring_copy(domid).in_prod, 2024);
    close(fd);
    settle(); /* hung up with input left over: the client goes, nothing spins */
    assert_int_equal(d.clients[0].fd, -1);
    daemon_close(&d);
}

static void test_bad_clients(void **state)
{
    char flood[300];
    int fd;

    (void)state;
    start();
    fd = connect_raw("console nobody\n");
    assert_string_equal(receive(fd), "there is no console of that guest\n");
    assert_string_equal(receive(fd), "(closed)");
    close(fd);
    fd = connect_raw("frob\n");
    assert_string_equal(receive(fd), "unknown request\n");
    close(fd);
    memset(flood, 'x', sizeof(flood) - 1);
    flood[sizeof(flood) - 1] = '\0';
    fd = connect_raw(flood);
    assert_int_equal(d.clients[0].fd, -1);
    close(fd);
    fd = connect_raw("cons"); /* says half a line and leaves */
    close(fd);
    settle();
    assert_int_equal(d.clients[0].fd, -1);
    daemon_close(&d);
}

static void test_destroy_on_poweroff(void **state)
{
    struct gw_record record;
    struct gw_error err;
    uint32_t domid;
    int fd;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    settle();
    fd = connect_raw("console web1\n");
    receive(fd);
    guest_prints(domid, "bye\n");
    fake_guest_shutdown(fake_domain(domid), SHUTDOWN_poweroff);
    settle();
    assert_null(fake_domain(domid));
    assert_int_equal(gw_registry_find("web1", &record, &err), -1);
    assert_string_equal(receive(fd), "bye\n"); /* its last words arrive */
    assert_string_equal(receive(fd), "(closed)");
    close(fd);
    assert_int_equal(fake_host.windows, 0);
    daemon_close(&d);
}

static void test_preserve(void **state)
{
    uint32_t domid;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_PRESERVE);
    settle();
    fake_guest_shutdown(fake_domain(domid), SHUTDOWN_crash);
    settle();
    assert_non_null(fake_domain(domid));
    assert_true(fake_domain(domid)->shut_down);
    /* A suspended guest is left alone whatever its configuration says. */
    domid = create("web2", GW_ACTION_DESTROY);
    fake_guest_shutdown(fake_domain(domid), SHUTDOWN_suspend);
    settle();
    assert_non_null(fake_domain(domid));
    daemon_close(&d);
}

/* It restarts also where the CPUs cannot notice its writes as it asks for. */
static void test_restart(void **state)
{
    struct gw_record record;
    struct gw_error err;
    uint32_t domid;
    int fd;

    (void)state;
    start();
    fake_host.hardware_dirty = true;
    domid = create("web1", GW_ACTION_RESTART);
    fake_host.hardware_dirty = false;
    settle();
    fd = connect_raw("console web1\n");
    receive(fd);
    fake_guest_shutdown(fake_domain(domid), SHUTDOWN_reboot);
    settle();
    assert_non_null(fake_domain(domid)); /* too soon after its start: held back */
    for (unsigned i = 0; i < 100 && fake_domain(domid); i++)
        daemon_step(&d, 20);
    assert_null(fake_domain(domid));
    assert_int_equal(gw_registry_find("web1", &record, &err), 0);
    assert_int_not_equal(record.domid, domid);
    assert_int_equal(fake_domain(record.domid)->pause_count, 0);
    assert_int_equal(fake_domain(record.domid)->tracking, GODWIT_TRACKING_DEFAULT);
    assert_contains(record.config_text, "logdirty = \"hardware\"");
    guest_prints(record.domid, "again\n"); /* the client is still attached */
    settle();
    assert_string_equal(receive(fd), "again\n");
    gw_record_free(&record);
    close(fd);
    daemon_close(&d);
}

/* A daemon that starts later finds the guests, their output, and what happened meanwhile. */
static void test_daemon_restart(void **state)
{
    struct gw_record record;
    struct gw_error err = {0};
    uint32_t domid, dead;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    dead = create("web2", GW_ACTION_DESTROY);
    settle();
    daemon_close(&d);
    assert_int_equal(fake_host.windows, 0);
    guest_prints(domid, "while you were out\n");
    fake_guest_shutdown(fake_domain(dead), SHUTDOWN_poweroff);
    memset(&d, 0, sizeof(d));
    assert_int_equal(daemon_open(&d, &err), 0);
    lifecycle_sync(&d);
    assert_null(fake_domain(dead));
    assert_int_equal(gw_registry_find("web2", &record, &err), -1);
    assert_non_null(console_find(&d, "web1"));
    assert_int_equal(console_find(&d, "web1")->backlog.total, 19);
    daemon_close(&d);
}

static void test_follows_renames(void **state)
{
    struct gw_error err = {0};
    uint32_t domid;

    (void)state;
    start();
    domid = create("web1--incoming", GW_ACTION_DESTROY);
    settle();
    guest_prints(domid, "x");
    settle();
    assert_int_equal(gw_registry_rename("web1--incoming", "web1", &err), 0);
    settle();
    assert_null(console_find(&d, "web1--incoming"));
    assert_non_null(console_find(&d, "web1"));
    assert_int_equal(console_find(&d, "web1")->backlog.total, 1);
    daemon_close(&d);
}

static bool is_known(const char *name)
{
    struct gw_record record;
    struct gw_error err;

    if (gw_registry_find(name, &record, &err) < 0)
        return false;
    gw_record_free(&record);
    return true;
}

/* An incoming guest lives as long as the process that builds it, if it has not run yet. */
static void test_reaps_orphans(void **state)
{
    struct gw_error err = {0};
    uint32_t domid, running;
    int claim;

    (void)state;
    start();
    claim = restore_claim_take("web1--incoming", &err);
    assert_true(claim >= 0);
    assert_int_equal(restore_claim_take("web1--incoming", &err), -1);
    assert_int_equal(err.code, GW_EXIT_STATE);
    domid = create("web1--incoming", GW_ACTION_DESTROY);
    assert_int_equal(gw_hv_domain_pause(d.hv, domid), 0);
    running = create("web2--incoming", GW_ACTION_DESTROY);
    settle();
    assert_true(is_known("web1--incoming"));
    close(claim);
    settle();
    assert_false(is_known("web1--incoming"));
    assert_true(is_known("web2--incoming")); /* what runs is never taken for a leftover */
    assert_int_equal(gw_domain_destroy(d.hv, running, &err), 0);
    daemon_close(&d);
}

static int building = -1;

/* The builder of web1 is done in the moment in which the daemon looks at the domain. */
static void finish_building(void)
{
    struct gw_error err = {0};

    fake_host.on_call = NULL;
    assert_int_equal(gw_registry_rename("web1--incoming", "web1", &err), 0);
    close(building);
}

/* A guest that was paused when the daemon looked, under a name that it had before, has arrived. */
static void test_spares_who_has_just_arrived(void **state)
{
    struct gw_error err = {0};
    uint32_t domid;

    (void)state;
    start();
    building = restore_claim_take("web1--incoming", &err);
    assert_true(building >= 0);
    domid = create("web1--incoming", GW_ACTION_DESTROY);
    assert_int_equal(gw_hv_domain_pause(d.hv, domid), 0);
    settle();
    fake_host.on_call = finish_building;
    lifecycle_sync(&d);
    assert_null(fake_host.on_call);
    assert_true(is_known("web1"));
    assert_non_null(fake_domain(domid));
    settle();
    assert_true(is_known("web1"));
    assert_int_equal(gw_domain_destroy(d.hv, domid, &err), 0);
    daemon_close(&d);
}

/* The log of a save whose processes were all killed, found at its end or by a daemon that comes
 * later. That of a chain, which nobody has marked, and that of a living owner stay on. */
static void test_ends_left_logs(void **state)
{
    struct gw_log_owner owner = GW_LOG_OWNER_NONE;
    struct gw_error err = {0};
    uint32_t domid;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    fake_domain(domid)->logdirty = true;
    assert_int_equal(gw_log_owner_take(&owner, domid, "godwit save", &err), 0);
    assert_int_equal(gw_log_owner_mark(&owner, &err), 0);
    settle();
    lifecycle_sync(&d);
    assert_true(fake_domain(domid)->logdirty);
    close(owner.log_fd); /* as the end of a process, in the order in which it closes its files */
    close(owner.claim_fd);
    settle();
    assert_false(fake_domain(domid)->logdirty);
    assert_false(gw_log_owner_is_marked(domid));

    fake_domain(domid)->logdirty = true;
    lifecycle_sync(&d);
    assert_true(fake_domain(domid)->logdirty);
    assert_int_equal(gw_log_owner_mark(&owner, &err), 0);
    lifecycle_sync(&d); /* as at its start */
    assert_false(fake_domain(domid)->logdirty);

    /* What cannot be switched off is not tried again and again. */
    assert_int_equal(gw_log_owner_mark(&owner, &err), 0);
    fake_domain(domid)->logdirty = true;
    fake_host.fail_at = fake_host.calls + 2; /* after the look at the domain */
    fake_host.fail_errno = EBUSY;
    lifecycle_sync(&d);
    assert_true(fake_domain(domid)->logdirty);
    settle();
    assert_true(fake_domain(domid)->logdirty);
    assert_int_equal(gw_domain_destroy(d.hv, domid, &err), 0);
    daemon_close(&d);
}

/* The registry has a number that another domain got since. */
static void test_reused_domid(void **state)
{
    struct gw_record record;
    struct gw_error err = {0};
    uint32_t domid;

    (void)state;
    start();
    domid = create("web1", GW_ACTION_DESTROY);
    fake_domain(domid)->uuid[0] ^= 1;
    lifecycle_sync(&d);
    assert_int_equal(gw_registry_find("web1", &record, &err), -1);
    assert_non_null(fake_domain(domid)); /* and nothing happens to that domain */
    daemon_close(&d);
}

static void test_mapping_reserve(void **state)
{
    const char *path = support_file("target_kb", "524288\n", 7);
    uint64_t kib = 0;

    (void)state;
    reserve_mappings("/nonexistent");
    reserve_mappings(path);
    reserve_mappings(path); /* a second daemon after the first: not again */
    FILE *f = fopen(path, "r");
    assert_int_equal(fscanf(f, "%" SCNu64, &kib), 1);
    fclose(f);
    assert_int_equal(kib, 524288 - 32768);
}

static int cleanup(void **state)
{
    struct gw_record *records;
    struct gw_error err;
    size_t n;

    (void)state;
    if (gw_registry_list(&records, &n, &err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        gw_registry_remove(records[i].name, records[i].domid, &err);
    gw_record_list_free(records, n);
    fake_reset(0);
    return 0;
}

#define daemon_test(f) cmocka_unit_test_teardown(f, cleanup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        daemon_test(test_console),
        daemon_test(test_output_without_reader),
        daemon_test(test_full_input),
        daemon_test(test_bad_clients),
        daemon_test(test_destroy_on_poweroff),
        daemon_test(test_preserve),
        daemon_test(test_restart),
        daemon_test(test_daemon_restart),
        daemon_test(test_follows_renames),
        daemon_test(test_reaps_orphans),
        daemon_test(test_spares_who_has_just_arrived),
        daemon_test(test_ends_left_logs),
        daemon_test(test_reused_domid),
        daemon_test(test_mapping_reserve),
    };

    return cmocka_run_group_tests_name("daemon", tests, setup, support_teardown);
}
