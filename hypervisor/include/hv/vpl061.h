/* SPDX-License-Identifier: MIT */
/* A guest's PL061 GPIO block; line 3 is the power key (gpio-keys) that `godwit shutdown` presses. */
#ifndef HV_VPL061_H
#define HV_VPL061_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <hv/time.h>
#include <stdbool.h>
#include <stdint.h>

#define VPL061_POWER_KEY_LINE 3u

struct domain;

struct vpl061 {
    struct spinlock lock;
    bool present;
    uint32_t intid;
    struct domain *domain;
    uint8_t data, dir, is, ibe, iev, ie, ris, afsel, inputs;
    struct timer release; /* lets the power key go after 100 ms */
};

int vpl061_init(struct domain *d, ipa_t ipa, uint32_t intid);
void vpl061_free(struct domain *d);
void vpl061_press_power_key(struct domain *d);

#endif
