/* SPDX-License-Identifier: MIT */
/* A guest's PL061 GPIO block; line 3 is the power key (gpio-keys) that `godwit shutdown` presses.
 */
#ifndef HV_VPL061_H
#define HV_VPL061_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <hv/time.h>
#include <stdbool.h>
#include <stdint.h>

#define VPL061_POWER_KEY_LINE 3u
#define VPL061_PRESS_MS       100u

struct domain;

struct vpl061 {
    struct spinlock lock;
    bool present;
    uint32_t intid;
    struct domain *domain;
    uint8_t data, dir, is, ibe, iev, ie, ris, afsel;
    uint8_t inputs;       /* levels that the outside drives */
    struct timer release; /* lets the power key go after VPL061_PRESS_MS */
};

/* Adds the device at ipa (4 KiB) with SPI intid to the domain. -EINVAL: the MMIO map is full. */
int vpl061_init(struct domain *d, ipa_t ipa, uint32_t intid);
/* Stops the release timer. Caller holds no lock of the device. */
void vpl061_free(struct domain *d);
/* Key down now, up after VPL061_PRESS_MS; pressing a key that is down prolongs it. -ENODEV: no
 * PL061. */
int vpl061_press_power_key(struct domain *d);
/* After a load from a save record: the interrupt line; a key that is down is let go as after a
 * press. */
void vpl061_recompute(struct domain *d);

#endif
