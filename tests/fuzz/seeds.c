/* SPDX-License-Identifier: MIT */
#include "seeds.h"

#include "pages/page_zip.h"
#include "stream/stream_view.h"
#include "stream/stream_write.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM_GFN 0x40000u
#define LANES   3u
#define ZERO    ((uint64_t)STREAM_PFN_ZERO << STREAM_PFN_TYPE_SHIFT)

struct seed {
    struct stream_writer w;
    struct handover_io io;
    struct stream_memory memory;
    struct gw_error err;
};

static void record(struct seed *s, uint32_t type, const void *body, size_t bytes)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)body, .iov_len = bytes};

    stream_write_record(&s->w, type, &part, bytes ? 1 : 0, &s->err);
}

static void headers(struct seed *s)
{
    stream_write_headers(&s->w, 4, 17, &s->err);
}

static void describe(struct seed *s, uint64_t pages)
{
    const struct stream_host host = {.cntfrq_hz = 62500000, .id = {1, 2, 3}};
    const struct stream_config config = {.vcpus = 2,
                                         .memory_bytes = pages * STREAM_PAGE_BYTES,
                                         .on_reboot = STREAM_RESTART,
                                         .uuid = "0123456789abcde",
                                         .name = "seed",
                                         .text = "memory = 1\n",
                                         .text_length = 11};

    s->memory = (struct stream_memory){.count = 2, .ranges = {{0x39003, 1}, {RAM_GFN, pages}}};
    headers(s);
    record(s, STREAM_VERSIONS, "a seed", 6);
    record(s, STREAM_HOST, &host, sizeof(host));
    stream_write_config(&s->w, &config, &s->err);
    stream_write_memory(&s->w, &s->memory, &s->err);
}

static void end_head(struct seed *s)
{
    stream_write_digest(&s->w, &s->err);
    record(s, STREAM_STATIC_DATA_END, NULL, 0);
}

/* One page of zeros that travels with this connection. */
static void zero_page(struct seed *s, unsigned lane)
{
    uint64_t gfn = RAM_GFN;

    while (stream_of_gfn(gfn, LANES) != lane)
        gfn++;
    gfn |= ZERO;
    stream_write_pages(&s->w, &gfn, 1, NULL, 0, &s->err);
}

/* All pages of a guest that has 3 and its console. */
static void all_pages(struct seed *s)
{
    const uint64_t words[] = {0x39003 | ZERO, RAM_GFN, (RAM_GFN + 1) | ZERO, (RAM_GFN + 2) | ZERO};
    uint8_t page[STREAM_PAGE_BYTES];

    for (unsigned i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(i * 7 + (i >> 8));
    stream_write_pages(&s->w, words, 4, page, 1, &s->err);
}

static void zipped_page(struct seed *s)
{
    const uint64_t words[] = {RAM_GFN, (RAM_GFN + 1) | ZERO};
    uint8_t page[STREAM_PAGE_BYTES], frame[STREAM_PAGE_BYTES];
    struct page_zip *zip = page_zip_open(1);

    memset(page, 'z', sizeof(page));
    uint32_t bytes = zip ? page_zip(zip, page, 1, frame) : 0;
    page_zip_close(zip);
    stream_write_zipped(&s->w, words, 2, frame, bytes, &s->err);
}

static void state(struct seed *s)
{
    record(s, STREAM_HVM_CONTEXT, "sixteen bytes!!", 16);
}

/* --- one stream each ------------------------------------------------------------------------- */

static void plain(struct seed *s)
{
    const struct stream_range readonly = {RAM_GFN, 2};

    describe(s, 3);
    end_head(s);
    all_pages(s);
    stream_write_readonly(&s->w, &readonly, 1, &s->err);
    state(s);
    record(s, STREAM_VERIFY, NULL, 0);
    all_pages(s);
}

static void zipped(struct seed *s)
{
    describe(s, 2);
    end_head(s);
    zipped_page(s);
    state(s);
    record(s, STREAM_VERIFY, NULL, 0);
    zipped_page(s);
}

static void marks(struct seed *s)
{
    describe(s, 2);
    end_head(s);
    for (uint32_t number = 1; number <= 3; number++) {
        zero_page(s, stream_of_gfn(RAM_GFN, LANES));
        stream_write_mark(&s->w, number, &s->err);
    }
    state(s);
}

static void sums(struct seed *s)
{
    struct {
        struct stream_sums_header header;
        uint32_t sums[2];
    } one = {.header = {.count = 2}}, two = {.header = {.first_page = 2, .count = 2}};

    describe(s, 3);
    end_head(s);
    all_pages(s);
    state(s);
    record(s, STREAM_PAGE_SUMS, &one, sizeof(one));
    record(s, STREAM_PAGE_SUMS, &two, sizeof(two));
}

static void chain(struct seed *s)
{
    const struct stream_chain chain = {.id = "an id of a chai", .epoch = 7, .depth = 2};
    const struct stream_base base = {
        .base_id = "an id of a base", .base_epoch = 6, .depth = 2, .name = "before"};

    describe(s, 3);
    stream_write_base(&s->w, &base, &s->err);
    end_head(s);
    all_pages(s);
    state(s);
    record(s, STREAM_CHAIN, &chain, sizeof(chain));
}

static void main_lane(struct seed *s)
{
    const struct stream_lane_end ends[LANES - 1] = {{.pages = 1}, {.pages = 1}};

    describe(s, 256);
    stream_write_lane(&s->w, 0, LANES, &s->err);
    end_head(s);
    zero_page(s, 0);
    stream_write_mark(&s->w, 1, &s->err);
    state(s);
    record(s, STREAM_LANE_ENDS, ends, sizeof(ends));
}

static void side_lane(struct seed *s)
{
    const struct stream_memory memory = {.count = 2, .ranges = {{0x39003, 1}, {RAM_GFN, 256}}};

    headers(s);
    stream_write_lane(&s->w, 1, LANES, &s->err);
    stream_write_memory(&s->w, &memory, &s->err);
    zero_page(s, 1);
    stream_write_mark(&s->w, 1, &s->err);
    record(s, STREAM_VERIFY, NULL, 0);
    zero_page(s, 1);
}

/* --- all of them ----------------------------------------------------------------------------- */

static int write_one(const char *folder, const char *name, void (*make)(struct seed *))
{
    struct seed s = {.io = {.in_fd = -1, .stall_ms = 1000, .peer = "a file"}};
    char path[4096];

    snprintf(path, sizeof(path), "%s/seed-%s", folder, name);
    s.w.io = &s.io;
    s.io.out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    /* Checksums are put right, for what the fuzzer makes of it: see fuzz_stream.c. */
    if (s.io.out_fd < 0 || write(s.io.out_fd, "1", 1) != 1) {
        perror(path);
        return -1;
    }
    make(&s);
    stream_write_end(&s.w, &s.err);
    close(s.io.out_fd);
    if (s.err.code)
        fprintf(stderr, "%s: %s\n", path, s.err.message);
    return s.err.code ? -1 : 0;
}

int seeds_write(const char *folder)
{
    static const struct {
        const char *name;
        void (*make)(struct seed *);
    } seeds[] = {{"plain", plain},        {"zipped", zipped}, {"marks", marks},
                 {"sums", sums},          {"chain", chain},   {"main-lane", main_lane},
                 {"side-lane", side_lane}};

    for (unsigned i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
        if (write_one(folder, seeds[i].name, seeds[i].make))
            return -1;
    return 0;
}
