/* SPDX-License-Identifier: MIT */
#include <core/port.h>
#include <godwit/ext.h>
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/fdt.h>
#include <hv/logdirty.h>
#include <string.h>

/* What a domain gets for which nothing was asked. */
static struct dirty_log_options host_options;

static void init_tracking(const char *value)
{
    if (strcmp(value, "fault") == 0) {
        host_options.hardware = false;
    } else if (strcmp(value, "hardware") == 0 && !port_has_hardware_dirty()) {
        printk(
            "command line: logdirty=hardware: not all CPUs here note writes, so faults are used\n");
    } else if (strcmp(value, "hardware") != 0 && strcmp(value, "auto") != 0) {
        printk("command line: logdirty=%s is not auto, fault or hardware, ignored\n", value);
    }
}

static void init_split(const char *value)
{
    host_options.eager_split = strcmp(value, "eager") == 0;
    if (!host_options.eager_split && strcmp(value, "lazy") != 0) {
        printk("command line: logdirty-split=%s is not lazy or eager, ignored\n", value);
    }
}

void logdirty_init(void)
{
    char value[16];

    host_options.hardware = port_has_hardware_dirty();
    if (cmdline_get("logdirty", value, sizeof(value)) >= 0) {
        init_tracking(value);
    }
    if (cmdline_get("logdirty-split", value, sizeof(value)) >= 0) {
        init_split(value);
    }
    printk("writes of logged guests are noticed by %s, blocks are split %s\n",
           host_options.hardware ? "the MMU" : "faults",
           host_options.eager_split ? "ahead" : "on first write");
}

int logdirty_set(struct domain *d, uint32_t tracking, uint32_t split)
{
    if (tracking > GODWIT_TRACKING_HARDWARE || split > GODWIT_SPLIT_EAGER) {
        return -EINVAL;
    }
    if (tracking == GODWIT_TRACKING_HARDWARE && !port_has_hardware_dirty()) {
        return -EOPNOTSUPP;
    }
    if (dirty_log_is_on(&d->s2)) {
        return -EBUSY;
    }
    d->logdirty_tracking = (uint8_t)tracking;
    d->logdirty_split = (uint8_t)split;
    return 0;
}

struct dirty_log_options logdirty_options(const struct domain *d)
{
    struct dirty_log_options options = host_options;

    if (dirty_log_is_on(&d->s2)) {
        return d->s2.log.options;
    }
    if (d->logdirty_tracking != GODWIT_TRACKING_DEFAULT) {
        options.hardware = d->logdirty_tracking == GODWIT_TRACKING_HARDWARE;
    }
    if (d->logdirty_split != GODWIT_SPLIT_DEFAULT) {
        options.eager_split = d->logdirty_split == GODWIT_SPLIT_EAGER;
    }
    return options;
}
