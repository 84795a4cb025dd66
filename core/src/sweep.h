/* SPDX-License-Identifier: MIT */
/* One step of turning a log on or off, over all leaves below its limit. */
#ifndef CORE_SRC_SWEEP_H
#define CORE_SRC_SWEEP_H

#include <core/port.h>

/*
 * Opens or closes a number of leaves from the log's cursor on, which follows, then invalidates
 * once. True: all are done. Read lock inside; one caller at a time (dirty_log.control).
 */
bool log_sweep(struct s2_vm *vm, bool open);

#endif
