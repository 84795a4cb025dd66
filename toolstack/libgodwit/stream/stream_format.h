/* SPDX-License-Identifier: MIT */
/* The numbers of docs/stream.md, and the plain structures that its records are turned into. */
#ifndef STREAM_FORMAT_H
#define STREAM_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_MARKER          UINT64_MAX
#define STREAM_ID              0x58454E46u
#define STREAM_VERSION         4u
#define STREAM_VERSION_OLDEST  3u /* that is still read */
#define STREAM_DOMAIN_TYPE_ARM 4u
#define STREAM_PAGE_SHIFT      12u
#define STREAM_PAGE_BYTES      4096u
#define STREAM_ALIGN           8u

#define STREAM_RECORD_OPTIONAL 0x80000000u

enum stream_record_type {
    STREAM_END = 0x00000000u,
    STREAM_PAGE_DATA = 0x00000001u,
    STREAM_HVM_CONTEXT = 0x00000009u,
    STREAM_VERIFY = 0x0000000Du,
    STREAM_STATIC_DATA_END = 0x00000010u,
    STREAM_HOST = 0x47570001u,
    STREAM_CONFIG = 0x47570002u,
    STREAM_MEMORY = 0x47570003u,
    STREAM_DIGEST = 0x47570004u,
    STREAM_READONLY = 0x47570005u,
    STREAM_BASE = 0x47570007u,
    STREAM_PAGE_SUMS = 0x47570010u,
    STREAM_PAGES_ZSTD = 0x47570006u,
    STREAM_LANE = 0x47570011u,
    STREAM_LANE_ENDS = 0x47570012u,
    STREAM_MARK = 0x47570013u,
};
#define STREAM_CHAIN    0xC7570002u
#define STREAM_VERSIONS 0xC7570001u /* does not fit an enumerator of ISO C */

#define STREAM_PAGES_MAX       1024u /* in one PAGE_DATA record */
#define STREAM_STREAMS_MAX     16u   /* connections of one migration */
#define STREAM_MARKS_MAX       2048u /* on one connection */
#define STREAM_SHARD_SHIFT     6u    /* 64 frames in a row travel on one connection */
#define STREAM_LEVEL_MAX       19    /* of zstd */
#define STREAM_STATE_BYTES_MAX (2u << 20)
#define STREAM_NAME_BYTES_MAX  63u
#define STREAM_TEXT_BYTES_MAX  65536u
#define STREAM_RANGES_MAX      64u
#define STREAM_VERSIONS_MAX    256u
#define STREAM_READONLY_MAX    4096u /* ranges in one GODWIT_READONLY record */
#define STREAM_VCPUS_MAX       64u
#define STREAM_GFN_LIMIT       (1ULL << 36) /* first frame number that cannot occur */
#define STREAM_MEMORY_PAGES    (1ULL << 28) /* in all ranges together */
#define STREAM_ID_REGISTERS    16u
/* A writer puts a checksum after each record with which so much has come since the last one. */
#define STREAM_DIGEST_BYTES    65536u
#define STREAM_BODY_MAX        (8u + STREAM_PAGES_MAX * (8u + STREAM_PAGE_BYTES))

#define STREAM_CHAIN_MAX     64u    /* streams in a chain */
#define STREAM_BASE_NAME_MAX 255u   /* of a file, without a folder */
#define STREAM_SUMS_MAX      65536u /* in one GODWIT_PAGE_SUMS record */
#define STREAM_ID_BYTES      16u

#define STREAM_PFN_TYPE_SHIFT 60
#define STREAM_PFN_GFN_MASK   ((1ULL << 52) - 1)
#define STREAM_PFN_NORMAL     0u
#define STREAM_PFN_ZERO       5u

#define STREAM_CONFIG_PAUSED 1u /* flag: the operator had paused the guest; it stays paused */

/* Headers and fixed parts as they lie in the stream. */
struct stream_image_header {
    uint64_t marker; /* big endian, as the whole structure */
    uint32_t id, version;
    uint16_t options, reserved0;
    uint32_t reserved1;
};

struct stream_domain_header {
    uint32_t type;
    uint16_t page_shift, reserved;
    uint32_t xen_major, xen_minor;
};

