/* SPDX-License-Identifier: MIT */
#include "stream_view.h"

#include <string.h>

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -1;
}

bool stream_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > STREAM_NAME_BYTES_MAX || name[0] == '-' || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == '\0' || !strchr("_-.+", c)))
            return false;
    }
    return true;
}

/* A configuration file: no control characters but tab and newline. */
static bool text_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

int stream_view_host(const uint8_t *body, size_t length, struct stream_host *ret_host,
                     const char **ret_why)
{
    if (length != sizeof(*ret_host))
        return refuse(ret_why, "the description of the host has the wrong size");
    memcpy(ret_host, body, sizeof(*ret_host));
    if (ret_host->reserved || ret_host->id[STREAM_ID_REGISTERS - 1])
        return refuse(ret_why, "a reserved field of the description of the host is not zero");
    return 0;
}

static int check_config_header(const struct stream_config_header *h, size_t length,
                               const char **ret_why)
{
    if (h->reserved0 || h->reserved1 || (h->flags & ~STREAM_CONFIG_PAUSED))
        return refuse(ret_why, "a reserved field of the configuration is not zero");
    if (h->vcpus == 0 || h->vcpus > STREAM_VCPUS_MAX)
        return refuse(ret_why, "the number of vCPUs is not between 1 and 64");
    if (h->on_poweroff >= STREAM_ACTIONS || h->on_reboot >= STREAM_ACTIONS ||
        h->on_crash >= STREAM_ACTIONS)
        return refuse(ret_why, "an action for power-off, reboot or crash is unknown");
    if (h->memory_bytes == 0 || h->memory_bytes % STREAM_PAGE_BYTES ||
        h->memory_bytes / STREAM_PAGE_BYTES > STREAM_MEMORY_PAGES)
        return refuse(ret_why, "the size of the memory is not possible");
    if (h->name_length > STREAM_NAME_BYTES_MAX || h->text_length > STREAM_TEXT_BYTES_MAX)
        return refuse(ret_why, "the name or the text of the configuration is too long");
    if (length != sizeof(*h) + h->name_length + h->text_length)
        return refuse(ret_why, "the length of the configuration does not fit its parts");
    return 0;
}

int stream_view_config(const uint8_t *body, size_t length, struct stream_config *ret_config,
                       const char **ret_why)
{
    struct stream_config_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the configuration is too short");
    memcpy(&h, body, sizeof(h));
    if (check_config_header(&h, length, ret_why))
        return -1;

    const char *name = (const char *)body + sizeof(h);
    if (!stream_name_valid(name, h.name_length))
        return refuse(ret_why, "the name of the guest is not allowed");
    if (!text_is_plain(name + h.name_length, h.text_length))
        return refuse(ret_why, "the text of the configuration holds control characters");

    memset(ret_config, 0, sizeof(*ret_config));
    ret_config->vcpus = h.vcpus;
    ret_config->paused = h.flags & STREAM_CONFIG_PAUSED;
    ret_config->memory_bytes = h.memory_bytes;
    memcpy(ret_config->uuid, h.uuid, sizeof(h.uuid));
    ret_config->on_poweroff = h.on_poweroff;
    ret_config->on_reboot = h.on_reboot;
    ret_config->on_crash = h.on_crash;
    memcpy(ret_config->name, name, h.name_length);
    ret_config->text_length = h.text_length;
    ret_config->text = name + h.name_length;
    return 0;
}

static int check_ranges(const struct stream_memory *memory, const char **ret_why)
{
    uint64_t free_from = 0, total = 0;

    for (uint32_t i = 0; i < memory->count; i++) {
        const struct stream_range *r = &memory->ranges[i];
        if (r->pages == 0 || r->pages > STREAM_MEMORY_PAGES)
            return refuse(ret_why, "a range of memory has an impossible size");
        if (r->first_gfn >= STREAM_GFN_LIMIT || r->first_gfn + r->pages > STREAM_GFN_LIMIT)
            return refuse(ret_why, "a range of memory lies beyond the address space");
        if (i > 0 && r->first_gfn <= free_from)
            return refuse(ret_why, "the ranges of memory overlap, touch or are not in order");
        free_from = r->first_gfn + r->pages;
        total += r->pages;
    }
    if (total > STREAM_MEMORY_PAGES)
        return refuse(ret_why, "the guest has more memory than a stream may hold");
    return 0;
}

int stream_view_memory(const uint8_t *body, size_t length, struct stream_memory *ret_memory,
                       const char **ret_why)
{
    struct stream_count_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the list of memory ranges is too short");
    memcpy(&h, body, sizeof(h));
    if (h.reserved)
        return refuse(ret_why, "a reserved field of the memory ranges is not zero");
    if (h.count == 0 || h.count > STREAM_RANGES_MAX)
        return refuse(ret_why, "the number of memory ranges is not between 1 and 64");
    if (length != sizeof(h) + h.count * sizeof(struct stream_range))
        return refuse(ret_why, "the length of the memory ranges does not fit their number");
    memset(ret_memory, 0, sizeof(*ret_memory));
    ret_memory->count = h.count;
    memcpy(ret_memory->ranges, body + sizeof(h), h.count * sizeof(struct stream_range));
    return check_ranges(ret_memory, ret_why);
}

uint64_t stream_pages_word(const struct stream_pages *pages, uint32_t i)
{
    uint64_t word;

    memcpy(&word, pages->pfns + (size_t)i * sizeof(word), sizeof(word));
    return word;
}

