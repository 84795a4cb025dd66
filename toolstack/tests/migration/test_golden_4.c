/* SPDX-License-Identifier: MIT */
/*
 * Streams of version 4 that were kept: a chain of two saves, and what a migration sent. They are
 * restored and received for ever, with the contents that this file says: see ../golden/README.md.
 * `test_golden_4 --write FOLDER` writes such streams as this version does.
 */
#include "fake_move.h"
#include "handover/handover.h"
#include "stream/stream_write.h"

#include <endian.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#define MOST_BYTES (1u << 20)
#define FULL       "version-4-full.save"
#define SINCE      "version-4-since.save"
#define MOVED      "version-4-migration.stream"
#define TEXT       "memory = 2\n"
#define UUID       "golden version 4"

struct fixture {
    struct fake_world *world;
    struct migrate_opener opener;
    int fd;
    char folder[64], full[96], since[96];
    uint8_t *data; /* of the stream that was loaded last */
    size_t bytes;
    struct gw_error err;
};

/* --- what is in them ----------------------------------------------------------------------------
 */

/* Of the pages of a fake guest; 0 is its console's. In the second generation one page was written
 * again, one got its first contents, and one is zero again. */
static bool is_zero(unsigned page, unsigned generation)
{
    if (page == 9 || page == 300)
        return (page == 300) == (generation == 1);
    return page > 11 && page != FAKE_PAGES - 1;
}

static void fill(unsigned page, unsigned generation, uint8_t *ret_page)
{
    if (page != 5)
        generation = 1;
    for (unsigned i = 0; i < STREAM_PAGE_BYTES; i++)
        ret_page[i] = (uint8_t)(i * (2 * page + generation) + (i >> 8));
}

static void expected(unsigned page, unsigned generation, uint8_t *ret_page)
{
    memset(ret_page, 0, STREAM_PAGE_BYTES);
    if (!is_zero(page, generation))
        fill(page, generation, ret_page);
}

static bool is_readonly(unsigned page)
{
    return page == 3 || page == 4 || page == 11;
}

static void assert_is_golden(struct fake_guest *guest, unsigned generation)
{
    uint8_t wanted[STREAM_PAGE_BYTES];

    assert_non_null(guest);
    assert_int_equal(guest->config.vcpus, 2);
    assert_int_equal(guest->config.on_reboot, STREAM_RESTART);
    assert_memory_equal(guest->config.uuid, UUID, 16);
    assert_string_equal(guest->text, TEXT);
    assert_int_equal(guest->pauses, 1);
    for (unsigned i = 0; i < FAKE_STATE_BYTES; i++)
        assert_int_equal(guest->state[i], 0xA5);
    for (unsigned page = 0; page < FAKE_PAGES; page++) {
        expected(page, generation, wanted);
        assert_memory_equal(guest->memory[page], wanted, sizeof(wanted));
        assert_int_equal(guest->readonly[page], is_readonly(page));
    }
}

/* --- writing them -------------------------------------------------------------------------------
 */

static void must(int rc, const struct gw_error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static struct fake_guest *make_guest(struct fake_world *world)
{
    struct fake_guest *guest = fake_guest_add(&world->hosts[0], "golden");

    memcpy(guest->config.uuid, UUID, 16);
    guest->pauses = 1;
    for (unsigned page = 0; page < FAKE_PAGES; page++) {
        expected(page, 1, guest->memory[page]);
        guest->readonly[page] = is_readonly(page);
    }
    return guest;
}

static void write_again(struct fake_guest *guest, unsigned page)
{
    uint64_t gfn = FAKE_RAM_GFN + page - 1;

    expected(page, 2, guest->memory[page]);
    atomic_fetch_or(&guest->dirty[gfn / 64], 1ULL << gfn % 64);
}

static void write_chain(struct fake_world *world, const struct migrate_opener *opener)
{
    struct fake_guest *guest = make_guest(world);
    struct gw_save_options o = {.name = "golden",
                                .path = FULL,
                                .after = GW_SAVE_STAY_PAUSED,
                                .incremental = true,
                                .verify = true,
                                .compress_level = 3,
                                .opener = opener};
    struct gw_error err = {0};

    must(gw_save(&o, &err), &err);
    write_again(guest, 5);
    write_again(guest, 9);
    write_again(guest, 300);
    o.path = SINCE;
    o.since = FULL;
    o.incremental = false;
    o.compress_level = 0;
    must(gw_save(&o, &err), &err);
    fake_guest_remove(&world->hosts[0], guest);
}

static int open_golden(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0)
        perror(name);
    return fd < 0 ? exit(1), -1 : fd;
}

