/* SPDX-License-Identifier: MIT */
/* Building domains against the fake hypervisor, and every way in which that can fail. */
#include <errno.h>
#include <godwit/ext.h>
#include <libfdt.h>
#include <libgodwit/domain.h>
#include <libgodwit/layout.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_xen.h"
#include "host/migrate_host.h"
#include "support.h"

#define FREE_PAGES (4u << 18) /* 4 GiB */

static char kernel_path[256], ramdisk_path[256];

static int setup(void **state)
{
    uint8_t kernel[10000], ramdisk[5000];

    if (support_setup(state) < 0)
        return -1;
    for (unsigned i = 0; i < sizeof(kernel); i++)
        kernel[i] = (uint8_t)(i * 3 + 1);
    memset(ramdisk, 0x5a, sizeof(ramdisk));
    snprintf(kernel_path, sizeof(kernel_path), "%s",
             support_file("kernel", kernel, sizeof(kernel)));
    snprintf(ramdisk_path, sizeof(ramdisk_path), "%s",
             support_file("ramdisk", ramdisk, sizeof(ramdisk)));
    return 0;
}

static void make_config(struct gw_config *config, const char *name, uint64_t memory_mib)
{
    *config = (struct gw_config){.vcpus = 2,
                                 .memory_mib = memory_mib,
                                 .kernel = kernel_path,
                                 .ramdisk = ramdisk_path,
                                 .cmdline = (char *)(uintptr_t) "console=ttyAMA0"};
    snprintf(config->name, sizeof(config->name), "%s", name);
    memset(config->uuid, 0x11, sizeof(config->uuid));
}

static struct gw_hv *open_hv(void)
{
    struct gw_error err = {0};
    struct gw_hv *hv = NULL;

    assert_int_equal(gw_hv_open(&hv, &err), 0);
    return hv;
}

static void test_create(void **state)
{
    struct gw_config config;
    struct gw_domain domain = {0};
    struct gw_error err = {0};
    struct gw_record record;
    struct fake_domain *d;
    struct gw_hv *hv;
    uint8_t page[4096];

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 64);
    assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), 0);
    d = fake_domain(domain.domid);
    assert_non_null(d);
    assert_int_equal(d->pause_count, 0);
    assert_int_equal(d->tot_pages, 64 * 256 + 1);
    assert_int_equal(d->vcpus, 2);
    assert_int_equal(d->mempool_bytes, gw_layout_mempool_bytes(64));
    assert_int_equal(d->vuart_gfn, 0x39003);
    assert_true(d->context_set[0]);
    assert_false(d->context_set[1]);
    assert_int_equal(d->contexts[0].user_regs.pc64, 0x40080000);
    assert_int_equal(d->contexts[0].user_regs.cpsr, PSR_GUEST64_INIT);
    assert_int_equal(d->contexts[0].sctlr, SCTLR_GUEST_INIT);
    /* Kernel, ramdisk and tree are where they should be. */
    assert_true(fake_guest_read(d, 0x40080000, page, sizeof(page)));
    assert_int_equal(page[1000], (uint8_t)(1000 * 3 + 1));
    assert_true(fake_guest_read(d, d->contexts[0].user_regs.x0, page, sizeof(page)));
    assert_int_equal(fdt_check_header(page), 0);
    assert_true(d->flushed_pages >= 3 + 2 + 1);
    assert_int_equal(fake_host.windows, 0);
    assert_int_equal(gw_registry_find("web1", &record, &err), 0);
    assert_int_equal(record.domid, domain.domid);
    assert_int_equal(record.console_port, d->vuart_port);
    gw_record_free(&record);
    assert_int_equal(gw_domain_destroy(hv, domain.domid, &err), 0);
    assert_int_equal(fake_domains_n(), 1);
    assert_int_equal(fake_host.free_pages, FREE_PAGES);
    assert_int_equal(gw_registry_find("web1", &record, &err), -1);
    assert_int_equal(err.code, GW_EXIT_NO_GUEST);
    gw_hv_close(hv);
}

