/* SPDX-License-Identifier: MIT */
/* The page of a migration: from reports that are whole, poor, odd and hostile. */
#include <libgodwit/report.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "support.h"

#define HEAD "{\"schema\": \"godwit.migrate.v1\""

static const char whole[] = HEAD
    ", \"guest\": \"web1\", \"source\": \"north\", \"destination\": \"south\", \"result\": \"moved\","
    " \"phase\": \"done\", \"runs_at\": \"destination\", \"exit\": 0, \"error\": null,"
    " \"began_unix_ms\": 1700000000000, \"total_ms\": 2500, \"downtime_ms\": 120,"
    " \"downtime_estimate_ms\": 90, \"memory_pages\": 1024, \"pages\": 1200, \"zero_pages\": 300,"
    " \"skipped_pages\": 5, \"resent_pages\": 176, \"raw_bytes\": 5000000, \"bytes\": 4194304,"
    " \"limits\": {\"max_downtime_ms\": 300, \"bandwidth_bytes_per_s\": 0, \"timeout_ms\": 0,"
    " \"on_timeout\": \"cancel\", \"max_rounds\": 30, \"streams\": 2, \"compress\": \"zstd\","
    " \"throttle\": \"auto\"}, \"heat_pages_per_bucket\": 256, \"rounds\": ["
    "{\"n\": 1, \"start_ms\": 10, \"ms\": 2000, \"pages\": 1024, \"zero_pages\": 300,"
    " \"skipped_pages\": 5, \"dirtied_pages\": 257, \"bytes\": 3145728, \"dirty_pages_per_s\": 128,"
    " \"bytes_per_s\": 1572864, \"estimate_ms\": 400, \"throttle\": [{\"vcpu\": 0, \"percent\": 20},"
    " {\"vcpu\": 3, \"percent\": 40}], \"heat\": [1, 256, 0, 0]},"
    "{\"n\": 2, \"start_ms\": 2010, \"ms\": 300, \"pages\": 100, \"zero_pages\": 0,"
    " \"skipped_pages\": 0, \"dirtied_pages\": 76, \"bytes\": 400000, \"dirty_pages_per_s\": 253,"
    " \"bytes_per_s\": 1333333, \"estimate_ms\": 90, \"throttle\": [], \"heat\": [0, 60, 0, 16]},"
    "{\"n\": 3, \"start_ms\": 2310, \"ms\": 80, \"pages\": 76, \"zero_pages\": 0,"
    " \"skipped_pages\": 0, \"dirtied_pages\": 76, \"bytes\": 300000, \"dirty_pages_per_s\": 0,"
    " \"bytes_per_s\": 3750000, \"estimate_ms\": 0, \"throttle\": [], \"heat\": [0, 60, 0, 16],"
    " \"final\": true}], \"phases_ms\": {\"map\": 12, \"send\": 900}, \"vcpus\": [{\"vcpu\": 0,"
    " \"faults\": 333, \"dirty_pages\": 330, \"stall_fault_ns\": 1500000, \"stall_throttle_ns\": 0,"
    " \"stall_harvest_ns\": 25000, \"stall_pause_ns\": 120000000}], \"events\": [{\"ms\": 2010,"
    " \"what\": \"throttled vCPU 3 by 40 %\"}]}";

/* The page of text; NULL with err filled in. To be freed. */
static char *page_of(const char *text, size_t length, struct gw_error *err)
{
    /* As large as the text, so that the sanitizer sees a byte read behind it. */
    char *copy = malloc(length ? length : 1), *page = NULL;
    size_t page_length = 0;

    assert_non_null(copy);
    memcpy(copy, text, length);
    memset(err, 0, sizeof(*err));
    if (gw_report_page("web1.json", copy, length, &page, &page_length, err) < 0) {
        assert_int_not_equal(err->code, 0);
        assert_contains(err->message, "web1.json");
        assert_null(strchr(err->message, '\n'));
        page = NULL;
    } else {
        assert_int_equal(strlen(page), page_length);
        assert_contains(page, "</html>\n");
    }
    free(copy);
    return page;
}

static char *good_page(const char *text)
{
    struct gw_error err;
    char *page = page_of(text, strlen(text), &err);

    if (!page)
        fail_msg("%s", err.message);
    return page;
}