/* All pages of a generation, or only those that the second one changed. */
static void write_pages(struct stream_writer *w, unsigned generation, bool all, bool zip)
{
    static uint8_t contents[32][STREAM_PAGE_BYTES], frame[sizeof(contents)];
    uint64_t words[FAKE_PAGES];
    struct gw_error err = {0};
    unsigned n = 0, full = 0;

    for (unsigned page = 0; page < FAKE_PAGES; page++) {
        if (!all && page != 5 && page != 9 && page != 300)
            continue;
        words[n] = page == 0 ? FAKE_CONSOLE_GFN : FAKE_RAM_GFN + page - 1;
        if (is_zero(page, generation))
            words[n] |= (uint64_t)STREAM_PFN_ZERO << STREAM_PFN_TYPE_SHIFT;
        else
            fill(page, generation, contents[full++]);
        n++;
    }
    size_t bytes = ZSTD_compress(frame, sizeof(frame), contents, full * STREAM_PAGE_BYTES, 3);
    must(zip ? stream_write_zipped(w, words, n, frame, (uint32_t)bytes, &err)
             : stream_write_pages(w, words, n, contents, full, &err),
         &err);
}

/* Two rounds, each with its mark, the last pages, and all of them again to be compared. */
static void write_moved(struct fake_world *world, const struct migrate_opener *opener)
{
    struct fake_guest *guest = make_guest(world);
    struct handover_io io = {
        .out_fd = open_golden(MOVED), .in_fd = -1, .stall_ms = 1000, .peer = MOVED};
    struct stream_writer w = {.io = &io};
    struct stream_memory memory = {
        .count = 2, .ranges = {{FAKE_CONSOLE_GFN, 1}, {FAKE_RAM_GFN, FAKE_RAM_PAGES}}};
    const struct stream_range readonly[] = {{FAKE_RAM_GFN + 2, 2}, {FAKE_RAM_GFN + 10, 1}};
    struct stream_config config = guest->config;
    struct iovec state = {.iov_base = guest->state, .iov_len = FAKE_STATE_BYTES};
    struct stream_host facts;
    struct iovec host = {.iov_base = &facts, .iov_len = sizeof(facts)};
    struct migrate_versions versions;
    struct migrate_host source;
    struct gw_error err = {0};

    must(opener->open(opener->arg, &source, &err), &err);
    must(source.ops->describe(source.ctx, &facts, &versions, &err), &err);
    config.text = guest->text;
    config.text_length = (uint32_t)strlen(TEXT);
    config.paused = true;
    must(stream_write_headers(&w, 4, 17, &err), &err);
    must(stream_write_record(&w, STREAM_HOST, &host, 1, &err), &err);
    must(stream_write_config(&w, &config, &err), &err);
    must(stream_write_memory(&w, &memory, &err), &err);
    must(stream_write_digest(&w, &err), &err);
    must(stream_write_record(&w, STREAM_STATIC_DATA_END, NULL, 0, &err), &err);
    must(stream_write_mark(&w, 1, &err), &err);
    write_pages(&w, 1, true, true);
    must(stream_write_mark(&w, 2, &err), &err);
    write_pages(&w, 2, false, false);
    must(stream_write_mark(&w, 3, &err), &err);
    must(stream_write_readonly(&w, readonly, 2, &err), &err);
    must(stream_write_record(&w, STREAM_HVM_CONTEXT, &state, 1, &err), &err);
    must(stream_write_record(&w, STREAM_VERIFY, NULL, 0, &err), &err);
    write_pages(&w, 2, true, true);
    must(stream_write_end(&w, &err), &err);
    close(io.out_fd);
    source.ops->close(source.ctx);
}