/* The n-th hypercall fails, for every n: nothing is left behind, and the error says something. */
static void test_every_failure(void **state)
{
    struct gw_config config;
    struct gw_hv *hv;
    unsigned n, failures = 0;

    (void)state;
    for (n = 1; n < 1000; n++) {
        struct gw_domain domain;
        struct gw_error err = {0};
        struct gw_record record;
        int rc;

        fake_reset(FREE_PAGES);
        hv = open_hv();
        make_config(&config, "web1", 8);
        config.logdirty = GODWIT_TRACKING_FAULT;
        fake_host.calls = 0;
        fake_host.fail_at = n;
        rc = gw_domain_create(hv, &config, false, &domain, &err);
        fake_host.fail_at = 0;
        if (rc == 0) {
            assert_int_equal(gw_domain_destroy(hv, domain.domid, &err), 0);
            gw_hv_close(hv);
            break;
        }
        failures++;
        assert_true(strlen(err.message) > 10);
        assert_int_equal(fake_domains_n(), 1);
        assert_int_equal(fake_host.free_pages, FREE_PAGES);
        assert_int_equal(fake_host.windows, 0);
        assert_int_equal(gw_registry_find("web1", &record, &err), -1);
        gw_hv_close(hv);
    }
    assert_true(failures >= 12);
    assert_true(n < 1000);
}

/* Makes what came in a stream with this text, and says how its writes are noticed then. */
static uint32_t received_tracking(const char *lines, uint32_t *ret_split)
{
    struct migrate_host host = {0};
    struct stream_config c = {.vcpus = 2, .memory_bytes = 8u << 20, .name = "web1"};
    struct gw_error err = {0};
    struct gw_record record;
    uint32_t domid, tracking;
    char text[512];

    snprintf(text, sizeof(text), "name = 'web1'\nkernel = '/gone'\nmemory = 8\nvcpus = 2\n%s@",
             lines);
    c.text = text;
    c.text_length = (uint32_t)strlen(text) - 1; /* it is not terminated */
    assert_int_equal(migrate_this_host.open(migrate_this_host.arg, &host, &err), 0);
    assert_int_equal(host.ops->create(host.ctx, &c, "web1--incoming", &domid, &err), 0);
    tracking = fake_domain(domid)->tracking;
    *ret_split = fake_domain(domid)->split;
    /* The setting stays the guest's, whatever this host makes of it. */
    assert_int_equal(gw_registry_find("web1--incoming", &record, &err), 0);
    assert_int_equal(strlen(record.config_text), c.text_length);
    assert_memory_equal(record.config_text, text, c.text_length);
    gw_record_free(&record);
    assert_int_equal(host.ops->destroy(host.ctx, domid, &err), 0);
    host.ops->close(host.ctx);
    return tracking;
}

static void test_logdirty_travels(void **state)
{
    uint32_t split;

    (void)state;
    fake_reset(FREE_PAGES);
    fake_host.hardware_dirty = true;
    assert_int_equal(received_tracking("", &split), GODWIT_TRACKING_DEFAULT);
    assert_int_equal(split, GODWIT_SPLIT_DEFAULT);
    assert_int_equal(received_tracking("logdirty = 'hardware'\n", &split),
                     GODWIT_TRACKING_HARDWARE);
    assert_int_equal(received_tracking("logdirty = 'fault'\nlogdirty_split = 'eager'\n", &split),
                     GODWIT_TRACKING_FAULT);
    assert_int_equal(split, GODWIT_SPLIT_EAGER);
    assert_int_equal(received_tracking("logdirty = 'fault'\nof_a_later_version = 3\n", &split),
                     GODWIT_TRACKING_DEFAULT);
    fake_host.hardware_dirty = false;
    assert_int_equal(received_tracking("logdirty = 'hardware'\nlogdirty_split = 'eager'\n", &split),
                     GODWIT_TRACKING_DEFAULT);
    assert_int_equal(split, GODWIT_SPLIT_EAGER);
}

