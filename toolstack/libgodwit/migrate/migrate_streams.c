/* SPDX-License-Identifier: MIT */
#include "migrate_streams.h"

#include "migrate_step.h"

static int check_abilities(const struct gw_migrate_options *options,
                           const struct handover_hello *hello, struct gw_error *err)
{
    if (options->compress_level && !(hello->capabilities & HANDOVER_CAN_ZSTD))
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the godwit at %s cannot read compressed pages: use --compress=none",
                            options->host);
    if (options->streams > 1 && !(hello->capabilities & HANDOVER_CAN_STREAMS))
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the godwit at %s takes one connection only: use --streams=1",
                            options->host);
    return 0;
}

/* One more connection, up to where its stream begins. */
static int open_side(struct migrate_transport *side, const struct gw_migrate_options *options,
                     const struct handover_io *main_io, const struct handover_join *join,
                     struct gw_error *err)
{
    struct handover_hello hello;

    side->io = (struct handover_io){
        .stall_ms = main_io->stall_ms, .cancelled = main_io->cancelled, .peer = main_io->peer};
    if (migrate_transport_start(side, &options->transport, err) ||
        handover_expect(&side->io, HANDOVER_HELLO, &hello, sizeof(hello), err) ||
        handover_send(&side->io, HANDOVER_JOIN, join, sizeof(*join), err) ||
        handover_expect(&side->io, HANDOVER_JOINED, NULL, 0, err))
        return -1;
    return 0;
}

static int begin(struct migrate_streams *streams, const struct gw_migrate_options *options,
                 bool only_try, struct handover_io *main_io, struct save_source *source,
                 struct gw_error *err)
{
    const struct handover_begin wish = {.streams = options->streams ? options->streams : 1,
                                        .flags = only_try ? HANDOVER_BEGIN_TRY : 0};
    struct handover_join join = {0};

    if (handover_send(main_io, HANDOVER_BEGIN, &wish, sizeof(wish), err) ||
        handover_expect(main_io, HANDOVER_TOKEN, join.token, sizeof(join.token), err) ||
        migrate_step("source-token", err))
        return -1;
    for (unsigned i = 1; i < wish.streams; i++) {
        join.index = i;
        streams->n = i;
        if (open_side(&streams->side[i - 1], options, main_io, &join, err))
            return gw_error_prefix(err, "connection %u of %u", i + 1, options->streams);
        source->more[i - 1].io = &streams->side[i - 1].io;
    }
    source->streams = wish.streams;
    return 0;
}

int migrate_streams_open(struct migrate_streams *streams, const struct gw_migrate_options *options,
                         const struct handover_hello *hello, struct handover_io *main_io,
                         struct save_source *source, struct gw_error *err)
{
    bool only_try = options->dry_run && (hello->capabilities & HANDOVER_CAN_TRY);

    if (check_abilities(options, hello, err))
        return -1;
    source->compress_level = options->compress_level;
    source->can_mark = hello->capabilities & HANDOVER_CAN_MARK;
    return options->streams > 1 || only_try
               ? begin(streams, options, only_try, main_io, source, err)
               : 0;
}

void migrate_streams_close(struct migrate_streams *streams)
{
    for (unsigned i = 0; i < streams->n; i++)
        migrate_transport_stop(&streams->side[i]);
    streams->n = 0;
}