static int write_all(const char *folder)
{
    int fd;
    struct fake_world *world = fake_world_create(&fd);
    struct migrate_opener opener = fake_opener(world, 0);

    if (chdir(folder) < 0) {
        perror(folder);
        return 1;
    }
    write_chain(world, &opener);
    write_moved(world, &opener);
    return 0;
}

/* --- reading them -------------------------------------------------------------------------------
 */

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->world = fake_world_create(&f->fd);
    f->opener = fake_opener(f->world, 0);
    f->data = malloc(MOST_BYTES);
    strcpy(f->folder, "/tmp/godwit-golden-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->full, sizeof(f->full), "%s/" FULL, f->folder);
    snprintf(f->since, sizeof(f->since), "%s/" SINCE, f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    munmap(f->world, sizeof(*f->world));
    close(f->fd);
    unlink(f->full);
    unlink(f->since);
    assert_int_equal(rmdir(f->folder), 0);
    free(f->data);
    free(f);
    return 0;
}

static void load(struct fixture *f, const char *name)
{
    static uint8_t packed[64 << 10];
    char path[512];

    snprintf(path, sizeof(path), GOLDEN "/%s.zst", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, packed, sizeof(packed));
    close(fd);
    assert_true(n > 0 && (size_t)n < sizeof(packed));
    f->bytes = ZSTD_decompress(f->data, MOST_BYTES, packed, (size_t)n);
    assert_false(ZSTD_isError(f->bytes));
}

static void set_version(struct fixture *f, uint32_t version)
{
    version = htobe32(version);
    memcpy(f->data + offsetof(struct stream_image_header, version), &version, sizeof(version));
}

/* What was loaded, as a file. */
static void put(struct fixture *f, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, f->data, f->bytes), f->bytes);
    close(fd);
}

static void put_both(struct fixture *f)
{
    load(f, FULL);
    put(f, f->full);
    load(f, SINCE);
    put(f, f->since);
}

static int restore(struct fixture *f, const char *path)
{
    struct gw_restore_options options = {.path = path, .verify = true, .opener = &f->opener};

    memset(&f->err, 0, sizeof(f->err));
    return gw_restore(&options, &f->err);
}

struct found {
    const char *name;
    unsigned n;
};

static void count_record(void *arg, const struct gw_stream_record *record)
{
    for (struct found *found = arg; found->name; found++)
        found->n += !strcmp(found->name, gw_stream_record_name(record->type));
}

/* These kinds of records are in it, and it is whole. */
static void assert_holds(const char *path, struct found *kinds, uint64_t pages, uint64_t zero_pages)
{
    const struct gw_stream_watcher watcher = {.on_record = count_record, .arg = kinds};
    struct gw_stream_summary summary;
    struct gw_error err = {0};

    if (gw_stream_check(path, &watcher, &summary, &err))
        fail_msg("%s", err.message);
    for (; kinds->name; kinds++)
        if (kinds->n == 0)
            fail_msg("%s has no %s", path, kinds->name);
    assert_string_equal(summary.name, "golden");
    assert_int_equal(summary.pages, pages);
    assert_int_equal(summary.zero_pages, zero_pages);
}

static void test_records(void **state)
{
    struct found full[] = {{"GODWIT_VERSIONS", 0},
                           {"GODWIT_PAGES_ZSTD", 0},
                           {"GODWIT_READONLY", 0},
                           {"GODWIT_PAGE_SUMS", 0},
                           {"GODWIT_CHAIN", 0},
                           {"GODWIT_DIGEST", 0},
                           {NULL, 0}};
    struct found since[] = {
        {"GODWIT_BASE", 0}, {"PAGE_DATA", 0}, {"GODWIT_PAGE_SUMS", 0}, {NULL, 0}};
    struct fixture *f = *state;

    put_both(f);
    assert_holds(f->full, full, FAKE_PAGES, FAKE_PAGES - 13);
    assert_holds(f->since, since, 4, 1); /* with the console's page, which is mapped */
}

static void test_chain(void **state)
{
    struct fixture *f = *state;
    struct fake_host *host = &f->world->hosts[0];

    put_both(f);
    if (restore(f, f->full))
        fail_msg("%s", f->err.message);
    assert_is_golden(fake_guest_find(host, "golden"), 1);
    fake_guest_remove(host, fake_guest_find(host, "golden"));
    if (restore(f, f->since)) /* finds the other by the name that it holds */
        fail_msg("%s", f->err.message);
    assert_is_golden(fake_guest_find(host, "golden"), 2);
}

