/* SPDX-License-Identifier: MIT */
/* Where a guest belongs whose migration lost its last answer. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "handover.h"
#include <libgodwit/migrate.h>

#define RESOLVE_NO_ANSWER UINT32_MAX /* in place of enum handover_whereabouts */

/*
 * What to do, as GW_RESOLVE_HERE or _THERE, or GW_RESOLVE_ASK: it cannot be decided, and ret_why
 * says what is missing (words for "%s: " name and "%s" destination, in this order). Never _HERE
 * when the guest may run there, unless `checked` says that somebody looked.
 */
enum gw_resolve resolve_decide(enum gw_resolve wanted, enum gw_checked checked, uint32_t where,
                               const char **ret_why);

#endif
