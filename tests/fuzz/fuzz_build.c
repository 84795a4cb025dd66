/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: the builder, which is privileged, with records from a process that reads
 * streams and has been taken over. The input is a stream as for fuzz_stream; here nobody checks its
 * records. The first byte chooses what the builder is to do. Nothing of the host but the pages of
 * the new guest may be touched.
 */
#include "handover/handover.h"
#include "handover/handover_guard.h"
#include "restore/restore_build.h"
#include "stream/stream_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST_RECORD (1 + sizeof(struct stream_image_header) + sizeof(struct stream_domain_header))
#define PAGES_MOST   4096u /* of a guest: comparing more takes long */
#define PAGES_KEPT   64u   /* have contents; all others are zeros for ever */
#define DOMID        7u

static uint8_t kept[PAGES_KEPT][STREAM_PAGE_BYTES];

struct host {
    struct restore_builder *builder;
    struct stream_memory made; /* the guest's, for ever */
    bool exists;
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void must_be_its_own(const struct host *h, uint32_t domid, const uint64_t *gfns, unsigned n)
{
    uint64_t index;

    must(h->exists && domid == DOMID);
    for (unsigned i = 0; i < n; i++)
        must(stream_memory_index(&h->made, gfns[i], &index));
}

void migrate_guest_free(struct migrate_guest *guest) /* of migrate_host.c: here is none to free */
{
    must(!guest->text);
}

/* The host that the seeds come from: see seeds.c. */
static int describe(void *ctx, struct stream_host *ret_host, struct migrate_versions *ret_versions,
                    struct gw_error *err)
{
    *ret_host = (struct stream_host){.cntfrq_hz = 62500000, .id = {1, 2, 3}};
    memset(ret_versions, 0, sizeof(*ret_versions));
    return 0;
}

static int find(void *ctx, const char *name, struct migrate_guest *ret_guest, struct gw_error *err)
{
    must(strnlen(name, STREAM_NAME_BYTES_MAX + 1) <= STREAM_NAME_BYTES_MAX);
    return gw_error_set(err, GW_EXIT_NO_GUEST, "there is none");
}

/* One UUID in 256 is here already. */
static int locate(void *ctx, const uint8_t uuid[16], uint32_t *ret_where, struct gw_error *err)
{
    *ret_where = uuid[0] == UINT8_MAX ? HANDOVER_HERE : HANDOVER_NOT_HERE;
    return 0;
}

static int create(void *ctx, const struct stream_config *config, const char *name,
                  uint32_t *ret_domid, struct gw_error *err)
{
    struct host *h = ctx;

    must(!h->exists && config->vcpus <= STREAM_VCPUS_MAX);
    must(strlen(config->text) <= config->text_length);
    h->made = h->builder->memory;
    if (stream_memory_pages(&h->made) > PAGES_MOST)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    h->exists = true;
    memset(kept, 0, sizeof(kept));
    *ret_domid = DOMID;
    return 0;
}

static int destroy(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct host *h = ctx;

    must_be_its_own(h, domid, NULL, 0);
    h->exists = false;
    return 0;
}

static int ranges(void *ctx, uint32_t domid, struct stream_memory *ret_memory, struct gw_error *err)
{
    must_be_its_own(ctx, domid, NULL, 0);
    *ret_memory = ((struct host *)ctx)->made;
    return 0;
}

/* NULL: its contents are not kept. */
static uint8_t *page_of(const struct host *h, uint64_t gfn)
{
    uint64_t index = 0;

    stream_memory_index(&h->made, gfn, &index);
    return index < PAGES_KEPT ? kept[index] : NULL;
}

static int read_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                      unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err)
{
    uint8_t *to = data;
    unsigned i;

    must_be_its_own(ctx, domid, gfns, n);
    for (i = 0; i < n; i++) {
        const uint8_t *page = page_of(ctx, gfns[i]);
        ret_zero[i] = !page || (!page[0] && !memcmp(page, page + 1, STREAM_PAGE_BYTES - 1));
        if (ret_zero[i])
            continue;
        if (room-- == 0)
            break;
        memcpy(to, page, STREAM_PAGE_BYTES);
        to += STREAM_PAGE_BYTES;
    }
    *ret_done = i;
    return 0;
}