/* What a receiver on host 1 answers to the loaded stream, which it gets as a source sends it: no
 * further than a mark before that is answered. *ret_last: the last answer. */
static int receive(struct fixture *f, struct handover_message *ret_last)
{
    char fd_text[16];
    int to[2], from[2], status;
    size_t at = sizeof(struct stream_image_header) + sizeof(struct stream_domain_header), sent = 0;
    uint32_t marks = 0;

    snprintf(fd_text, sizeof(fd_text), "%d", f->fd);
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        fake_move_receive(fd_text);
    }
    close(to[0]);
    close(from[1]);
    struct handover_io io = {
        .in_fd = from[0], .out_fd = to[1], .stall_ms = 20000, .peer = "the receiver"};
    assert_int_equal(handover_receive(&io, ret_last, &f->err), 0);
    assert_int_equal(ret_last->type, HANDOVER_HELLO);
    while (ret_last->type != HANDOVER_REFUSED && at < f->bytes) {
        struct stream_record_header header;

        memcpy(&header, f->data + at, sizeof(header));
        at += sizeof(header) + ((header.length + 7) & ~7u);
        if (header.type != STREAM_STATIC_DATA_END && header.type != STREAM_MARK && at < f->bytes)
            continue;
        if (write(to[1], f->data + sent, at - sent) < 0)
            break;
        sent = at;
        assert_int_equal(handover_receive(&io, ret_last, &f->err), 0);
        marks += header.type == STREAM_MARK && ret_last->type == HANDOVER_MARKED;
    }
    if (ret_last->type == HANDOVER_READY) {
        assert_int_equal(marks, 3);
        assert_int_equal(handover_send(&io, HANDOVER_GO, NULL, 0, &f->err), 0);
        assert_int_equal(handover_receive(&io, ret_last, &f->err), 0);
    }
    close(to[1]);
    close(from[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_migration(void **state)
{
    struct fixture *f = *state;
    struct handover_message last;

    load(f, MOVED);
    assert_int_equal(receive(f, &last), 0);
    assert_int_equal(last.type, HANDOVER_RESUMED);
    assert_is_golden(fake_guest_find(&f->world->hosts[1], "golden"), 2);
}

/* Whatever the next version is, this one says that it cannot read it, and what can. */
static void test_version_5(void **state)
{
    static const char why[] = "the stream has version 5 of the format, and this godwit reads "
                              "versions 3 to 4: use a newer godwit";
    struct fixture *f = *state;
    struct handover_message last;
    struct gw_stream_summary summary;

    put_both(f);
    set_version(f, 5); /* of the one that was loaded last */
    put(f, f->since);
    assert_int_equal(restore(f, f->since), GW_EXIT_CONFIG);
    assert_non_null(strstr(f->err.message, why));
    assert_int_equal(gw_stream_check(f->since, NULL, &summary, &f->err), -1);
    assert_non_null(strstr(f->err.message, why));
    assert_null(fake_guest_find(&f->world->hosts[0], "golden"));

    make_guest(f->world); /* nor can its next save follow one of that version */
    load(f, FULL);
    set_version(f, 5);
    put(f, f->full);
    const struct gw_save_options more = {
        .name = "golden", .path = f->since, .since = f->full, .opener = &f->opener};
    assert_int_equal(gw_save(&more, &f->err), GW_EXIT_CONFIG);
    assert_non_null(strstr(f->err.message, "has version 5 of the format, and this godwit knows "
                                           "versions up to 4: take a full save"));

    load(f, MOVED);
    set_version(f, 5);
    assert_int_not_equal(receive(f, &last), 0);
    assert_int_equal(last.type, HANDOVER_REFUSED);
    last.body[last.length < sizeof(last.body) ? last.length : sizeof(last.body) - 1] = '\0';
    assert_non_null(strstr((const char *)last.body + 8, why));
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        assert_false(f->world->hosts[1].guests[i].used);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--write"))
        return write_all(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_records),
        TEST(test_chain),
        TEST(test_migration),
        TEST(test_version_5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
