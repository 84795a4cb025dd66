/* SPDX-License-Identifier: MIT */
/* Memory that the guest may only read: remembered while pages arrive, made so when all are there.
 */
#ifndef RESTORE_TYPES_H
#define RESTORE_TYPES_H

#include "restore_build.h"

/* A GODWIT_READONLY record. */
int restore_types_take(struct restore_builder *builder, const struct stream_record *record,
                       struct gw_error *err);

/*
 * After the last page. When the stream is a compared one, what the host says about the guest must
 * then be exactly what the stream said.
 */
int restore_types_apply(struct restore_builder *builder, struct gw_error *err);

#endif
