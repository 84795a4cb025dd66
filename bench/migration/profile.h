/* SPDX-License-Identifier: MIT */
/* The file in which plugin.c counts how often each translated block of a host was executed;
 * profile.py reads it. */
#ifndef MIGRATION_PROFILE_H
#define MIGRATION_PROFILE_H

#include <stdint.h>

#define PROFILE_BLOCKS (1u << 20) /* those that are translated later are not counted */

struct profile_block {
    uint64_t address;
    uint64_t length; /* instructions */
    uint64_t count;
};

struct profile {
    uint64_t blocks; /* used; a block that is translated again is another one */
    uint64_t reserved[2];
    struct profile_block block[PROFILE_BLOCKS];
};

#endif
