/* SPDX-License-Identifier: MIT */
#include "restore_build.h"

#include "migrate_step.h"
#include "restore_compare.h"
#include "restore_types.h"
#include "stream_view.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INCOMING_SUFFIX "--incoming"

static bool bit_set(uint8_t *bits, uint64_t i) /* returns whether it was clear */
{
    uint8_t mask = (uint8_t)(1u << (i % 8));
    bool was_clear = !(bits[i / 8] & mask);

    bits[i / 8] |= mask;
    return was_clear;
}

void restore_incoming_name(const char *name, char ret_name[STREAM_NAME_BYTES_MAX + 1])
{
    snprintf(ret_name, STREAM_NAME_BYTES_MAX + 1, "%.*s%s",
             (int)(STREAM_NAME_BYTES_MAX - strlen(INCOMING_SUFFIX)), name, INCOMING_SUFFIX);
}

bool gw_name_is_incoming(const char *name)
{
    size_t length = strlen(name), suffix = strlen(INCOMING_SUFFIX);

    return length > suffix && !strcmp(name + length - suffix, INCOMING_SUFFIX);
}

/* The child has checked bodies; a child that was taken over is caught by the same check here. */
static int distrust(const char *why, struct gw_error *err)
{
    return gw_error_set(err, GW_EXIT_CONFIG, "%s", why);
}

static int take_host(struct restore_builder *b, const struct stream_record *record,
                     struct gw_error *err)
{
    struct stream_host theirs, ours;
    struct migrate_versions versions;
    const char *why;

    if (stream_view_host(record->body, record->length, &theirs, &why))
        return distrust(why, err);
    if (b->host->ops->describe(b->host->ctx, &ours, &versions, err))
        return -1;
    return restore_compare_hosts(&theirs, &ours, err);
}

static int take_config(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
    struct migrate_guest taken = {0};
    struct gw_error unused = {0};
    const char *why;

    if (b->text || stream_view_config(record->body, record->length, &b->config, &why))
        return distrust(b->text ? "two configurations" : why, err);
    b->text = malloc(b->config.text_length + 1);
    if (!b->text)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    memcpy(b->text, b->config.text, b->config.text_length);
    b->text[b->config.text_length] = '\0';
    b->config.text = b->text;
    restore_incoming_name(b->config.name, b->incoming_name);

    if (b->host->ops->find(b->host->ctx, b->config.name, &taken, &unused) == 0 ||
        unused.code == GW_EXIT_STATE) {
        migrate_guest_free(&taken);
        return gw_error_set(err, GW_EXIT_STATE, "a guest with the name \"%s\" is here already",
                            b->config.name);
    }
    return migrate_step("dest-config", err);
}

static int take_memory(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
    const char *why;

    if (stream_view_memory(record->body, record->length, &b->memory, &why))
        return distrust(why, err);
    b->memory_pages = stream_memory_pages(&b->memory);
    return 0;
}

/* A guest with the memory that the stream has pages for, no more and no less. */
static int create_guest(struct restore_builder *b, struct gw_error *err)
{
    struct stream_memory ours;

    if (!b->text || b->memory_pages == 0 || b->created)
        return distrust("records out of order", err);
    snprintf(b->guard->name, sizeof(b->guard->name), "%s", b->incoming_name);
    handover_guard_add(b->guard, HANDOVER_BUILDING);
    if (b->host->ops->create(b->host->ctx, &b->config, b->incoming_name, &b->domid, err))
        return -1;
    b->created = true;
    if (migrate_step("dest-created", err) ||
        b->host->ops->ranges(b->host->ctx, b->domid, &ours, err))
        return -1;
    if (ours.count != b->memory.count ||
        memcmp(ours.ranges, b->memory.ranges, ours.count * sizeof(ours.ranges[0])) != 0)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the memory of the guest is laid out differently here");

    size_t bytes = (size_t)(b->memory_pages + 7) / 8;
    b->seen = calloc(1, bytes);
    b->written = calloc(1, bytes);
    b->verified = calloc(1, bytes);
    b->scratch = calloc(STREAM_PAGES_MAX, STREAM_PAGE_BYTES);
    if (!b->seen || !b->written || !b->verified || !b->scratch)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    return b->accept ? b->accept(b->accept_arg, err) : 0;
}

