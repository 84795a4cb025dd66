/* SPDX-License-Identifier: MIT */
/* Streams that earlier versions wrote are read and restored for ever: see ../golden/README.md. */
#include "fake_host.h"
#include "stream/stream_format.h"

#include <endian.h>
#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#define MOST_BYTES (8u << 20)

struct fixture {
    struct fake_world *world;
    struct migrate_opener opener;
    int fd;
    char file[64];
    uint8_t *data;
    size_t bytes;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->world = fake_world_create(&f->fd);
    f->opener = fake_opener(f->world, 0);
    f->data = malloc(MOST_BYTES);
    strcpy(f->file, "/tmp/godwit-golden-XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    munmap(f->world, sizeof(*f->world));
    close(f->fd);
    unlink(f->file);
    free(f->data);
    free(f);
    return 0;
}

static void write_file(struct fixture *f)
{
    int fd = open(f->file, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_int_equal(write(fd, f->data, f->bytes), f->bytes);
    close(fd);
}

/* Into f->data and f->file; what ends in .zst is unpacked. */
static void load(struct fixture *f, const char *name)
{
    static uint8_t packed[256 << 10];
    char path[512];

    snprintf(path, sizeof(path), GOLDEN "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, packed, sizeof(packed));
    close(fd);
    assert_true(n > 0 && (size_t)n < sizeof(packed));
    if (strstr(name, ".zst")) {
        f->bytes = ZSTD_decompress(f->data, MOST_BYTES, packed, (size_t)n);
        assert_false(ZSTD_isError(f->bytes));
    } else {
        memcpy(f->data, packed, (size_t)n);
        f->bytes = (size_t)n;
    }
    write_file(f);
}

static void assert_whole(struct fixture *f, const char *name, uint64_t pages, uint64_t zero_pages)
{
    struct gw_stream_summary summary;
    struct gw_error err = {0};

    if (gw_stream_check(f->file, NULL, &summary, &err))
        fail_msg("%s", err.message);
    assert_string_equal(summary.name, name);
    assert_int_equal(summary.pages, pages);
    assert_int_equal(summary.zero_pages, zero_pages);
    assert_int_equal(summary.bytes, f->bytes);
}

static int restore(struct fixture *f, struct gw_error *err)
{
    struct gw_restore_options options = {.path = f->file, .opener = &f->opener};

    memset(err, 0, sizeof(*err));
    return gw_restore(&options, err);
}

static void test_one_of_everything(void **state)
{
    struct fixture *f = *state;

    load(f, "version-3.stream");
    assert_whole(f, "golden", 4, 3);
}

static void test_real_guest(void **state)
{
    struct fixture *f = *state;

    load(f, "version-3-traveller.save.zst");
    assert_whole(f, "golden", 8193, 7157);
}

/* What the fake guest had when it was saved, in the words of the version that saved it. */
static void assert_restored(struct fixture *f)
{
    struct fake_guest *guest = fake_guest_find(&f->world->hosts[0], "golden");
    struct gw_error err;

    assert_null(guest);
    if (restore(f, &err))
        fail_msg("%s", err.message);
    guest = fake_guest_find(&f->world->hosts[0], "golden");
    assert_non_null(guest);
    assert_true(fake_guest_is_sound(guest));
    assert_int_equal(guest->pauses, 1);
    assert_int_equal(guest->config.vcpus, 2);
    assert_int_equal(guest->config.on_reboot, STREAM_RESTART);
    assert_memory_equal(guest->config.uuid, "0123456789abcdef", 16);
    assert_string_equal(guest->text, "memory = 2\n");
    assert_string_equal((char *)guest->memory[0], "console");
    for (unsigned i = 0; i < FAKE_STATE_BYTES; i++)
        assert_int_equal(guest->state[i], 0xA5);
    for (unsigned page = 0; page < FAKE_PAGES; page++) {
        bool zero = page == 0 ? false : page % 3 == 0 || page > 11;
        bool all_zero = true;

        for (unsigned i = 0; i < STREAM_PAGE_BYTES; i++)
            all_zero &= guest->memory[page][i] == 0;
        assert_int_equal(all_zero, page == FAKE_PAGES - 1 ? false : zero);
        assert_int_equal(guest->readonly[page], page == 3 || page == 4 || page == 11);
    }
}

static void test_restore_version_3(void **state)
{
    struct fixture *f = *state;

    load(f, "version-3-fake.save.zst");
    assert_whole(f, "golden", FAKE_PAGES, FAKE_PAGES - 10);
    assert_restored(f);
}

/* Too new, and too old: one sentence that names the stream's version and those that are read. */
static void test_other_versions(void **state)
{
    static const uint32_t versions[] = {STREAM_VERSION + 1, STREAM_VERSION + 1000,
                                        STREAM_VERSION_OLDEST - 1, 0};
    struct fixture *f = *state;
    struct gw_stream_summary summary;
    struct gw_error err = {0};
    char wanted[160];

    load(f, "version-3-fake.save.zst");
    for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        uint32_t version = htobe32(versions[i]);

        memcpy(f->data + offsetof(struct stream_image_header, version), &version, sizeof(version));
        write_file(f);
        snprintf(wanted, sizeof(wanted),
                 "the stream has version %u of the format, and this godwit reads versions %u to "
                 "%u%s",
                 versions[i], STREAM_VERSION_OLDEST, STREAM_VERSION,
                 versions[i] > STREAM_VERSION ? ": use a newer godwit" : "");
        assert_int_equal(restore(f, &err), GW_EXIT_CONFIG);
        assert_non_null(strstr(err.message, wanted));
        assert_int_equal(gw_stream_check(f->file, NULL, &summary, &err), -1);
        assert_non_null(strstr(err.message, wanted));
        assert_null(fake_guest_find(&f->world->hosts[0], "golden"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_of_everything),
        TEST(test_real_guest),
        TEST(test_restore_version_3),
        TEST(test_other_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
