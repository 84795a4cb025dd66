/* SPDX-License-Identifier: MIT */
/*
 * The measurement on a target made up here: what it prints for known costs, and that a log which
 * loses a page, or reports one too many, makes the measurement void.
 */
#include "../tracking/scenario.h"
#include "../tracking/target.h"

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FAULT_COST   160u
#define HARVEST_COST 320u
#define PAGE_COST    32u
#define ENABLE_COST  (16u * TRACKING_RAM_PAGES)

static uint64_t marks[TRACKING_RAM_PAGES / 64], answer[TRACKING_RAM_PAGES / 64];
static bool open_pages[TRACKING_RAM_PAGES];
static bool logging;
static uint64_t now, faults;
static unsigned harvests, bad_harvest; /* which harvest answers wrongly; 0: none */
static uint32_t bad_page;
static char output[16384];

uint64_t target_round(enum tracking_kind kind, uint32_t stride, uint32_t pages)
{
    uint32_t first = (uint32_t)((TRACKING_REGION_IPA - GUEST_RAM0_BASE) >> 12);
    uint64_t start = now;

    bool together = kind == TRACKING_TOGETHER;
    uint32_t count = together ? pages * stride : pages;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = first + i * (together ? 1 : stride);

        now += 16;
        if ((together || kind == TRACKING_WRITE) && logging && !open_pages[page]) {
            open_pages[page] = true;
            marks[page / 64] |= UINT64_C(1) << page % 64;
            now += FAULT_COST;
            faults++;
        }
    }
    return (now - start) / 16;
}

void target_enable(void)
{
    logging = true;
    memset(open_pages, 0, sizeof(open_pages));
    now += ENABLE_COST;
}

void target_disable(void)
{
    logging = false;
}

void target_harvest(void)
{
    now += HARVEST_COST + TRACKING_RAM_PAGES;
    for (uint32_t page = 0; page < TRACKING_RAM_PAGES; page++) {
        if ((marks[page / 64] >> page % 64 & 1) != 0) {
            open_pages[page] = false;
            now += PAGE_COST;
        }
    }
    memcpy(answer, marks, sizeof(answer));
    memset(marks, 0, sizeof(marks));
    if (++harvests == bad_harvest) {
        answer[bad_page / 64] ^= UINT64_C(1) << bad_page % 64;
    }
}

const uint64_t *target_answer(void)
{
    return answer;
}

uint32_t target_harvest_clean(bool larger)
{
    uint32_t pages = larger ? 4 * TRACKING_RAM_PAGES : TRACKING_RAM_PAGES;

    now += HARVEST_COST + pages;
    return pages;
}

uint64_t target_faults(void)
{
    return faults;
}

uint64_t target_memory(void)
{
    return logging ? 3u << 20 : 1u << 20;
}

uint64_t target_instructions(void)
{
    return now;
}

void target_print(const char *format, ...)
{
    size_t used = strlen(output);
    va_list args;

    va_start(args, format);
    vsnprintf(output + used, sizeof(output) - used, format, args);
    va_end(args);
}

static bool run(unsigned wrong, uint32_t page)
{
    output[0] = '\0';
    harvests = 0;
    bad_harvest = wrong;
    bad_page = page;
    return scenario_run("fake/pages");
}

static void expect_line(const char *line)
{
    if (strstr(output, line) == NULL) {
        print_error("no line '%s' in\n%s", line, output);
        fail();
    }
}

static void test_vcpus(void **state)
{
    output[0] = '\0';
    bad_harvest = 0;
    assert_true(scenario_vcpus("fake", 8));
    expect_line("cost fake write_fault_1_vcpus 160.000000 instructions\n");
    expect_line("cost fake write_fault_8_vcpus 160.000000 instructions\n");
    output[0] = '\0';
    harvests = 0;
    bad_harvest = 4;
    bad_page = 0x800;
    assert_false(scenario_vcpus("fake", 8));
}

static void test_known_costs(void **state)
{
    assert_true(run(0, 0));
    expect_line("cost fake/pages write_fault 160.000000 instructions\n");
    expect_line("cost fake/pages faults_write 1.000000 faults\n");
    expect_line("cost fake/pages memory_per_gib 16384.000000 KiB\n");
    expect_line("cost fake/pages enable 16.000000 instructions\n");
    expect_line("cost fake/pages harvest_idle 33088.000000 instructions\n");
    expect_line("cost fake/pages harvest_per_clean_page 1.000000 instructions\n");
    expect_line("cost fake/pages harvest_per_dirty_page_dense 32.000000 instructions\n");
    expect_line("cost fake/pages harvest_per_dirty_page_sparse 32.000000 instructions\n");
    expect_line("cost fake/pages first_write_after_disable 0.000000 instructions\n");
    assert_null(strstr(output, "void"));
}

/* Every harvest but the first, of which nothing is expected, with a bit turned over. */
static void test_wrong_log_is_void(void **state)
{
    unsigned last;

    assert_true(run(0, 0));
    last = harvests;
    assert_true(last > 20);
    for (unsigned wrong = 2; wrong <= last; wrong++) {
        uint32_t page = wrong % 2 == 0 ? 0x800 : TRACKING_RAM_PAGES - 1;

        assert_false(run(wrong, page));
        expect_line("void fake/pages ");
    }
}

/* Pages outside the region belong to the guest's program: no claim is made about them. */
static void test_other_pages_do_not_count(void **state)
{
    assert_true(run(3, 0x7ff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_costs),
        cmocka_unit_test(test_wrong_log_is_void),
        cmocka_unit_test(test_vcpus),
        cmocka_unit_test(test_other_pages_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
