/* SPDX-License-Identifier: MIT */
#include "migrate_streams.h"

static int check_abilities(const struct gw_migrate_options *options,
                           const struct handover_hello *hello, struct gw_error *err)
{
    if (options->compress_level && !(hello->capabilities & HANDOVER_CAN_ZSTD))
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "the godwit at %s cannot read compressed pages: use --compress=none",
                            options->host);
    return 0;
}

int migrate_streams_open(struct migrate_streams *streams, const struct gw_migrate_options *options,
                         const struct handover_hello *hello, struct handover_io *main_io,
                         struct save_source *source, struct gw_error *err)
{
    if (check_abilities(options, hello, err))
        return -1;
    source->compress_level = options->compress_level;
    return 0;
}

void migrate_streams_close(struct migrate_streams *streams)
{
    for (unsigned i = 0; i < streams->n; i++)
        migrate_transport_stop(&streams->side[i]);
    streams->n = 0;
}
