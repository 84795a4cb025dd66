/* SPDX-License-Identifier: MIT */
/* What the cases of xenctrl-tests share: the connection, verdicts, and small guests to test on. */
#ifndef XENCTRL_CASE_H
#define XENCTRL_CASE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <xenctrl.h>

/* Stops the case with a FAIL line that shows the expression and errno. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            case_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
/* The call must fail with this errno. libxenctrl returns -1 and sets errno. */
#define EXPECT_ERRNO(call, wanted) case_expect_errno(__FILE__, __LINE__, #call, (call), (wanted))

_Noreturn void case_fail(const char *file, int line, const char *what);
void case_expect_errno(const char *file, int line, const char *what, long long result, int wanted);

extern xc_interface *xch;

enum {
    RAM_BASE_GFN = 0x40000, /* GUEST_RAM0_BASE */
    NO_DOMID = 0x6fff,      /* never in use here */
};

/* Creates an empty domain with vcpus vCPUs; destroyed when the case ends, whatever its verdict. */
uint32_t guest_create(unsigned int vcpus);
/* Gives it pages of RAM from RAM_BASE_GFN on, in 4 KiB extents or, if blocks, in 2 MiB ones. */
void guest_add_ram(uint32_t domid, unsigned int pages, bool blocks);
/* Copies code to gfn and sets vCPU 0 to run it at EL1, MMU off, x0 and x1 as given; stays paused.
 */
void guest_load(uint32_t domid, uint64_t gfn, const uint32_t *code, unsigned int words, uint64_t x0,
                uint64_t x1);
void guest_destroy(uint32_t domid);
xc_dominfo_t guest_info(uint32_t domid);
/* Waits until it has shut down or switched vCPU 0 off; fails the case after a minute. */
void guest_wait_off(uint32_t domid);
uint64_t host_free_pages(void);
bool bit_is_set(const uint8_t *bitmap, uint64_t bit);

struct test_case {
    const char *name;
    void (*run)(void);
};
extern const struct test_case listing_cases[], lifecycle_cases[], memory_cases[], logdirty_cases[],
    context_cases[], buffer_cases[], devicemodel_cases[];

#endif