/* A new guest is refused, one that restarts is not: its setting is kept for a host that can. */
static void test_logdirty_refused(void **state)
{
    struct gw_config config;
    struct gw_domain domain;
    struct gw_error err = {0};
    struct gw_record record;
    struct gw_hv *hv;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 8);
    config.logdirty = GODWIT_TRACKING_HARDWARE;
    assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), -1);
    assert_int_equal(err.code, GW_EXIT_UNSUPPORTED);
    assert_contains(err.message, "not all CPUs of this host do");
    assert_int_equal(fake_domains_n(), 1);
    assert_int_equal(fake_host.free_pages, FREE_PAGES);
    assert_int_equal(gw_registry_find("web1", &record, &err), -1);
    assert_int_equal(gw_domain_restart(hv, &config, &domain, &err), 0);
    assert_true(domain.logdirty_changed);
    assert_int_equal(fake_domain(domain.domid)->tracking, GODWIT_TRACKING_DEFAULT);
    assert_int_equal(fake_domain(domain.domid)->pause_count, 0);
    assert_int_equal(gw_registry_find("web1", &record, &err), 0);
    assert_contains(record.config_text, "logdirty = \"hardware\"");
    gw_record_free(&record);
    assert_int_equal(gw_domain_destroy(hv, domain.domid, &err), 0);
    fake_host.hardware_dirty = true;
    assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), 0);
    assert_false(domain.logdirty_changed);
    assert_int_equal(fake_domain(domain.domid)->tracking, GODWIT_TRACKING_HARDWARE);
    assert_int_equal(gw_domain_destroy(hv, domain.domid, &err), 0);
    fake_host.hardware_dirty = false;
    gw_hv_close(hv);
}

static unsigned extents_of_order(const struct fake_domain *d, unsigned order)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->extents_n; i++)
        n += d->extents[i].order == order;
    return n;
}

static void test_extents(void **state)
{
    static const struct {
        uint64_t mib;
        unsigned max_order, gib, two_mib, small;
    } cases[] = {
        {3072, 18, 3, 0, 1},     /* fills bank 0; the 1 is the console page */
        {3584, 18, 3, 256, 1},   /* and some of bank 1 */
        {1537, 18, 1, 256, 257}, /* an odd size ends in small pages */
        {1024, 9, 0, 512, 1},    /* no 1 GiB extents left */
        {16, 0, 0, 0, 4097},     /* nothing but single pages */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_config config;
        struct gw_domain domain;
        struct gw_error err = {0};
        struct fake_domain *d;
        struct gw_hv *hv;

        fake_reset(FREE_PAGES);
        fake_host.max_order = cases[i].max_order;
        hv = open_hv();
        make_config(&config, "big", cases[i].mib);
        assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &domain, &err), 0);
        d = fake_domain(domain.domid);
        assert_int_equal(d->tot_pages, cases[i].mib * 256 + 1);
        assert_int_equal(extents_of_order(d, 18), cases[i].gib);
        assert_int_equal(extents_of_order(d, 9), cases[i].two_mib);
        assert_int_equal(extents_of_order(d, 0), cases[i].small);
        assert_int_equal(d->pause_count, 1);
        gw_hv_close(hv);
    }
}

static void test_out_of_memory(void **state)
{
    static const struct {
        uint64_t free_pages, mib;
        const char *says;
    } cases[] = {
        {5000, 64, "not enough memory on this host: 49 MiB are missing; end or move another"},
        {64 * 256 + GODWIT_RESERVED_PAGES, 64, ": 1 MiB are missing"}, /* the console's page */
        {256 * 1000, 4096, ": 3100 MiB are missing"},                  /* of both banks */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_config config;
        struct gw_domain domain;
        struct gw_error err = {0};
        struct gw_hv *hv;

        fake_reset(cases[i].free_pages);
        hv = open_hv();
        make_config(&config, "web1", cases[i].mib);
        assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), -1);
        assert_contains(err.message, cases[i].says);
        assert_int_equal(fake_domains_n(), 1);
        assert_int_equal(fake_host.free_pages, cases[i].free_pages);
        gw_hv_close(hv);
    }
}