/* A page that was never written since the guest was made is zero already. */
static int store_pages(struct restore_builder *b, const struct stream_pages *pages,
                       struct gw_error *err)
{
    uint64_t full[STREAM_PAGES_MAX], zero[STREAM_PAGES_MAX], index = 0;
    unsigned full_n = 0, zero_n = 0;

    for (uint32_t i = 0; i < pages->count; i++) {
        uint64_t word = stream_pages_word(pages, i), gfn = stream_word_gfn(word);

        stream_memory_index(&b->memory, gfn, &index);
        b->seen_pages += bit_set(b->seen, index);
        if (stream_word_type(word) == STREAM_PFN_NORMAL) {
            full[full_n++] = gfn;
            bit_set(b->written, index);
        } else if (b->written[index / 8] & (1u << (index % 8))) {
            zero[zero_n++] = gfn;
        }
    }
    b->pages += pages->count;
    b->zero_pages += pages->count - pages->with_contents;
    if (full_n &&
        b->host->ops->write_pages(b->host->ctx, b->domid, full, full_n, pages->contents, err))
        return -1;
    if (zero_n == 0)
        return 0;
    memset(b->scratch, 0, (size_t)zero_n * STREAM_PAGE_BYTES);
    return b->host->ops->write_pages(b->host->ctx, b->domid, zero, zero_n, b->scratch, err);
}

/* Compares what a window shows with the n pages from pages->words[first] on. */
static void compare_window(struct restore_builder *b, const struct migrate_window *window,
                           const struct stream_pages *pages, uint32_t first,
                           const uint8_t **contents)
{
    static const uint8_t zero_page[STREAM_PAGE_BYTES];
    uint64_t index = 0;

    for (unsigned i = 0; i < window->n; i++) {
        uint64_t word = stream_pages_word(pages, first + i);
        const uint8_t *theirs = zero_page;

        if (stream_word_type(word) == STREAM_PFN_NORMAL) {
            theirs = *contents;
            *contents += STREAM_PAGE_BYTES;
        }
        stream_memory_index(&b->memory, stream_word_gfn(word), &index);
        b->verified_pages += bit_set(b->verified, index);
        if (memcmp(theirs, window->pages[i], STREAM_PAGE_BYTES) != 0) {
            if (b->different_pages++ == 0)
                b->first_different_gfn = stream_word_gfn(word);
        }
    }
}

static int verify_pages(struct restore_builder *b, const struct stream_pages *pages,
                        struct gw_error *err)
{
    const uint8_t *contents = pages->contents;
    uint64_t gfns[MIGRATE_WINDOW_PAGES];
    struct migrate_window window;

    for (uint32_t done = 0, n; done < pages->count; done += n) {
        for (n = 0; n < MIGRATE_WINDOW_PAGES && done + n < pages->count; n++)
            gfns[n] = stream_word_gfn(stream_pages_word(pages, done + n));
        if (b->host->ops->map_pages(b->host->ctx, b->domid, gfns, n, &window, err))
            return -1;
        compare_window(b, &window, pages, done, &contents);
        b->host->ops->unmap_pages(b->host->ctx, &window);
    }
    return 0;
}

static int take_pages(struct restore_builder *b, const struct stream_record *record,
                      struct gw_error *err)
{
    struct stream_pages pages;
    const char *why;

