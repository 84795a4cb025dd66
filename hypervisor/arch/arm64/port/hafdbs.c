/* SPDX-License-Identifier: MIT */
/*
 * Whether the MMUs of this host note writes in stage-2 descriptors (FEAT_HAFDBS with dirty state):
 * all CPUs say so, and none is known to do it wrongly.
 */
#include "hafdbs.h"

#include <sysreg.h>

#include "errata.h"

#define ID_HAFDBS_DIRTY 2u /* ID_AA64MMFR1_EL1.HAFDBS: access flag and dirty state */

bool port_cpu_has_dirty_state(void)
{
    return (READ_SYSREG(id_aa64mmfr1_el1) & 15u) >= ID_HAFDBS_DIRTY &&
           !errata_wrong_dirty_state(READ_SYSREG(midr_el1));
}
