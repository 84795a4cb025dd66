/* SPDX-License-Identifier: MIT */
#include <libgodwit/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define BASE "name = \"web1\"\nkernel = '/boot/Image'\nmemory = 256\n"

static int parse(struct gw_config *c, const char *text, struct gw_error *err)
{
    memset(err, 0, sizeof(*err));
    return gw_config_parse(c, "t.cfg", text, strlen(text), NULL, 0, err);
}

static void test_full_file(void **state)
{
    static const char text[] = "# a guest\n"
                               "name    = \"web1\"   # its name\n"
                               "kernel  = '/boot/Image'\r\n"
                               "ramdisk = \"/boot/rd\"; memory = 0x200\n"
                               "\n\tvcpus=4\n"
                               "extra = \"console=ttyAMA0 a=\\\"b\\\" \\\\\"\n"
                               "root = '/dev/vda'\n"
                               "uuid = '01234567-89ab-cdef-0123-456789ABCDEF'\n"
                               "on_poweroff = 'preserve'\non_reboot = 'destroy'\n"
                               "on_crash = 'restart'\ntype = 'pvh'\nmaxmem = 512\nmaxvcpus = 4";
    struct gw_config c;
    struct gw_error err;

    (void)state;
    assert_int_equal(parse(&c, text, &err), 0);
    assert_string_equal(c.name, "web1");
    assert_string_equal(c.kernel, "/boot/Image");
    assert_string_equal(c.ramdisk, "/boot/rd");
    assert_string_equal(c.cmdline, "root=/dev/vda console=ttyAMA0 a=\"b\" \\");
    assert_int_equal(c.memory_mib, 512);
    assert_int_equal(c.vcpus, 4);
    assert_int_equal(c.uuid[0], 0x01);
    assert_int_equal(c.uuid[15], 0xef);
    assert_int_equal(c.on_poweroff, GW_ACTION_PRESERVE);
    assert_int_equal(c.on_reboot, GW_ACTION_DESTROY);
    assert_int_equal(c.on_crash, GW_ACTION_RESTART);
    gw_config_free(&c);
}

static void test_defaults(void **state)
{
    static const uint8_t zero[16];
    struct gw_config c;
    struct gw_error err;

    (void)state;
    assert_int_equal(parse(&c, BASE, &err), 0);
    assert_int_equal(c.vcpus, 1);
    assert_null(c.ramdisk);
    assert_string_equal(c.cmdline, "");
    assert_int_equal(c.on_poweroff, GW_ACTION_DESTROY);
    assert_int_equal(c.on_reboot, GW_ACTION_RESTART);
    assert_int_equal(c.on_crash, GW_ACTION_DESTROY);
    assert_int_equal(c.logdirty, GODWIT_TRACKING_DEFAULT);
    assert_int_equal(c.logdirty_split, GODWIT_SPLIT_DEFAULT);
    assert_memory_not_equal(c.uuid, zero, 16);
    gw_config_free(&c);
}

struct bad {
    const char *text, *message;
};