/* Not with strstr(): the sanitizer's takes the length of the whole text each time. */
static unsigned times(const char *text, const char *part)
{
    size_t length = strlen(part);
    unsigned n = 0;

    for (; *text; text++)
        n += *text == *part && !strncmp(text, part, length);
    return n;
}

static void test_structure(void **state)
{
    char *page = good_page(whole);

    (void)state;
    assert_contains(page, "<bdi>web1</bdi>: <bdi>north</bdi> to <bdi>south</bdi>");
    assert_contains(page, "Moved. The guest runs at the destination.");
    assert_contains(page, "<dd id=\"fact-downtime\">120 ms <small>limit 300 ms</small>");
    assert_contains(page, "<dd id=\"fact-began\">2023-11-14 22:13:20 UTC");
    assert_contains(page, "<dd id=\"fact-sent\">4.0 MiB");
    assert_int_equal(times(page, "<rect class=\"round"), 3);
    assert_int_equal(times(page, "<rect class=\"round final\""), 1);
    assert_int_equal(times(page, "<rect class=\"bar sent\""), 2);
    assert_int_equal(times(page, "<rect class=\"bar dirty\""), 3);
    assert_int_equal(times(page, "<rect class=\"bar throttle\""), 3);
    assert_int_equal(times(page, "<rect class=\"throttle\""), 1);
    assert_int_equal(times(page, "<rect class=\"downtime\""), 1);
    assert_int_equal(times(page, "<path class=\"limit\""), 1);
    assert_int_equal(times(page, "<path class=\"event\""), 1);
    assert_contains(page, "up to 40 % of a vCPU's time");
    assert_contains(page, "<td>vCPU 0: 20 %, vCPU 3: 40 %</td>");
    assert_contains(page, "<th scope=\"row\">3 (guest stopped)</th>");
    free(page);
}

static void test_heat(void **state)
{
    char *page = good_page(whole);

    (void)state;
    /* Six cells were written; the legend has one of each level. */
    assert_int_equal(times(page, "<rect class=\"h0\" x"), 1); /* 1 of 256 */
    assert_int_equal(times(page, "<rect class=\"h2\" x"), 2); /* 16 of 256 */
    assert_int_equal(times(page, "<rect class=\"h3\" x"), 2); /* 60 of 256 */
    assert_int_equal(times(page, "<rect class=\"h5\" x"), 1); /* all */
    for (const char *c = "012345"; *c; c++) {
        char legend[32];

        snprintf(legend, sizeof(legend), "<rect class=\"h%c\" width", *c);
        assert_int_equal(times(page, legend), 1);
    }
    assert_contains(page, "<tr><th scope=\"row\">1.0 MiB</th><td>256</td><td>60</td><td>60</td>");
    assert_null(strstr(page, "<tr><th scope=\"row\">2.0 MiB</th>")); /* never written */
    free(page);
}

/* Nothing that a browser would fetch or run. */
static void assert_harmless(const char *page)
{
    static const char *const never[] = {
        "<script", "<img",  "<link",  "<iframe", "src=",       "url(",
        "@import", "http:", "https:", "onload",  "onerror=\"", "<a href"};

    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert_null(strstr(page, never[i]));
}

static void test_escapes(void **state)
{
#define EVIL "</title><script>x('&')</script>\\\"\\u0001"
    static const char text[] =
        HEAD ", \"guest\": \"" EVIL "\", \"source\": \"" EVIL "\", \"destination\": \"" EVIL
             "\", \"result\": \"" EVIL "\", \"error\": \"" EVIL "\", \"stopped_because\": \"" EVIL
             "\", \"phases_ms\": {\"" EVIL "\": 1}, \"events\": [{\"ms\": 1, \"what\": \"" EVIL
             "\"}], \"limits\": {\"on_timeout\": \"" EVIL "\", \"compress\": \"" EVIL
             "\", \"throttle\": \"" EVIL "\"}}";
    char *page = good_page(text), *plain;

    (void)state;
    assert_harmless(page);
    assert_int_equal(times(page, "&lt;/title&gt;&lt;script&gt;x(&#39;&amp;&#39;)&lt;/script&gt;"
                                 "&quot;\xef\xbf\xbd"),
                     13); /* the guest and the destination twice, the event also in the picture */
    assert_null(strchr(page, '\1'));
    free(page);
    plain = good_page(whole);
    assert_harmless(plain);
    free(plain);
}

