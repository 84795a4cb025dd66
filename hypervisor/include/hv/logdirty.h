/* SPDX-License-Identifier: MIT */
/*
 * How a domain's dirty log notices writes, and when blocks are split: what was asked for the
 * domain, else what the command line says (logdirty=, logdirty-split=), else what the CPUs offer.
 */
#ifndef HV_LOGDIRTY_H
#define HV_LOGDIRTY_H

#include <core/dirty_log.h>

struct domain;

/* Reads the command line, and says what is wrong with it. Once, when all CPUs have started. */
void logdirty_init(void);

/*
 * What was asked for a domain (enum godwit_tracking, enum godwit_split) from the next ENABLE on.
 * -EINVAL: no such value; -EOPNOTSUPP: the CPUs do not note writes; -EBUSY: logging is on.
 */
int logdirty_set(struct domain *d, uint32_t tracking, uint32_t split);

/* What the next ENABLE does; while logging is on, what it does. */
struct dirty_log_options logdirty_options(const struct domain *d);

#endif
