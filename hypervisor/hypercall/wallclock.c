/* SPDX-License-Identifier: MIT */
/*
 * Wall clock: the moment of reset in seconds since 1970, in shared_info of every domain that has
 * one. wc_version is odd while the fields change. evtchn_lock keeps the page and the time.
 */
#include "wallclock.h"

#include <stdatomic.h>

#include "evtchn.h"

#define NS_PER_SECOND UINT64_C(1000000000)

static uint64_t boot_time_ns; /* since 1970; 0: nobody told */

void wallclock_fill(void *shared_info)
{
    struct shared_info *info = shared_info;
    _Atomic uint32_t *version = (_Atomic uint32_t *)(void *)&info->wc_version;
    uint64_t seconds = boot_time_ns / NS_PER_SECOND;

    atomic_fetch_add(version,
                     1); /* odd: pairs with the guest's loop that reads it before and after */
    info->wc_sec = (uint32_t)seconds;
    info->wc_sec_hi = (uint32_t)(seconds >> 32);
    info->wc_nsec = (uint32_t)(boot_time_ns % NS_PER_SECOND);
    atomic_fetch_add(version, 1);
}

void wallclock_set(uint64_t secs, uint32_t nsecs, uint64_t system_time_ns)
{
    domid_t next = 0;
    struct domain *d;

    spin_lock(&evtchn_lock);
    boot_time_ns = secs * NS_PER_SECOND + nsecs - system_time_ns;
    spin_unlock(&evtchn_lock);
    while ((d = domain_get_next(next)) != NULL) {
        spin_lock(&evtchn_lock);
        if (d->shared_info != NULL) {
            wallclock_fill(d->shared_info);
        }
        spin_unlock(&evtchn_lock);
        next = (domid_t)(d->id + 1);
        domain_put(d);
    }
}