static void test_poor(void **state)
{
    static const char *const texts[] = {
        HEAD "}",
        HEAD ", \"guest\": \"web1\", \"rounds\": [], \"vcpus\": [], \"events\": []}",
        HEAD ", \"error\": null, \"rounds\": null, \"limits\": null, \"phases_ms\": null}",
        HEAD ", \"limits\": {}, \"phases_ms\": {}, \"total_ms\": 0, \"memory_pages\": 0}",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *page = good_page(texts[i]);

        assert_contains(page, "No round was sent.");
        assert_contains(page, "Not in the file");
        assert_contains(page, "<dd id=\"fact-downtime\">&ndash;");
        assert_null(strstr(page, "nan"));
        free(page);
    }
}

static void test_poor_rounds(void **state)
{
    char *page = good_page(HEAD ", \"rounds\": [{}, {\"heat\": [3], \"final\": true},"
                                " {\"ms\": 4503599627370496, \"bytes\": 4503599627370496}]}");

    (void)state;
    assert_int_equal(times(page, "<rect class=\"round"), 3);
    assert_int_equal(times(page, "<rect class=\"h5\" x"), 1);
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    free(page);
}

static void test_results(void **state)
{
    static const struct {
        const char *result, *says;
    } cases[] = {
        {"moved", "Moved. The guest runs at the destination."},
        {"failed", "Failed. The guest runs on at the source."},
        {"cancelled", "Cancelled. The guest runs on at the source."},
        {"diverged", "It did not converge. The guest runs on at the source."},
        {"unknown", "Outcome unknown. The guest is held paused"},
        {"active", "Under way when this was written."},
        {"eaten", "The file does not say what came of it."},
    };
    char text[256];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *page;

        snprintf(text, sizeof(text), HEAD ", \"result\": \"%s\", \"error\": \"why & how\"}",
                 cases[i].result);
        page = good_page(text);
        assert_contains(page, cases[i].says);
        assert_contains(page, "<p class=\"error\"><bdi>why &amp; how</bdi></p>");
        free(page);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "is no JSON: it ends too early"},
        {"{", "is no JSON: it ends too early"},
        {"moved", "is no JSON:"},
        {"null ", "it is not an object"},
        {"[]", "it is not an object"},
        {"{}", "its schema is not \"godwit.migrate.v1\""},
        {"{\"schema\": \"godwit.migrate.v2\"}", "its schema is not"},
        {"{\"schema\": 1}", "schema is not a text"},
        {HEAD "} {}", "is no JSON:"},
        {HEAD ", \"guest\": 7}", "guest is not a text"},
        {HEAD ", \"guest\": \"\xff\"}", "is no JSON:"},
        {HEAD ", \"bytes\": -1}", "bytes is not within 0 and 2^52"},
        {HEAD ", \"bytes\": 99999999999999999999999}", "bytes is not within 0 and 2^52"},
        {HEAD ", \"bytes\": 1e300}", "bytes is not a whole number"},
        {HEAD ", \"bytes\": \"1\"}", "bytes is not a whole number"},
        {HEAD ", \"rounds\": {}}", "rounds is not a list"},
        {HEAD ", \"rounds\": [null]}", "rounds[0] is not an object"},
        {HEAD ", \"rounds\": [{}, {\"ms\": true}]}", "rounds[1].ms is not a whole number"},
        {HEAD ", \"rounds\": [{\"heat\": [1, \"x\"]}]}", "rounds[0].a member of heat is not"},
        {HEAD ", \"rounds\": [{\"heat\": 1}]}", "rounds[0].heat is not a list"},
        {HEAD ", \"rounds\": [{\"throttle\": [{\"percent\": 101}]}]}",
         "rounds[0].throttle[0].percent is more than 100"},
        {HEAD ", \"limits\": []}", "limits is not an object"},
        {HEAD ", \"limits\": {\"streams\": []}}", "limits.streams is not a whole number"},
        {HEAD ", \"phases_ms\": {\"map\": null}}", "phases_ms.a member is not a whole number"},
        {HEAD ", \"vcpus\": [3]}", "vcpus[0] is not an object"},
        {HEAD ", \"events\": [{\"what\": {}}]}", "events[0].what is not a text"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "is no JSON:"},
    };
    struct gw_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(page_of(cases[i].text, strlen(cases[i].text), &err));
        assert_contains(err.message, cases[i].message);
        assert_int_equal(err.code, GW_EXIT_CONFIG);
    }
}

