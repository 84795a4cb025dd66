/* SPDX-License-Identifier: MIT */
/* Creating, pausing and destroying domains. */
#include "case.h"

#include <stdlib.h>
#include <unistd.h>

static void new_domain_is_paused(void)
{
    uint32_t domid = guest_create(2);
    xc_dominfo_t info = guest_info(domid);
    EXPECT(info.paused && !info.dying && !info.shutdown);
    EXPECT(info.hvm && info.hap && info.nr_pages == 0);
    EXPECT(info.max_vcpu_id == 1);
}

static void pauses_are_counted(void)
{
    uint32_t domid = guest_create(1);
    EXPECT(xc_domain_pause(xch, domid) == 0);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    EXPECT(guest_info(domid).paused);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    EXPECT(!guest_info(domid).paused);
    EXPECT_ERRNO(xc_domain_unpause(xch, domid), EINVAL);
    EXPECT(!guest_info(domid).paused);
}

static void not_to_oneself(void)
{
    EXPECT_ERRNO(xc_domain_pause(xch, 0), EINVAL);
    EXPECT_ERRNO(xc_domain_destroy(xch, 0), EINVAL);
    EXPECT_ERRNO(xc_shadow_control(xch, 0, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0), EINVAL);
}

static void max_vcpus_must_match(void)
{
    uint32_t domid = guest_create(2);
    EXPECT_ERRNO(xc_domain_max_vcpus(xch, domid, 1), EINVAL);
    EXPECT_ERRNO(xc_domain_max_vcpus(xch, domid, 3), EINVAL);
    EXPECT(xc_domain_max_vcpus(xch, domid, 2) == 0);
}

static int create_with(struct xen_domctl_createdomain config)
{
    uint32_t domid = 0;
    int result = xc_domain_create(xch, &domid, &config);
    if (result == 0)
        xc_domain_destroy(xch, domid);
    return result;
}

static void bad_creations(void)
{
    const struct xen_domctl_createdomain good = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .arch = {.nr_spis = 32},
    };
    struct xen_domctl_createdomain bad = good;
    EXPECT(create_with(good) == 0);
    bad.flags = XEN_DOMCTL_CDF_hvm;
    EXPECT_ERRNO(create_with(bad), EINVAL);
    bad.flags = good.flags | 1u << 31;
    EXPECT_ERRNO(create_with(bad), EINVAL);
    bad = good;
    bad.max_vcpus = 100000;
    EXPECT_ERRNO(create_with(bad), EINVAL);
    bad = good;
    bad.arch.gic_version = XEN_DOMCTL_CONFIG_GIC_V2;
    EXPECT_ERRNO(create_with(bad), EINVAL);
    bad = good;
    bad.arch.nr_spis = 100000;
    EXPECT_ERRNO(create_with(bad), EINVAL);
}

static void id_in_use(void)
{
    uint32_t domid = guest_create(1);
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .arch = {.nr_spis = 32},
    };
    EXPECT_ERRNO(xc_domain_create(xch, &domid, &config), EEXIST);
}

/* A destroyed domain gives back every page, whatever it had. */
static void create_destroy_loses_nothing(void)
{
    int rounds = getenv("GODWIT_TEST_LONG") ? 1000 : 100;
    uint64_t before = 0;
    for (int i = 0; i < rounds; i++) {
        uint32_t domid = guest_create(1 + i % 4);
        guest_add_ram(domid, 1024, i % 2);
        guest_destroy(domid);
        if (i == 0)
            before = host_free_pages();
    }
    for (int tries = 0; tries < 50 && host_free_pages() != before; tries++)
        usleep(100000); /* frames of the last domain may still be on their way back */
    EXPECT(host_free_pages() == before);
}

static void destroy_while_running(void)
{
    const uint32_t spin[] = {0x14000000}; /* b . */
    uint32_t domid = guest_create(1);
    xc_dominfo_t info;
    guest_add_ram(domid, 512, true);
    guest_load(domid, RAM_BASE_GFN, spin, 1, 0, 0);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    usleep(50000);
    EXPECT(guest_info(domid).cpu_time > 0);
    guest_destroy(domid);
    EXPECT(xc_domain_getinfo(xch, domid, 1, &info) <= 0 || info.domid != domid || info.dying);
}

/* PSCI SYSTEM_OFF and SYSTEM_RESET become shutdown reasons 0 and 1. */
static void psci_shutdown_reasons(void)
{
    for (uint32_t reason = 0; reason < 2; reason++) {
        const uint32_t code[] = {0xd4000002, 0x14000000}; /* hvc #0; b . */
        uint32_t domid = guest_create(1);
        guest_add_ram(domid, 512, true);
        guest_load(domid, RAM_BASE_GFN, code, 2, reason ? 0x84000009 : 0x84000008, 0);
        EXPECT(xc_domain_unpause(xch, domid) == 0);
        guest_wait_off(domid);
        xc_dominfo_t info = guest_info(domid);
        EXPECT(info.shutdown && info.shutdown_reason == reason);
        guest_destroy(domid);
    }
}

/* A guest that jumps to nowhere, or writes there, is its own problem: crash, reason 3. */
static void misbehaving_guest_crashes_alone(void)
{
    const uint32_t code[] = {0xf9000020, 0x14000000}; /* str x0, [x1]; b . */
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, 512, true);
    guest_load(domid, RAM_BASE_GFN, code, 2, 0, 0x3fff0000000);
    EXPECT(xc_domain_unpause(xch, domid) == 0);
    usleep(200000);
    EXPECT(xc_domain_pause(xch, domid) == 0);
    xc_dominfo_t info = guest_info(domid);
    EXPECT(!info.shutdown || info.shutdown_reason == 3);
    EXPECT(guest_info(0).nr_online_vcpus >= 1);
}

const struct test_case lifecycle_cases[] = {
    {"new_domain_is_paused", new_domain_is_paused},
    {"pauses_are_counted", pauses_are_counted},
    {"not_to_oneself", not_to_oneself},
    {"max_vcpus_must_match", max_vcpus_must_match},
    {"bad_creations", bad_creations},
    {"id_in_use", id_in_use},
    {"create_destroy_loses_nothing", create_destroy_loses_nothing},
    {"destroy_while_running", destroy_while_running},
    {"psci_shutdown_reasons", psci_shutdown_reasons},
    {"misbehaving_guest_crashes_alone", misbehaving_guest_crashes_alone},
    {NULL, NULL},
};
