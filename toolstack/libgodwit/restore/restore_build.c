/* SPDX-License-Identifier: MIT */
#include "restore_build.h"

#include "handover/handover.h"
#include "migrate/migrate_step.h"
#include "restore_compare.h"
#include "restore_sums.h"
#include "restore_types.h"
#include "stream/stream_view.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INCOMING_SUFFIX "--incoming"

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

static int check_name_is_free(struct restore_builder *b, struct gw_error *err)
{
    struct migrate_guest taken = {0};
    struct gw_error unused = {0};

    if (b->host->ops->find(b->host->ctx, b->config.name, &taken, &unused) &&
        unused.code != GW_EXIT_STATE)
        return 0;
    migrate_guest_free(&taken);
    return gw_error_set(err, GW_EXIT_STATE, "a guest with the name \"%s\" is here already",
                        b->config.name);
}

/* By its UUID `godwit resolve` tells where a guest is: two with the same must not be here. */
static int check_uuid_is_free(struct restore_builder *b, struct gw_error *err)
{
    uint32_t where;

    if (b->host->ops->locate(b->host->ctx, b->config.uuid, &where, err))
        return -1;
    if (where != HANDOVER_HERE)
        return 0;
    return gw_error_set(err, GW_EXIT_STATE,
                        "a guest with the UUID of \"%s\" is here already, under another name: see "
                        "godwit list -l",
                        b->config.name);
}

static int check_identity(struct restore_builder *b, struct gw_error *err)
{
    return check_name_is_free(b, err) || check_uuid_is_free(b, err) ? -1 : 0;
}

static int take_config(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
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
    return check_identity(b, err) || migrate_step("dest-config", err) ? -1 : 0;
}

static int take_memory(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
    const char *why;

    /* Bitmaps are as long as the first description wants them. */
    if (b->memory_pages || stream_view_memory(record->body, record->length, &b->memory, &why))
        return distrust(b->memory_pages ? "two descriptions of memory" : why, err);
    b->memory_pages = stream_memory_pages(&b->memory);
    return 0;
}

/* A guest with the memory that the stream has pages for, no more and no less. */
static int create_guest(struct restore_builder *b, struct gw_error *err)
{
    struct stream_memory ours;

    if (!b->text || b->memory_pages == 0 || b->created || b->introduced != (b->sides > 0))
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
    if (!b->seen || !b->written || !b->verified)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (b->only_try)
        return 0;
    if (restore_lanes_start(b, err))
        return -1;
    return b->accept ? b->accept(b->accept_arg, err) : 0;
}

static int take_pages(struct restore_builder *b, const struct stream_record *record,
                      struct gw_error *err)
{
    if (!b->verified)
        return distrust("pages without a guest", err);
    if (restore_lane_take_pages(&b->lanes[0], record, err))
        return -1;
    if (b->on_pages)
        b->on_pages(b->pages_arg, b);
    return 0;
}

/* GODWIT_LANE: the source must mean as many connections as there are. */
static int take_lane(struct restore_builder *b, const struct stream_record *record,
                     struct gw_error *err)
{
    struct stream_lane lane = {0};

    if (record->length == sizeof(lane))
        memcpy(&lane, record->body, sizeof(lane));
    if (b->created || lane.index != 0 || lane.count != b->lanes_n)
        return distrust("the stream has another number of connections", err);
    b->introduced = true;
    return 0;
}

static int take_lane_ends(struct restore_builder *b, const struct stream_record *record,
                          struct gw_error *err)
{
    if (record->length != b->sides * sizeof(b->lane_ends[0]))
        return distrust("the list of the ends of connections has the wrong size", err);
    memcpy(b->lane_ends, record->body, record->length);
    b->lanes_ended = true;
    return 0;
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

/* What all lanes did, when they are over. */
static int add_up(struct restore_builder *b, struct gw_error *err)
{
    if (b->sides && !b->lanes_ended)
        return distrust("the stream does not say how its connections ended", err);
    if (restore_lanes_join(b, 0, err) || restore_lanes_compare(b, err))
        return -1;
    for (unsigned i = 0; i < b->lanes_n; i++) {
        const struct restore_lane *lane = &b->lanes[i];

        b->seen_pages += lane->seen_pages;
        b->verified_pages += lane->verified_pages;
        b->pages += lane->pages;
        b->zero_pages += lane->zero_pages;
        if (lane->different_pages && !b->different_pages)
            b->first_different_gfn = lane->first_different_gfn;
        b->different_pages += lane->different_pages;
    }
    return 0;
}

/* END: nothing may be missing. */
static int complete(struct restore_builder *b, struct gw_error *err)
{
    if (!b->created || !b->state)
        return distrust("the stream ends before the guest is complete", err);
    if (add_up(b, err))
        return -1;
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
    if (restore_sums_compare(b, err))
        return -1;
    if (migrate_step("dest-state", err) || restore_types_apply(b, err))
        return -1;
    if (b->host->ops->set_state(b->host->ctx, b->domid, b->state, b->state_bytes, err))
        return -1;
    return check_identity(b, err); /* once more: after *go* it is too late */
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
    case STREAM_MARK:
        return restore_lane_take_mark(&b->lanes[0], record, err);
    case STREAM_READONLY:
        return restore_types_take(b, record, err);
    case STREAM_HVM_CONTEXT:
        return take_state(b, record, err);
    case STREAM_LANE:
        return take_lane(b, record, err);
    case STREAM_LANE_ENDS:
        return take_lane_ends(b, record, err);
    case STREAM_VERIFY:
        b->verifying = b->lanes[0].verifying = true;
        return 0;
    case STREAM_DIGEST:
        return 0;
    case STREAM_PAGE_SUMS:
        return restore_sums_take(b, record, err);
    case STREAM_BASE:
        return distrust("an incremental save alone is no guest", err);
    case STREAM_END:
        return complete(b, err);
    default:
        return distrust("an unknown record", err);
    }
}

static void make_lanes(struct restore_builder *b)
{
    b->lanes_n = 1 + b->sides;
    for (unsigned i = 0; i < b->lanes_n; i++) {
        b->lanes[i].builder = b;
        b->lanes[i].index = i;
        b->lanes[i].parser = i ? &b->side_parsers[i - 1] : b->parser;
    }
}

int restore_build(struct restore_builder *b, struct gw_error *err)
{
    struct stream_record record;

    make_lanes(b);
    do {
        if (stream_parser_next(b->parser, &record, err) || take_record(b, &record, err))
            return restore_lanes_join(b, -1, err);
    } while (record.type != STREAM_END && !(b->only_try && b->created));
    return 0;
}

int restore_build_take_back(struct restore_builder *b, struct gw_error *err)
{
    if (b->host->ops->destroy(b->host->ctx, b->domid, err))
        return -1;
    b->created = false;
    handover_guard_drop(b->guard, HANDOVER_BUILDING);
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
    free(b->readonly);
    free(b->sums);
    for (unsigned i = 0; i < b->lanes_n; i++)
        page_view_free(&b->lanes[i].view);
}