/* Before the guest has any memory, all that it needs counts. */
static void test_out_of_memory_at_once(void **state)
{
    static const unsigned calls[] = {1, 5}; /* to create it, to give it a pool for tables */

    (void)state;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct gw_config config;
        struct gw_domain domain;
        struct gw_error err = {0};
        struct gw_hv *hv;

        fake_reset(256);
        hv = open_hv();
        fake_host.fail_at = fake_host.calls + calls[i];
        make_config(&config, "web1", 64);
        assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &domain, &err),
                         -1);
        assert_contains(err.message, ": 68 MiB are missing; end or move another of its guests");
        assert_int_equal(fake_domains_n(), 1);
        gw_hv_close(hv);
    }
}

static void test_bad_files(void **state)
{
    struct gw_config config;
    struct gw_domain domain;
    struct gw_error err = {0};
    struct gw_hv *hv;
    unsigned calls;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    calls = fake_host.calls;
    make_config(&config, "web1", 64);
    config.ramdisk = (char *)(uintptr_t) "/nonexistent";
    assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), -1);
    assert_contains(err.message, "ramdisk: cannot read /nonexistent: No such file");
    make_config(&config, "web1", 64);
    config.kernel = (char *)(uintptr_t)support_dir();
    assert_int_equal(gw_domain_create(hv, &config, false, &domain, &err), -1);
    assert_contains(err.message, "kernel: cannot read");
    assert_int_equal(fake_host.calls, calls); /* nothing was created for a file that is bad */
    gw_hv_close(hv);
}

static void test_name_taken(void **state)
{
    struct gw_config config;
    struct gw_domain first, second;
    struct gw_error err = {0};
    struct gw_hv *hv;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 8);
    assert_int_equal(gw_domain_create(hv, &config, true, &first, &err), 0);
    assert_int_equal(fake_domain(first.domid)->pause_count, 1);
    assert_int_equal(gw_domain_create(hv, &config, false, &second, &err), -1);
    assert_int_equal(err.code, GW_EXIT_STATE);
    assert_contains(err.message, "there is already a guest 'web1'");
    assert_int_equal(fake_domains_n(), 2);
    assert_int_equal(gw_domain_destroy(hv, first.domid, &err), 0);
    gw_hv_close(hv);
}

static void test_guests_by_name(void **state)
{
    struct gw_config config;
    struct gw_domain a, b, unnamed;
    struct gw_error err = {0};
    struct gw_guest guest, *guests;
    struct gw_hv *hv;
    char number[16];
    size_t n;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "a", 8);
    config.uuid[0] = 1;
    assert_int_equal(gw_domain_create(hv, &config, false, &a, &err), 0);
    make_config(&config, "b", 8);
    config.uuid[0] = 2;
    assert_int_equal(gw_domain_create(hv, &config, false, &b, &err), 0);
    make_config(&config, "unnamed", 8);
    assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &unnamed, &err), 0);
    assert_int_equal(gw_hv_domain_destroy(hv, a.domid),
                     0); /* a gap; the record of a stays behind */
    assert_int_equal(gw_guest_list(hv, &guests, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_string_equal(guests[0].name, "Domain-0");
    assert_string_equal(guests[1].name, "b");
    free(guests);
    assert_int_equal(gw_guest_find(hv, "b", &guest, &err), 0);
    assert_int_equal(guest.info.domid, b.domid);
    snprintf(number, sizeof(number), "%u", unnamed.domid);
    assert_int_equal(gw_guest_find(hv, number, &guest, &err), 0);
    assert_contains(guest.name, "domain-");
    assert_int_equal(gw_guest_find(hv, "a", &guest, &err), -1);
    assert_int_equal(err.code, GW_EXIT_NO_GUEST);
    /* Version 0x15 of the interface answers for the next domain: that is not the one asked for. */
    snprintf(number, sizeof(number), "%u", a.domid);
    assert_int_equal(gw_guest_find(hv, number, &guest, &err), -1);
    assert_int_equal(gw_hv_domain_info(hv, a.domid, &guest.info), -ESRCH);
    assert_int_equal(gw_hv_domain_info(hv, b.domid, &guest.info), 0);
    assert_int_equal(gw_registry_remove("a", a.domid, &err), 0);
    assert_int_equal(gw_domain_destroy(hv, b.domid, &err), 0);
    gw_hv_close(hv);
}

static void test_guest_memory_windows(void **state)
{
    struct gw_config config;
    struct gw_domain domain;
    struct gw_error err = {0};
    struct gw_hv *hv;
    size_t bytes = 3u << 20;
    uint8_t *data = malloc(bytes), *back = malloc(bytes);

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 8);
    assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &domain, &err), 0);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i ^ i >> 8);
    assert_int_equal(gw_hv_guest_write(hv, domain.domid, 0x40000123, data, bytes), 0);
    assert_int_equal(gw_hv_guest_read(hv, domain.domid, 0x40000123, back, bytes), 0);
    assert_memory_equal(data, back, bytes);
    assert_int_equal(gw_hv_guest_write(hv, domain.domid, 0x40000000 + (8u << 20) - 1, data, 2),
                     -ENOENT);
    assert_int_equal(gw_hv_guest_read(hv, domain.domid, 0, back, 1), -ENOENT);
    assert_int_equal(fake_host.windows, 0);
    free(data);
    free(back);
    gw_hv_close(hv);
}

