/* SPDX-License-Identifier: MIT */
/* Versions, host information, and lists of domains. */
#include "case.h"

#include <stdio.h>

static void versions(void)
{
    xen_extraversion_t extra = "";
    xen_capabilities_info_t capabilities = "";
    int version = xc_version(xch, XENVER_version, NULL);
    EXPECT(version >= (4 << 16 | 17));
    EXPECT(xc_version(xch, XENVER_extraversion, &extra) == 0);
    EXPECT(memchr(extra, 0, sizeof(extra)));
    EXPECT(xc_version(xch, XENVER_capabilities, &capabilities) == 0);
    EXPECT(strstr(capabilities, "aarch64"));
    EXPECT(xc_version(xch, XENVER_pagesize, NULL) == 4096);
}

static void physinfo(void)
{
    xc_physinfo_t info;
    EXPECT(xc_physinfo(xch, &info) == 0);
    EXPECT(info.nr_cpus >= 1 && info.max_cpu_id + 1 >= info.nr_cpus);
    EXPECT(info.total_pages > info.free_pages && info.free_pages > 0);
    EXPECT(info.cpu_khz > 0);
}

static void control_domain(void)
{
    xc_dominfo_t info;
    EXPECT(xc_domain_getinfo(xch, 0, 1, &info) == 1);
    EXPECT(info.domid == 0 && info.hvm && info.hap);
    EXPECT(!info.dying && !info.shutdown && !info.paused);
    EXPECT(info.nr_online_vcpus >= 1 && info.nr_pages > 0 && info.cpu_time > 0);
}

/* libxenctrl 4.17 walks a list by asking for the next-higher id: gaps must be stepped over. */
static void list_with_gaps(void)
{
    uint32_t first = guest_create(1), middle = guest_create(1), last = guest_create(2);
    xc_dominfo_t info[8];
    EXPECT(first < middle && middle < last);
    guest_destroy(middle);
    EXPECT(xc_domain_getinfo(xch, first, 8, info) == 2);
    EXPECT(info[0].domid == first && info[1].domid == last);
    EXPECT(info[0].max_vcpu_id == 0 && info[1].max_vcpu_id == 1);
    EXPECT(xc_domain_getinfo(xch, middle, 1, info) == 1 && info[0].domid == last);
    EXPECT(xc_domain_getinfo(xch, last + 1, 1, info) <= 0);
}

static void list_in_one_call(void)
{
    uint32_t first = guest_create(1), middle = guest_create(1), last = guest_create(1);
    xc_domaininfo_t info[8];
    guest_destroy(middle);
    EXPECT(xc_domain_getinfolist(xch, first, 8, info) == 2);
    EXPECT(info[0].domain == first && info[1].domain == last);
    EXPECT(xc_domain_getinfolist(xch, 0, 1, info) == 1 && info[0].domain == 0);
    EXPECT(xc_domain_getinfolist(xch, last + 1, 8, info) == 0);
}

static void unknown_domain(void)
{
    uint64_t size;
    EXPECT_ERRNO(xc_domain_pause(xch, NO_DOMID), ESRCH);
    EXPECT_ERRNO(xc_domain_unpause(xch, NO_DOMID), ESRCH);
    EXPECT_ERRNO(xc_domain_destroy(xch, NO_DOMID), ESRCH);
    EXPECT_ERRNO(xc_domain_setmaxmem(xch, NO_DOMID, 4096), ESRCH);
    EXPECT_ERRNO(xc_get_paging_mempool_size(xch, NO_DOMID, &size), ESRCH);
    EXPECT_ERRNO(xc_shadow_control(xch, NO_DOMID, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0), ESRCH);
}

const struct test_case listing_cases[] = {
    {"versions", versions},
    {"physinfo", physinfo},
    {"control_domain", control_domain},
    {"list_with_gaps", list_with_gaps},
    {"list_in_one_call", list_in_one_call},
    {"unknown_domain", unknown_domain},
    {NULL, NULL},
};