    if (!b->scratch)
        return distrust("pages without a guest", err);
    if (stream_view_pages(record->body, record->length, &b->memory, &pages, &why))
        return distrust(why, err);
    if (b->verifying)
        return migrate_step("dest-verify", err) || verify_pages(b, &pages, err) ? -1 : 0;
    return migrate_step("dest-pages", err) || store_pages(b, &pages, err) ? -1 : 0;
}

static int take_state(struct restore_builder *b, const struct stream_record *record,
                      struct gw_error *err)
{
    if (!b->created || b->state || record->length == 0)
        return distrust("state out of order", err);
    b->state = malloc(record->length);
    if (!b->state)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    memcpy(b->state, record->body, record->length);
    b->state_bytes = record->length;
    return 0;
}

/* END: nothing may be missing. */
static int complete(struct restore_builder *b, struct gw_error *err)
{
    if (!b->created || !b->state)
        return distrust("the stream ends before the guest is complete", err);
    if (b->seen_pages != b->memory_pages)
        return gw_error_set(err, GW_EXIT_CONFIG, "the stream lacks %llu of the guest's %llu pages",
                            (unsigned long long)(b->memory_pages - b->seen_pages),
                            (unsigned long long)b->memory_pages);
    if (b->different_pages)
        return gw_error_set(
            err, GW_EXIT_FAILED, "%llu pages differ from the source's, the first is frame 0x%llx",
            (unsigned long long)b->different_pages, (unsigned long long)b->first_different_gfn);
    if (b->verifying && b->verified_pages != b->memory_pages)
        return gw_error_set(err, GW_EXIT_CONFIG, "%llu pages were not sent again to be compared",
                            (unsigned long long)(b->memory_pages - b->verified_pages));
    if (migrate_step("dest-state", err) || restore_types_apply(b, err))
        return -1;
    return b->host->ops->set_state(b->host->ctx, b->domid, b->state, b->state_bytes, err);
}

static int take_record(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
    switch (record->type) {
    case STREAM_HOST:
        return take_host(b, record, err);
    case STREAM_CONFIG:
        return take_config(b, record, err);
    case STREAM_MEMORY:
        return take_memory(b, record, err);
    case STREAM_STATIC_DATA_END:
        return create_guest(b, err);
    case STREAM_PAGE_DATA:
        return take_pages(b, record, err);
    case STREAM_READONLY:
        return restore_types_take(b, record, err);
    case STREAM_HVM_CONTEXT:
        return take_state(b, record, err);
    case STREAM_VERIFY:
        b->verifying = true;
        return 0;
    case STREAM_DIGEST:
        return 0;
    case STREAM_END:
        return complete(b, err);
    default:
        return distrust("an unknown record", err);
    }
}

int restore_build(struct restore_builder *b, struct gw_error *err)
{
    struct stream_record record;

    do {
        if (stream_parser_next(b->parser, &record, err) || take_record(b, &record, err))
            return -1;
    } while (record.type != STREAM_END);
    return 0;
}

void restore_build_undo(struct restore_builder *b)
{
    struct gw_error unused = {0};

    if (b->created)
        b->host->ops->destroy(b->host->ctx, b->domid, &unused);
    b->created = false;
    handover_guard_drop(b->guard, HANDOVER_BUILDING);
}

void restore_build_mend(struct handover_guard *guard, const struct migrate_opener *opener)
{
    struct migrate_guest guest = {0};
    struct gw_error unused = {0};
    struct migrate_host host;

    if (!handover_guard_has(guard, HANDOVER_BUILDING) || opener->open(opener->arg, &host, &unused))
        return;
    if (host.ops->find(host.ctx, guard->name, &guest, &unused) == 0)
        host.ops->destroy(host.ctx, guest.domid, &unused);
    migrate_guest_free(&guest);
    host.ops->close(host.ctx);
}

void restore_build_free(struct restore_builder *b)
{
    free(b->text);
    free(b->state);
    free(b->seen);
    free(b->written);
    free(b->verified);
    free(b->scratch);
    free(b->readonly);
}