/* Contents by hypercall: with room that ends, zeros, frames that are not there, and our own memory
 * not mapped for a moment. */
static void test_guest_pages(void **state)
{
    static uint8_t pages[6][GW_PAGE_BYTES], back[6][GW_PAGE_BYTES];
    const uint64_t base = 0x40000000 / GW_PAGE_BYTES;
    const uint64_t gfns[6] = {base, base + 1, base + 2, base + 300, base + 301, base + 302};
    const bool zeros[6] = {false, true, false, false, true, false};
    struct gw_config config;
    struct gw_domain domain;
    struct gw_error err = {0};
    struct gw_hv *hv;
    bool zero[6];
    unsigned done;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 8);
    assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &domain, &err), 0);
    for (unsigned i = 0; i < 6; i++)
        memset(pages[i], zeros[i] ? 0 : (int)i + 1, GW_PAGE_BYTES);
    fake_host.pages_faults = 4;
    assert_int_equal(gw_hv_pages_write(hv, domain.domid, gfns, 6, pages), 0);
    fake_host.pages_faults = 4;
    assert_int_equal(gw_hv_pages_read(hv, domain.domid, gfns, 6, back, 6, zero, &done), 0);
    assert_int_equal(done, 6);
    assert_memory_equal(zero, zeros, sizeof(zeros));
    for (unsigned i = 0, at = 0; i < 6; i++)
        if (!zeros[i])
            assert_memory_equal(back[at++], pages[i], GW_PAGE_BYTES);
    assert_int_equal(gw_hv_pages_read(hv, domain.domid, gfns, 6, back, 3, zero, &done), 0);
    assert_int_equal(done, 4); /* and the fifth, of zeros, is the next call's */

    assert_int_equal(gw_hv_pages_write(hv, domain.domid, gfns, 6, NULL), 0);
    assert_int_equal(gw_hv_pages_read(hv, domain.domid, gfns, 6, back, 1, zero, &done), 0);
    assert_true(done == 6 && zero[0] && zero[5]);
    assert_int_equal(
        gw_hv_pages_read(hv, domain.domid, (uint64_t[]){base, 3}, 2, back, 2, zero, &done),
        -EINVAL);
    assert_int_equal(gw_hv_pages_write(hv, domain.domid, (uint64_t[]){3}, 1, pages), -EINVAL);
    fake_host.pages_faults = 1000;
    assert_int_equal(gw_hv_pages_read(hv, domain.domid, gfns, 6, back, 6, zero, &done), -EFAULT);
    assert_int_equal(gw_hv_pages_write(hv, domain.domid, gfns, 6, pages), -EFAULT);
    gw_hv_close(hv);
}

