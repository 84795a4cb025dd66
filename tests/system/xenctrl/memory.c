/* SPDX-License-Identifier: MIT */
/* Populating, counting, removing and mapping a domain's memory. */
#include "case.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenforeignmemory.h>

enum { PAGE_BYTES = 4096, BLOCK_PAGES = 512 };

static void pages_are_counted(void)
{
    uint32_t domid = guest_create(1);
    xen_pfn_t gpfn = 0, gone[3] = {RAM_BASE_GFN, RAM_BASE_GFN + 7, RAM_BASE_GFN + 1023};
    guest_add_ram(domid, 1024, true);
    EXPECT(guest_info(domid).nr_pages == 1024);
    EXPECT(xc_domain_maximum_gpfn(xch, domid, &gpfn) >= 0 && gpfn == RAM_BASE_GFN + 1023);
    EXPECT(xc_domain_decrease_reservation_exact(xch, domid, 3, 0, gone) == 0);
    EXPECT(guest_info(domid).nr_pages == 1021);
    EXPECT(xc_domain_decrease_reservation(xch, domid, 3, 0, gone) == 0);
}

static void max_mem_is_a_limit(void)
{
    uint32_t domid = guest_create(1);
    xen_pfn_t extents[8];
    for (unsigned int i = 0; i < 8; i++)
        extents[i] = RAM_BASE_GFN + i;
    EXPECT(xc_set_paging_mempool_size(xch, domid, 1 << 20) == 0);
    EXPECT(xc_domain_setmaxmem(xch, domid, 5 * 4) == 0);
    EXPECT(xc_domain_populate_physmap(xch, domid, 8, 0, 0, extents) == 5);
    EXPECT(guest_info(domid).nr_pages == 5);
    EXPECT(xc_domain_setmaxmem(xch, domid, 4) == 0); /* below what it has: allowed */
    EXPECT(guest_info(domid).nr_pages == 5);
}

static void fresh_memory_is_zero(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, BLOCK_PAGES, true);
    xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
    EXPECT(fmem);
    xen_pfn_t pfns[64];
    int errors[64] = {0};
    for (unsigned int i = 0; i < 64; i++)
        pfns[i] = RAM_BASE_GFN + i * 8;
    uint8_t *at = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 64, pfns, errors);
    bool zero = at != NULL;
    for (size_t i = 0; at && i < 64 * (size_t)PAGE_BYTES; i++)
        zero &= at[i] == 0;
    if (at)
        memset(at, 0xa5, 64 * (size_t)PAGE_BYTES);
    xenforeignmemory_unmap(fmem, at, 64);
    xenforeignmemory_close(fmem);
    EXPECT(zero);
}

/* What one owner wrote, the next one must not read. */
static void no_leak_between_domains(void)
{
    for (int i = 0; i < 3; i++) {
        fresh_memory_is_zero();
        xc_domaininfo_t last;
        for (uint32_t from = 1; xc_domain_getinfolist(xch, from, 1, &last) == 1;)
            from = last.domain + 1, xc_domain_destroy(xch, last.domain);
    }
}

static void mapping_holes_fails_each(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, BLOCK_PAGES, true);
    xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
    xen_pfn_t pfns[3] = {RAM_BASE_GFN, RAM_BASE_GFN + 4096, RAM_BASE_GFN + 1};
    int errors[3] = {0};
    void *at = xenforeignmemory_map(fmem, domid, PROT_READ, 3, pfns, errors);
    bool good = at && errors[0] == 0 && errors[1] != 0 && errors[2] == 0;
    if (at)
        xenforeignmemory_unmap(fmem, at, 3);
    xenforeignmemory_close(fmem);
    EXPECT(good);
}

/* Maps and unmaps a window again and again from two processes: the control domain's own blocks are
 * split and merged all the time. */
static void storm(uint32_t domid, int rounds)
{
    xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
    xen_pfn_t pfns[32];
    int errors[32];
    for (int round = 0; fmem && round < rounds; round++) {
        for (unsigned int i = 0; i < 32; i++)
            pfns[i] = RAM_BASE_GFN + (i * 13 + (unsigned int)round) % 1024;
        uint64_t *at = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 32, pfns, errors);
        if (!at)
            _exit(1);
        for (size_t i = 0; i < 32; i++)
            at[i * PAGE_BYTES / 8] = pfns[i];
        for (size_t i = 0; i < 32; i++)
            if (errors[i] || at[i * PAGE_BYTES / 8] != pfns[i])
                _exit(2);
        xenforeignmemory_unmap(fmem, at, 32);
    }
    _exit(fmem ? 0 : 3);
}

static void map_storm(void)
{
    uint32_t domid = guest_create(1);
    guest_add_ram(domid, 1024, true);
    int rounds = getenv("GODWIT_TEST_LONG") ? 20000 : 300;
    pid_t child[2];
    for (int i = 0; i < 2; i++) {
        child[i] = fork();
        EXPECT(child[i] >= 0);
        if (child[i] == 0)
            storm(domid, rounds);
    }
    for (int i = 0; i < 2; i++) {
        int status = -1;
        EXPECT(waitpid(child[i], &status, 0) == child[i]);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* A process dies while it maps a domain, and the domain is destroyed meanwhile. */
static void dying_mapper_frees_the_domain(void)
{
    uint64_t before = 0;
    for (int round = 0; round < 3; round++) {
        uint32_t domid = guest_create(1);
        int ready[2];
        char byte;
        guest_add_ram(domid, 1024, true);
        EXPECT(pipe(ready) == 0);
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
            xen_pfn_t pfns[16];
            int errors[16];
            for (unsigned int i = 0; i < 16; i++)
                pfns[i] = RAM_BASE_GFN + i;
            void *at = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 16, pfns, errors);
            if (at && write(ready[1], "x", 1) == 1)
                pause();
            _exit(1);
        }
        close(ready[1]);
        EXPECT(read(ready[0], &byte, 1) == 1);
        close(ready[0]);
        guest_destroy(domid);
        EXPECT(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        for (int tries = 0; tries < 50 && before && host_free_pages() != before; tries++)
            usleep(100000);
        EXPECT(!before || host_free_pages() == before);
        usleep(200000);
        before = host_free_pages();
    }
}

const struct test_case memory_cases[] = {
    {"pages_are_counted", pages_are_counted},
    {"max_mem_is_a_limit", max_mem_is_a_limit},
    {"fresh_memory_is_zero", fresh_memory_is_zero},
    {"no_leak_between_domains", no_leak_between_domains},
    {"mapping_holes_fails_each", mapping_holes_fails_each},
    {"map_storm", map_storm},
    {"dying_mapper_frees_the_domain", dying_mapper_frees_the_domain},
    {NULL, NULL},
};