/* Lists of count equal members, as the member called key. */
static char *long_list(const char *key, const char *member, unsigned count)
{
    size_t length = strlen(member) + 1, room = 128 + strlen(key) + length * count;
    char *text = malloc(room), *at = text;

    assert_non_null(text);
    at += snprintf(text, room, HEAD ", \"%s\": [", key);
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s%s", i ? "," : "", member);
    sprintf(at, "]}");
    return text;
}

static void test_bounds(void **state)
{
    static const struct {
        const char *key, *member;
        unsigned most;
    } cases[] = {{"rounds", "{}", 1001}, {"events", "{}", 4096}, {"vcpus", "{}", 128}};
    struct gw_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = long_list(cases[i].key, cases[i].member, cases[i].most);

        free(good_page(text));
        free(text);
        text = long_list(cases[i].key, cases[i].member, cases[i].most + 1);
        assert_null(page_of(text, strlen(text), &err));
        assert_contains(err.message, "is not a list of at most");
        free(text);
    }
}

/* The largest report there can be: its page stays one that a browser shows. */
static void test_largest(void **state)
{
    static const char head[] = "{\"ms\": 5, \"dirtied_pages\": 7, \"heat\": [1";
    char round[4096], *text, *page, *at = round;

    (void)state;
    at += snprintf(at, sizeof(round), "%s", head);
    for (unsigned i = 1; i < 256; i++, at += 2)
        memcpy(at, ",1", 2);
    snprintf(at, 8, "]}");
    text = long_list("rounds", round, 1001);
    page = good_page(text);
    assert_int_equal(times(page, "<rect class=\"round"), 1001);
    assert_int_equal(times(page, "<rect class=\"h5\" x"), 112 * 256); /* 9 rounds in a column */
    assert_true(strlen(page) < (8u << 20));
    free(page);
    free(text);
}

/* Whatever a file was cut to or whichever byte changed: a page or a sentence. */
static void test_damaged(void **state)
{
    char text[sizeof(whole)];
    struct gw_error err;

    (void)state;
    for (size_t n = 0; n + 1 < sizeof(whole); n += 31)
        assert_null(page_of(whole, n, &err));
    for (size_t i = 0; i + 1 < sizeof(whole); i += 11) {
        memcpy(text, whole, sizeof(text));
        text[i] = (char)(text[i] ^ (1 << i % 8));
        free(page_of(text, sizeof(whole) - 1, &err));
    }
}

static void test_command(void **state)
{
    const char *in = support_file("in.json", whole, strlen(whole));
    char out[300], partial[320], line[64] = "";
    char *good[] = {"godwit", "report", (char *)(uintptr_t)in, "-o", out, NULL};
    char *none[] = {"godwit", "report", "/nonexistent/in.json", NULL};
    char *bare[] = {"godwit", "report", NULL};
    FILE *f;

    (void)state;
    snprintf(out, sizeof(out), "%s/out.html", support_dir());
    snprintf(partial, sizeof(partial), "%s.partial", out);
    assert_int_equal(cli_run(5, good), 0);
    f = fopen(out, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_string_equal(line, "<!DOCTYPE html>\n");
    fclose(f);
    assert_int_equal(access(partial, F_OK), -1);
    assert_int_equal(cli_run(3, none), GW_EXIT_FAILED);
    assert_int_equal(cli_run(2, bare), GW_EXIT_USAGE);
    snprintf(out, sizeof(out), "%s/no/out.html", support_dir());
    assert_int_equal(cli_run(5, good), GW_EXIT_FAILED);
}

/* What cannot be put in place leaves nothing behind. */
static void test_target_is_a_folder(void **state)
{
    const char *in = support_file("in.json", whole, strlen(whole));
    char folder[256], partial[300];
    struct gw_error err = {0};

    (void)state;
    snprintf(folder, sizeof(folder), "%s", support_dir());
    snprintf(partial, sizeof(partial), "%s.partial", folder);
    assert_int_equal(gw_report_write(in, folder, &err), -1);
    assert_contains(err.message, "cannot write ");
    assert_int_equal(access(partial, F_OK), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_heat),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_poor),
        cmocka_unit_test(test_poor_rounds),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test_setup_teardown(test_command, support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_target_is_a_folder, support_setup, support_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
