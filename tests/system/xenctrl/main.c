/* SPDX-License-Identifier: MIT */
/*
 * xenctrl-tests: does the hypervisor keep Xen's promises to programs linked with stock libxenctrl?
 *
 *   xenctrl-tests --list      names of all cases
 *   xenctrl-tests NAME...     runs these; last line of each: "PASS name" or "FAIL name: why"
 */
#include "case.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

xc_interface *xch;

static jmp_buf case_end;
static char case_failure[512];

static const struct test_case *const groups[] = {
    listing_cases, lifecycle_cases, memory_cases,      logdirty_cases,
    context_cases, buffer_cases,    devicemodel_cases,
};

void case_fail(const char *file, int line, const char *what)
{
    snprintf(case_failure, sizeof(case_failure), "%s:%d: not so: %s (errno %d: %s)", file, line,
             what, errno, strerror(errno));
    longjmp(case_end, 1);
}

void case_expect_errno(const char *file, int line, const char *what, long long result, int wanted)
{
    int got = errno;
    if (result == -1 && got == wanted)
        return;
    snprintf(case_failure, sizeof(case_failure), "%s:%d: %s: returned %lld, errno %d (%s), not %s",
             file, line, what, result, result == -1 ? got : 0,
             result == -1 ? strerror(got) : "none", strerror(wanted));
    longjmp(case_end, 1);
}

static uint32_t domains_now(xc_domaininfo_t *list, uint32_t max)
{
    int count = xc_domain_getinfolist(xch, 1, max, list);
    return count < 0 ? 0 : (uint32_t)count;
}

/* Destroys what the case has left: every domain that was not there before. */
static void domains_restore(const xc_domaininfo_t *before, uint32_t before_count)
{
    static xc_domaininfo_t after[64];
    uint32_t count = domains_now(after, 64);
    for (uint32_t i = 0; i < count; i++) {
        bool known = false;
        for (uint32_t j = 0; j < before_count; j++)
            known |= before[j].domain == after[i].domain;
        if (!known)
            xc_domain_destroy(xch, after[i].domain);
    }
}

static bool case_run(const struct test_case *c)
{
    static xc_domaininfo_t before[64];
    uint32_t count = domains_now(before, 64);
    case_failure[0] = '\0';
    if (setjmp(case_end) == 0)
        c->run();
    domains_restore(before, count);
    if (case_failure[0])
        printf("FAIL %s: %s\n", c->name, case_failure);
    else
        printf("PASS %s\n", c->name);
    return !case_failure[0];
}

static const struct test_case *case_find(const char *name)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (const struct test_case *c = groups[g]; c->name; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

int main(int argc, char **argv)
{
    int bad = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
            for (const struct test_case *c = groups[g]; c->name; c++)
                puts(c->name);
        return 0;
    }
    /* An error that a case provokes is no news: libxenctrl's own messages are dropped. */
    if (!freopen("/dev/null", "w", stderr) || !(xch = xc_interface_open(NULL, NULL, 0))) {
        printf("FAIL cannot open the hypervisor interface: %s\n", strerror(errno));
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        const struct test_case *c = case_find(argv[i]);
        if (!c) {
            printf("FAIL %s: no such case\n", argv[i]);
            bad = 1;
        } else if (!case_run(c)) {
            bad = 1;
        }
    }
    xc_interface_close(xch);
    return bad;
}