/* Checks every word of the list and counts those with contents. */
static int check_words(struct stream_pages *pages, const struct stream_memory *memory,
                       const char **ret_why)
{
    uint64_t index;

    for (uint32_t i = 0; i < pages->count; i++) {
        uint64_t word = stream_pages_word(pages, i);
        unsigned type = stream_word_type(word);

        if ((word & ~STREAM_PFN_GFN_MASK) != (uint64_t)type << STREAM_PFN_TYPE_SHIFT)
            return refuse(ret_why, "a reserved bit of a frame number is set");
        if (type != STREAM_PFN_NORMAL && type != STREAM_PFN_ZERO)
            return refuse(ret_why, "a page has an unknown type");
        if (!stream_memory_index(memory, stream_word_gfn(word), &index))
            return refuse(ret_why, "a page lies outside the memory of the guest");
        pages->with_contents += type == STREAM_PFN_NORMAL;
    }
    return 0;
}

/* The list of pages; contents begin behind it. */
static int view_page_list(const uint8_t *body, size_t length, const struct stream_memory *memory,
                          struct stream_pages *ret_pages, const char **ret_why)
{
    struct stream_count_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the list of pages is too short");
    memcpy(&h, body, sizeof(h));
    if (h.reserved)
        return refuse(ret_why, "a reserved field of the list of pages is not zero");
    if (h.count == 0 || h.count > STREAM_PAGES_MAX)
        return refuse(ret_why, "the number of pages is not between 1 and 1024");
    size_t list_bytes = h.count * sizeof(uint64_t);
    if (length < sizeof(h) + list_bytes)
        return refuse(ret_why, "the list of pages is shorter than its number of pages");
    memset(ret_pages, 0, sizeof(*ret_pages));
    ret_pages->count = h.count;
    ret_pages->pfns = body + sizeof(h);
    ret_pages->contents = body + sizeof(h) + list_bytes;
    return check_words(ret_pages, memory, ret_why);
}

int stream_view_pages(const uint8_t *body, size_t length, const struct stream_memory *memory,
                      struct stream_pages *ret_pages, const char **ret_why)
{
    if (view_page_list(body, length, memory, ret_pages, ret_why))
        return -1;
    if (length !=
        (size_t)(ret_pages->contents - body) + (size_t)ret_pages->with_contents * STREAM_PAGE_BYTES)
        return refuse(ret_why, "the contents of the pages do not fit their number");
    return 0;
}

int stream_view_zipped(const uint8_t *body, size_t length, const struct stream_memory *memory,
                       struct stream_pages *ret_pages, const char **ret_why)
{
    if (view_page_list(body, length, memory, ret_pages, ret_why))
        return -1;
    if (ret_pages->with_contents == 0)
        return refuse(ret_why, "compressed pages without a page that has contents");
    return 0;
}

struct stream_range stream_readonly_range(const struct stream_readonly *readonly, uint32_t i)
{
    struct stream_range range;

    memcpy(&range, readonly->ranges + (size_t)i * sizeof(range), sizeof(range));
    return range;
}

/* The range lies in one of the guest's: no gfn between its ends is anything else. */
static bool range_is_memory(const struct stream_memory *memory, const struct stream_range *range)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct stream_range *r = &memory->ranges[i];

        if (range->first_gfn >= r->first_gfn && range->first_gfn - r->first_gfn < r->pages)
            return range->pages <= r->pages - (range->first_gfn - r->first_gfn);
    }
    return false;
}

int stream_view_readonly(const uint8_t *body, size_t length, const struct stream_memory *memory,
                         struct stream_readonly *ret_readonly, const char **ret_why)
{
    struct stream_count_header h;

    if (length < sizeof(h))
        return refuse(ret_why, "the list of read-only memory is too short");
    memcpy(&h, body, sizeof(h));
    if (h.reserved)
        return refuse(ret_why, "a reserved field of the read-only memory is not zero");
    if (h.count == 0 || h.count > STREAM_READONLY_MAX)
        return refuse(ret_why, "the number of read-only ranges is not between 1 and 4096");
    if (length != sizeof(h) + h.count * sizeof(struct stream_range))
        return refuse(ret_why, "the length of the read-only memory does not fit its ranges");
    ret_readonly->count = h.count;
    ret_readonly->ranges = body + sizeof(h);
    for (uint32_t i = 0; i < h.count; i++) {
        struct stream_range range = stream_readonly_range(ret_readonly, i);

        if (range.pages == 0 || !range_is_memory(memory, &range))
            return refuse(ret_why, "a range of read-only memory lies outside the guest's memory");
    }
    return 0;
}

uint64_t stream_memory_pages(const struct stream_memory *memory)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < memory->count; i++)
        total += memory->ranges[i].pages;
    return total;
}

bool stream_memory_index(const struct stream_memory *memory, uint64_t gfn, uint64_t *ret_index)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i < memory->count; i++) {
        const struct stream_range *r = &memory->ranges[i];
        if (gfn >= r->first_gfn && gfn - r->first_gfn < r->pages) {
            *ret_index = before + (gfn - r->first_gfn);
            return true;
        }
        before += r->pages;
    }
    return false;
}

uint64_t stream_memory_gfn(const struct stream_memory *memory, uint64_t index)
{
    uint32_t i = 0;

    while (i + 1 < memory->count && index >= memory->ranges[i].pages) {
        index -= memory->ranges[i].pages;
        i++;
    }
    return memory->ranges[i].first_gfn + index;
}
