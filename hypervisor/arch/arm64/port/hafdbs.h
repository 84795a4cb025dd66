/* SPDX-License-Identifier: MIT */
#ifndef PORT_HAFDBS_H
#define PORT_HAFDBS_H

#include <stdbool.h>

/* This CPU's MMU sets the dirty state of stage-2 descriptors, and does it right. */
bool port_cpu_has_dirty_state(void);

#endif