struct stream_record_header {
    uint32_t type, length;
};

struct stream_count_header { /* PAGE_DATA and GODWIT_MEMORY begin with it */
    uint32_t count, reserved;
};

struct stream_range {
    uint64_t first_gfn, pages;
};

struct stream_host {
    uint64_t cntfrq_hz, reserved;
    uint64_t id[STREAM_ID_REGISTERS];
};

struct stream_config_header {
    uint32_t vcpus, flags;
    uint64_t memory_bytes;
    uint8_t uuid[16];
    uint8_t on_poweroff, on_reboot, on_crash, reserved0;
    uint32_t name_length, text_length, reserved1;
};

struct stream_lane { /* GODWIT_LANE */
    uint32_t index, count;
};

struct stream_lane_end { /* GODWIT_LANE_ENDS: one for each side connection */
    uint64_t pages;
    uint32_t crc32, reserved;
};

struct stream_mark { /* GODWIT_MARK: counted from 1, on each connection */
    uint32_t number, reserved;
};

struct stream_digest {
    uint32_t crc32, reserved;
};

/* GODWIT_CHAIN: what an incremental save needs to know of the save before. */
struct stream_chain {
    uint8_t id[STREAM_ID_BYTES]; /* of this stream, random */
    uint8_t uuid[16];            /* of the guest */
    uint8_t boot_id[16];         /* of the host's control domain */
    uint64_t epoch;              /* of the dirty log, that begins where this stream ends */
    uint32_t domid, memory_crc32, depth, reserved;
};

struct stream_base_header { /* and the name */
    uint8_t base_id[STREAM_ID_BYTES];
    uint64_t base_epoch;
    uint32_t base_crc32, depth, name_length, reserved;
};

struct stream_sums_header { /* and count times a CRC-32 */
    uint64_t first_page;
    uint32_t count, reserved;
};

_Static_assert(sizeof(struct stream_chain) == 72, "docs/stream.md");
_Static_assert(sizeof(struct stream_base_header) == 40, "docs/stream.md");
_Static_assert(sizeof(struct stream_sums_header) == 16, "docs/stream.md");
_Static_assert(sizeof(struct stream_image_header) == 24, "docs/stream.md");
_Static_assert(sizeof(struct stream_domain_header) == 16, "docs/stream.md");
_Static_assert(sizeof(struct stream_record_header) == 8, "docs/stream.md");
_Static_assert(sizeof(struct stream_host) == 144, "docs/stream.md");
_Static_assert(sizeof(struct stream_config_header) == 48, "docs/stream.md");
_Static_assert(sizeof(struct stream_digest) == 8, "docs/stream.md");

/* The same, decoded. */
struct stream_config {
    uint32_t vcpus;
    bool paused;
    uint64_t memory_bytes;
    uint8_t uuid[16];
    uint8_t on_poweroff, on_reboot, on_crash; /* enum stream_action */
    char name[STREAM_NAME_BYTES_MAX + 1];
    uint32_t text_length;
    const char *text; /* text_length bytes, not terminated */
};

enum stream_action {
    STREAM_DESTROY = 0,
    STREAM_RESTART = 1,
    STREAM_PRESERVE = 2,
    STREAM_ACTIONS = 3,
};

struct stream_memory {
    uint32_t count;
    struct stream_range ranges[STREAM_RANGES_MAX];
};

struct stream_base { /* decoded */
    uint8_t base_id[STREAM_ID_BYTES];
    uint64_t base_epoch;
    uint32_t base_crc32; /* of the whole base: the sum in its last GODWIT_DIGEST */
    uint32_t depth;      /* streams before this one */
    char name[STREAM_BASE_NAME_MAX + 1];
};

struct stream_sums {
    uint64_t first_page;
    uint32_t count;
    const uint8_t *sums; /* count little-endian words */
};

struct stream_readonly {
    uint32_t count;
    const uint8_t *ranges; /* count times struct stream_range: use stream_readonly_range */
};

struct stream_pages {
    uint32_t count;
    uint32_t with_contents;
    const uint8_t *pfns;     /* count little-endian words: use stream_pages_word */
    const uint8_t *contents; /* with_contents pages */
};

#endif