static const struct bad bad_texts[] = {
    {"name", "t.cfg:1: expected '=' after the name but found the end"},
    {"= 3\n", "t.cfg:1: expected the name of a setting but found '='"},
    {BASE "\nmemroy = 3\n", "t.cfg:5: 'memroy' is not a known setting"},
    {BASE "vif = [ 'bridge=xenbr0',\n 'x' ]\n", "t.cfg:4: 'vif' is a setting of xl that Godwit "
                                                "lacks: guests have no support for network"},
    {BASE "\n\ndisk = ['a']\n", "t.cfg:6: 'disk'"},
    {BASE "memory = 3\n", "t.cfg:4: 'memory' was already set in line 3"},
    {BASE "vcpus = '2'\n", "t.cfg:4: 'vcpus' must be a number, not a string"},
    {BASE "extra = ['a', 3, ]\n", "t.cfg:4: 'extra' must be a string, not a list"},
    {BASE "extra = ['a' 'b']\n", "t.cfg:4: expected ',' or ']' in the list but found '''"},
    {BASE "extra = [,]\n", "expected an entry of the list or ']' but found ','"},
    {BASE "extra = ['a'", "but found the end"},
    {BASE "extra = 'a\nb'\n", "t.cfg:4: expected the closing quote of the string but found the end "
                              "of the line"},
    {BASE "extra = 'a", "expected the closing quote of the string but found the end"},
    {BASE "extra = 'a\\q'\n", "after a backslash but found 'q'"},
    {BASE "extra = 'a' b\n", "expected the end of the line after the value but found 'b'"},
    {BASE "extra = abc\n", "expected a string in quotes, a number or a list but found 'a'"},
    {BASE "vcpus = 0\n", "t.cfg:4: 'vcpus' must be 1 to 64"},
    {BASE "vcpus = 65\n", "'vcpus' must be 1 to 64"},
    {BASE "vcpus = 99999999999999999999\n", "t.cfg:4: a number is too large"},
    {BASE "vcpus = 0x\n", "expected a digit of the number"},
    {BASE "vcpus = 09\n", "expected a digit of the number but found '9'"},
    {BASE "vcpus = 1.5\n", "but found '.'"},
    {BASE "vcpus = -1\n", "but found '-'"},
    {BASE "uuid = 'x'\n", "t.cfg:4: 'uuid' is not a UUID"},
    {BASE "on_crash = 'coredump-destroy'\n", "'on_crash' must be \"destroy\""},
    {BASE "logdirty = 'dbm'\n", "t.cfg:4: 'logdirty' must be \"auto\", \"fault\" or \"hardware\""},
    {BASE "logdirty = 'Fault'\n", "t.cfg:4: 'logdirty' must be"},
    {BASE "logdirty = ''\n", "t.cfg:4: 'logdirty' must be"},
    {BASE "logdirty = 1\n", "t.cfg:4: 'logdirty' must be a string, not a number"},
    {BASE "\nlogdirty_split = 'hardware'\n",
     "t.cfg:5: 'logdirty_split' must be \"auto\", \"lazy\" or \"eager\""},
    {BASE "type = 'hvm'\n", "'type' can only be \"pvh\""},
    {BASE "maxmem = 512\n", "'maxmem' must equal 'memory'"},
    {BASE "maxvcpus = 2\n", "'maxvcpus' must equal 'vcpus'"},
    {"name = 'a b'\n", "t.cfg:1: 'name' must have"},
    {"name = '12'\n", "t.cfg:1: 'name' must have"},
    {"name = '../x'\n", "t.cfg:1: 'name' must have"},
    {"name = ''\n", "t.cfg:1: 'name' must have"},
    {"kernel = 'k'\nmemory = 1\n", "t.cfg: 'name' is missing"},
    {"name = 'a'\nmemory = 1\n", "t.cfg: 'kernel' is missing"},
    {"name = 'a'\nkernel = 'k'\n", "t.cfg: 'memory' is missing"},
    {"", "t.cfg: 'name' is missing"},
    {"\x7f"
     "ELF",
     "t.cfg:1: expected the name of a setting but found byte 0x7f"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1\n",
     "t.cfg:1: the name of a setting is too long"},
};

static void test_bad_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++) {
        struct gw_config c;
        struct gw_error err;

        assert_int_equal(parse(&c, bad_texts[i].text, &err), -1);
        assert_int_equal(err.code, GW_EXIT_CONFIG);
        assert_contains(err.message, bad_texts[i].message);
        gw_config_free(&c);
    }
}

static void expect_long_error(unsigned length, const char *message)
{
    char *xs = malloc(length + 1), *text = NULL;
    struct gw_config c;
    struct gw_error err;

    memset(xs, 'x', length);
    xs[length] = '\0';
    assert_true(asprintf(&text, BASE "extra = '%s'\n", xs) > 0);
    assert_int_equal(parse(&c, text, &err), -1);
    assert_contains(err.message, message);
    gw_config_free(&c);
    free(text);
    free(xs);
}

static void test_long_strings(void **state)
{
    (void)state;
    expect_long_error(5000, "t.cfg:4: a string is longer than 4095 characters");
    expect_long_error(3000, "command line is longer than 2047");
}