static int write_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                       const void *data, struct gw_error *err)
{
    const uint8_t *bytes = data;
    static uint8_t beyond[STREAM_PAGE_BYTES];

    must_be_its_own(ctx, domid, gfns, n);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *page = page_of(ctx, gfns[i]);
        if (bytes)
            memcpy(page ? page : beyond, bytes + (size_t)i * STREAM_PAGE_BYTES, STREAM_PAGE_BYTES);
        else
            memset(page ? page : beyond, 0, STREAM_PAGE_BYTES);
    }
    return 0;
}

static int get_readonly(void *ctx, uint32_t domid, uint64_t *gfn, struct stream_range *ret_ranges,
                        unsigned max, unsigned *ret_n, struct gw_error *err)
{
    must_be_its_own(ctx, domid, NULL, 0);
    *ret_n = 0;
    *gfn = UINT64_MAX;
    return 0;
}

static int set_readonly(void *ctx, uint32_t domid, const struct stream_range *range,
                        struct gw_error *err)
{
    for (uint64_t i = 0; i < range->pages; i++) {
        uint64_t gfn = range->first_gfn + i;
        must_be_its_own(ctx, domid, &gfn, 1);
    }
    return 0;
}

static int set_state(void *ctx, uint32_t domid, const void *state, uint32_t bytes,
                     struct gw_error *err)
{
    must_be_its_own(ctx, domid, NULL, 0);
    must(bytes > 0 && bytes <= STREAM_BODY_MAX);
    return 0;
}

static int mark(void *arg, uint32_t number, struct gw_error *err)
{
    return 0;
}

/* Records as they are, without padding, and without those that are never handed on. */
static void write_records(int fd, const uint8_t *data, size_t length)
{
    for (size_t at = FIRST_RECORD; at + sizeof(struct stream_record_header) <= length;) {
        struct stream_record_header header;

        memcpy(&header, data + at, sizeof(header));
        size_t there = length - at - sizeof(header);
        size_t body = header.length < there ? header.length : there;
        const uint32_t handed[4] = {header.type, header.length}; /* see stream_parser.c */
        if (!(header.type & STREAM_RECORD_OPTIONAL) || header.type >= 0xFFFFFFFEu) {
            must(write(fd, handed, sizeof(handed)) == sizeof(handed));
            must(write(fd, data + at + sizeof(header), body) == (ssize_t)body);
        }
        at += sizeof(header) + ((body + STREAM_ALIGN - 1) & ~(size_t)(STREAM_ALIGN - 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const struct migrate_host_ops ops = {.describe = describe,
                                                .find = find,
                                                .locate = locate,
                                                .create = create,
                                                .destroy = destroy,
                                                .ranges = ranges,
                                                .read_pages = read_pages,
                                                .write_pages = write_pages,
                                                .get_readonly = get_readonly,
                                                .set_readonly = set_readonly,
                                                .set_state = set_state};
    static struct handover_guard guard;
    static uint8_t body[STREAM_BODY_MAX]; /* of a parser, as long as it lives */
    static int fd = -1;
    struct restore_builder builder = {.guard = &guard};
    struct host h = {.builder = &builder};
    struct migrate_host host = {.ops = &ops, .ctx = &h};
    struct gw_error err = {0};

    if (length == 0)
        return 0;
    if (fd < 0)
        fd = memfd_create("records", MFD_CLOEXEC);
    must(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    write_records(fd, data, length);
    must(lseek(fd, 0, SEEK_SET) == 0);
    struct stream_parser parser = {
        .io = {.in_fd = fd, .out_fd = -1, .stall_ms = 1000, .peer = "a parser gone bad"},
        .returned_fd = -1,
        .body = body};
    builder.host = &host;
    builder.parser = &parser;
    builder.compare_sums = data[0] & 2;
    builder.mark = data[0] & 4 ? mark : NULL;
    must((restore_build(&builder, &err) != 0) == (err.code != 0));
    must(!err.code || err.message[0]);
    restore_build_undo(&builder);
    must(!h.exists);
    restore_build_free(&builder);
    return 0;
}
