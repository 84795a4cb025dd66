/* SPDX-License-Identifier: MIT */
/*
 * PL061: eight lines. Only the power key drives an input; the others read 0 from outside.
 *
 * vpl061.lock guards everything; it is taken before the vGIC's. timer_set is called with it held,
 * timer_cancel is not.
 */
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/vpl061.h>
#include <stddef.h>

#define REG_DATA_END 0x400u
#define REG_DIR      0x400u
#define REG_IS       0x404u
#define REG_IBE      0x408u
#define REG_IEV      0x40cu
#define REG_IE       0x410u
#define REG_RIS      0x414u
#define REG_MIS      0x418u
#define REG_IC       0x41cu
#define REG_AFSEL    0x420u
#define REG_IDS      0xfe0u

#define POWER_KEY (1u << VPL061_POWER_KEY_LINE)

/* The level of every line: outputs show what was written, inputs what the outside drives. */
static uint8_t levels(const struct vpl061 *gpio)
{
    return (uint8_t)((gpio->data & gpio->dir) | (gpio->inputs & ~gpio->dir));
}

/* Interrupt state after a change of levels from old, and the line. */
static void update(struct vpl061 *gpio, uint8_t old)
{
    uint8_t now = levels(gpio);
    uint8_t changed = old ^ now;
    uint8_t edges = changed & (gpio->ibe | (uint8_t) ~(now ^ gpio->iev)) & (uint8_t)~gpio->is;
    uint8_t by_level = (uint8_t) ~(now ^ gpio->iev) & gpio->is;

    /* Edges are latched until cleared; level sources follow their line. */
    gpio->ris = (uint8_t)((gpio->ris & ~gpio->is) | edges | by_level);
    vgic_set_line(gpio->domain, NULL, gpio->intid, (gpio->ris & gpio->ie) != 0);
}

static uint32_t read_register(const struct vpl061 *gpio, uint32_t offset)
{
    /* Peripheral id 0x00041061, PrimeCell id. */
    static const uint8_t ids[8] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    if (offset < REG_DATA_END) {
        return levels(gpio) & (offset >> 2 & 0xff); /* address bits 9:2 mask the data */
    }
    switch (offset) {
    case REG_DIR:
        return gpio->dir;
    case REG_IS:
        return gpio->is;
    case REG_IBE:
        return gpio->ibe;
    case REG_IEV:
        return gpio->iev;
    case REG_IE:
        return gpio->ie;
    case REG_RIS:
        return gpio->ris;
    case REG_MIS:
        return gpio->ris & gpio->ie;
    case REG_AFSEL:
        return gpio->afsel;
    }
    return offset >= REG_IDS ? ids[(offset - REG_IDS) / 4] : 0;
}

static void write_register(struct vpl061 *gpio, uint32_t offset, uint8_t value)
{
    if (offset < REG_DATA_END) {
        uint8_t mask = (uint8_t)(offset >> 2) & gpio->dir;
        gpio->data = (uint8_t)((gpio->data & ~mask) | (value & mask));
        return;
    }
    switch (offset) {
    case REG_DIR:
        gpio->dir = value;
        break;
    case REG_IS:
        gpio->is = value;
        break;
    case REG_IBE:
        gpio->ibe = value;
        break;
    case REG_IEV:
        gpio->iev = value;
        break;
    case REG_IE:
        gpio->ie = value;
        break;
    case REG_IC:
        gpio->ris &= (uint8_t)~value;
        break;
    case REG_AFSEL:
        gpio->afsel = value;
        break;
    }
}

static bool access_device(struct vcpu *v, void *context, struct mmio_access *access)
{
    struct domain *d = context;
    struct vpl061 *gpio = &d->vpl061;
    uint32_t reg = (uint32_t)access->offset & ~3u;

    if (access->bytes > 4 || (access->offset & (access->bytes - 1u))) {
        return false;
    }
    spin_lock(&gpio->lock);
    if (access->offset != reg) {
        access->value = 0; /* the registers have 8 bits: nothing in the upper lanes */
    } else if (access->write) {
        uint8_t old = levels(gpio);
        write_register(gpio, reg, (uint8_t)access->value);
        update(gpio, old);
    } else {
        access->value = read_register(gpio, reg);
    }
    spin_unlock(&gpio->lock);
    return true;
}

static void drive(struct vpl061 *gpio, uint8_t inputs)
{
    uint8_t old = levels(gpio);
    gpio->inputs = inputs;
    update(gpio, old);
}

static void release_key(struct timer *timer)
{
    struct vpl061 *gpio = (struct vpl061 *)((char *)timer - offsetof(struct vpl061, release));

    spin_lock(&gpio->lock);
    drive(gpio, gpio->inputs & (uint8_t)~POWER_KEY);
    spin_unlock(&gpio->lock);
}

static void arm_release(struct vpl061 *gpio)
{
    timer_set(&gpio->release, time_now_ns() + VPL061_PRESS_MS * UINT64_C(1000000));
}

int vpl061_init(struct domain *d, ipa_t ipa, uint32_t intid)
{
    const struct mmio_region region = {ipa, PAGE_SIZE_BYTES, access_device, d};
    if (mmio_add(&d->mmio, &region)) {
        return -EINVAL;
    }
    struct vpl061 *gpio = &d->vpl061;
    gpio->domain = d;
    gpio->intid = intid;
    timer_init(&gpio->release, release_key);
    gpio->present = true;
    return 0;
}

void vpl061_free(struct domain *d)
{
    struct vpl061 *gpio = &d->vpl061;

    if (gpio->present) {
        spin_lock(&gpio->lock);
        gpio->present = false;
        spin_unlock(&gpio->lock);
        timer_cancel(&gpio->release); /* nobody sets it any more */
    }
}

int vpl061_press_power_key(struct domain *d)
{
    struct vpl061 *gpio = &d->vpl061;
    int error = -ENODEV;

    if (!gpio->present) {
        return error;
    }
    /* Without the lock: the release that runs now wants it. A second press may come between. */
    timer_cancel(&gpio->release);
    spin_lock(&gpio->lock);
    if (gpio->present) { /* still: who has taken it away has cancelled the release for good */
        drive(gpio, gpio->inputs | POWER_KEY);
        arm_release(gpio);
        error = 0;
    }
    spin_unlock(&gpio->lock);
    return error;
}

void vpl061_recompute(struct domain *d)
{
    struct vpl061 *gpio = &d->vpl061;

    timer_cancel(&gpio->release);
    spin_lock(&gpio->lock);
    update(gpio, levels(gpio));
    if (gpio->present && (gpio->inputs & POWER_KEY)) {
        arm_release(gpio);
    }
    spin_unlock(&gpio->lock);
}