static void test_overrides(void **state)
{
    static const char *const good[] = {"memory=512", "extra=\"quiet\"", "vcpus = 2"};
    static const char *const bad[] = {"memory=512", "colour=3"};
    struct gw_config c;
    struct gw_error err;

    (void)state;
    assert_int_equal(gw_config_parse(&c, "t.cfg", BASE, strlen(BASE), good, 3, &err), 0);
    assert_int_equal(c.memory_mib, 512);
    assert_int_equal(c.vcpus, 2);
    assert_string_equal(c.cmdline, "quiet");
    gw_config_free(&c);
    assert_int_equal(gw_config_parse(&c, "t.cfg", BASE, strlen(BASE), bad, 2, &err), -1);
    assert_contains(err.message, "command line:1: 'colour' is not a known setting");
    gw_config_free(&c);
}

static void test_format_round_trip(void **state)
{
    struct gw_config c, again;
    struct gw_error err;
    char *text, *text_again;

    (void)state;
    assert_int_equal(parse(&c, BASE "ramdisk='r'\nextra = 'a\\n\"b\" \\\\ c'\nvcpus=3\n", &err), 0);
    text = gw_config_format(&c);
    assert_int_equal(parse(&again, text, &err), 0);
    text_again = gw_config_format(&again);
    assert_string_equal(text, text_again);
    assert_string_equal(again.cmdline, "a\n\"b\" \\ c");
    assert_memory_equal(c.uuid, again.uuid, 16);
    free(text);
    free(text_again);
    gw_config_free(&c);
    gw_config_free(&again);
}

/* All choices, there and back; what nobody chose is not written, for readers that lack the keys. */
static void test_logdirty(void **state)
{
    static const char *const tracking[] = {"auto", "fault", "hardware"};
    static const char *const split[] = {"auto", "lazy", "eager"};

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        struct gw_config c, again;
        struct gw_error err;
        char text[256], *formatted;

        snprintf(text, sizeof(text), BASE "logdirty = '%s'\nlogdirty_split = \"%s\"\n",
                 tracking[i / 3], split[i % 3]);
        assert_int_equal(parse(&c, text, &err), 0);
        assert_int_equal(c.logdirty, i / 3);
        assert_int_equal(c.logdirty_split, i % 3);
        formatted = gw_config_format(&c);
        assert_int_equal(strstr(formatted, "logdirty = ") != NULL, i / 3 != 0);
        assert_int_equal(strstr(formatted, "logdirty_split = ") != NULL, i % 3 != 0);
        assert_int_equal(parse(&again, formatted, &err), 0);
        assert_int_equal(again.logdirty, i / 3);
        assert_int_equal(again.logdirty_split, i % 3);
        free(formatted);
        gw_config_free(&c);
        gw_config_free(&again);
    }
}

/* Any bytes parse or give a message; the sanitizers watch. */
static void test_garbage(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        static const char alphabet[] = "abn=[]'\",;#\\ \n\t0x19_\0\x80";
        char text[64];
        size_t n;
        struct gw_config c;
        struct gw_error err;

        seed = seed * 1103515245 + 12345;
        n = (seed >> 16) % sizeof(text);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245 + 12345;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        err.code = GW_EXIT_OK;
        assert_int_equal(gw_config_parse(&c, "g", text, n, NULL, 0, &err), -1);
        assert_int_equal(err.code, GW_EXIT_CONFIG);
        gw_config_free(&c);
    }
}

static void test_file_errors(void **state)
{
    struct gw_config c;
    struct gw_error err = {0};

    (void)state;
    assert_int_equal(gw_config_load(&c, "/nonexistent", NULL, 0, &err), -1);
    assert_contains(err.message, "cannot read /nonexistent: No such file");
    assert_int_equal(gw_config_load(&c, "/dev/zero", NULL, 0, &err), -1);
    assert_contains(err.message, "not a regular file");
    assert_int_equal(gw_config_load(&c, support_file("c", BASE, strlen(BASE)), NULL, 0, &err), 0);
    gw_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_file),   cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_texts),   cmocka_unit_test(test_long_strings),
        cmocka_unit_test(test_overrides),   cmocka_unit_test(test_format_round_trip),
        cmocka_unit_test(test_logdirty),    cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_file_errors),
    };

    return cmocka_run_group_tests_name("config", tests, support_setup, support_teardown);
}