/* What was written between two takes, by ranges and by the bitmap of a hypervisor without them. */
static void test_dirty_take(void **state)
{
    struct gw_shadow enable = {.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY};
    uint64_t pages;
    uint8_t *expected, *bitmap;
    struct gw_config config;
    struct gw_domain domain;
    struct gw_error err = {0};
    struct gw_hv *hv;

    (void)state;
    fake_reset(FREE_PAGES);
    hv = open_hv();
    make_config(&config, "web1", 64);
    assert_int_equal(gw_domain_create_empty(hv, &config, GW_LOGDIRTY_REFUSE, &domain, &err), 0);
    assert_int_equal(gw_hv_shadow_op(hv, domain.domid, &enable), 0);
    pages = fake_domain(domain.domid)->dirty_n - 3;
    expected = malloc(pages / 8 + 1);
    bitmap = gw_hv_buffer_alloc(hv, pages / 8 + 1);
    for (unsigned round = 0; round < 6; round++) {
        uint64_t epoch = 0;

        fake_host.no_ranges = round % 2 == 1;
        fake_host.ranges_room = 64 + 100 * round;
        memset(expected, 0, pages / 8 + 1);
        for (uint64_t gfn = round; gfn < pages; gfn += (gfn * 7 + round) % 13 < 9 ? 1 : 50) {
            fake_mark_dirty(fake_domain(domain.domid), gfn);
            expected[gfn / 8] |= (uint8_t)(1u << gfn % 8);
        }
        fake_host.fail_errno = EBUSY; /* somebody is in the way, once */
        fake_host.fail_at = fake_host.calls + 1 + round / 2;
        assert_int_equal(gw_hv_dirty_take(hv, domain.domid, pages, false, bitmap, &epoch), 0);
        assert_int_equal(epoch, fake_host.no_ranges ? 0 : fake_domain(domain.domid)->log_epoch);
        assert_memory_equal(bitmap, expected, (pages + 7) / 8);
    }
    uint64_t epoch = 0;
    fake_host.no_ranges = false;
    fake_host.fail_errno = EFAULT;
    fake_host.fail_at = fake_host.calls + 1;
    assert_int_equal(gw_hv_dirty_take(hv, domain.domid, pages, true, bitmap, &epoch), -EFAULT);

    /* Somebody else takes: the next take of ours is refused, and nothing is lost. */
    assert_int_equal(gw_hv_dirty_epoch(hv, domain.domid, &epoch), 0);
    assert_int_equal(gw_hv_dirty_take(hv, domain.domid, pages, true, bitmap, &epoch), 0);
    struct gw_shadow clean = {.op = XEN_DOMCTL_SHADOW_OP_CLEAN};
    assert_int_equal(gw_hv_shadow_op(hv, domain.domid, &clean), 0);
    fake_mark_dirty(fake_domain(domain.domid), 5);
    assert_int_equal(gw_hv_dirty_take(hv, domain.domid, pages, true, bitmap, &epoch), -EILSEQ);
    assert_true(fake_domain(domain.domid)->dirty[5]);
    struct gw_shadow off = {.op = XEN_DOMCTL_SHADOW_OP_OFF};
    assert_int_equal(gw_hv_shadow_op(hv, domain.domid, &off), 0);
    assert_int_equal(gw_hv_dirty_epoch(hv, domain.domid, &epoch), -EINVAL);
    gw_hv_buffer_free(hv, bitmap, pages / 8 + 1);
    free(expected);
    gw_hv_close(hv);
}

static void test_no_hypervisor(void **state)
{
    struct gw_error err = {0};
    struct gw_hv *hv;

    (void)state;
    fake_reset(FREE_PAGES);
    fake_host.absent = true;
    assert_int_equal(gw_hv_open(&hv, &err), -1);
    assert_int_equal(err.code, GW_EXIT_UNAVAILABLE);
    assert_contains(err.message, "cannot talk to the hypervisor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_every_failure),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_out_of_memory_at_once),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_guests_by_name),
        cmocka_unit_test(test_guest_memory_windows),
        cmocka_unit_test(test_guest_pages),
        cmocka_unit_test(test_logdirty_travels),
        cmocka_unit_test(test_logdirty_refused),
        cmocka_unit_test(test_no_hypervisor),
        cmocka_unit_test(test_dirty_take),
    };

    return cmocka_run_group_tests_name("domain", tests, setup, support_teardown);
}
