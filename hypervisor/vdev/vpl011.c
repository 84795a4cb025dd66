/* SPDX-License-Identifier: MIT */
/*
 * PL011 (r1p5: 32-byte FIFOs). Transmission takes no time: the transmit FIFO is always empty and
 * each byte written raises the transmit interrupt. A receive timeout is pending whenever received
 * bytes wait, so a program that reads one byte per interrupt is never left with the rest.
 *
 * vpl011.lock guards the registers and the device's ends of the rings; it is taken before the
 * vGIC's. Event channels and the dirty log are called without it.
 */
#include "vpl011_ring.h"

#include <core/dirty_log.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/vpl011.h>

#define REG_DR    0x00u
#define REG_RSR   0x04u
#define REG_FR    0x18u
#define REG_ILPR  0x20u
#define REG_IBRD  0x24u
#define REG_FBRD  0x28u
#define REG_LCRH  0x2cu
#define REG_CR    0x30u
#define REG_IFLS  0x34u
#define REG_IMSC  0x38u
#define REG_RIS   0x3cu
#define REG_MIS   0x40u
#define REG_ICR   0x44u
#define REG_DMACR 0x48u
#define REG_IDS   0xfe0u

#define FR_CTS  (1u << 0)
#define FR_DSR  (1u << 1)
#define FR_DCD  (1u << 2)
#define FR_RXFE (1u << 4)
#define FR_RXFF (1u << 6)
#define FR_TXFE (1u << 7)

#define LCRH_FEN (1u << 4)
#define CR_LBE   (1u << 7)
#define CR_RESET 0x300u /* transmit and receive enabled, the UART itself not */

#define INT_RX (1u << 4)
#define INT_TX (1u << 5)
#define INT_RT (1u << 6)

/* What a register access leaves to do once the lock is free. */
struct after {
    bool ring_written;
};

static unsigned fifo_depth(const struct vpl011 *uart)
{
    return uart->lcrh & LCRH_FEN ? VPL011_FIFO_BYTES : 1;
}

/* Bytes received that raise the receive interrupt. */
static unsigned receive_trigger(const struct vpl011 *uart)
{
    static const uint8_t bytes[8] = {4, 8, 16, 24, 28, 28, 28, 28};
    return uart->lcrh & LCRH_FEN ? bytes[uart->ifls >> 3 & 7] : 1;
}

static void update_line(struct domain *d)
{
    struct vpl011 *uart = &d->vpl011;

    uart->ris &= ~INT_RT;
    if (uart->rx_count) {
        uart->ris |= INT_RT;
    }
    if (uart->rx_count < receive_trigger(uart)) {
        uart->ris &= ~INT_RX;
    }
    vgic_set_line(d, NULL, uart->intid, (uart->ris & uart->imsc) != 0);
}

static void receive(struct vpl011 *uart, uint8_t byte)
{
    uart->rx_fifo[(uart->rx_head + uart->rx_count) % VPL011_FIFO_BYTES] = byte;
    uart->rx_count++;
    if (uart->rx_count >= receive_trigger(uart)) {
        uart->ris |= INT_RX;
    }
}

static struct xencons_interface *ring_of(const struct vpl011 *uart)
{
    return uart->ring_pa.addr ? pa_to_va(uart->ring_pa) : NULL;
}

/* Fills the FIFO from the ring, as far as there is room. */
static void pull_input(struct domain *d, struct after *after)
{
    struct vpl011 *uart = &d->vpl011;
    struct xencons_interface *ring = ring_of(uart);
    uint8_t bytes[VPL011_FIFO_BYTES];

    if (!ring || uart->rx_count >= fifo_depth(uart)) {
        return;
    }
    size_t count = vpl011_ring_take(ring, bytes, fifo_depth(uart) - uart->rx_count);
    for (size_t i = 0; i < count; i++) {
        receive(uart, bytes[i]);
    }
    after->ring_written |= count != 0;
}

static void count_dropped(struct vpl011 *uart, size_t count)
{
    /* Relaxed: a statistic. */
    atomic_fetch_add_explicit(&uart->dropped_bytes, count, memory_order_relaxed);
}

static void keep_early(struct vpl011 *uart, uint8_t byte)
{
    uart->early[uart->early_prod++ % VPL011_EARLY_BYTES] = byte;
    if (uart->early_count < VPL011_EARLY_BYTES) {
        uart->early_count++;
    } else {
        count_dropped(uart, 1);
    }
}

static void transmit(struct domain *d, uint8_t byte, struct after *after)
{
    struct vpl011 *uart = &d->vpl011;
    struct xencons_interface *ring = ring_of(uart);

    if (uart->cr & CR_LBE) {
        if (uart->rx_count < fifo_depth(uart)) {
            receive(uart, byte);
        }
    } else if (!ring) {
        keep_early(uart, byte);
    } else if (vpl011_ring_put(ring, &byte, 1)) {
        after->ring_written = true;
    } else {
        count_dropped(uart, 1);
    }
    uart->ris |= INT_TX;
}

static uint8_t read_data(struct domain *d, struct after *after)
{
    struct vpl011 *uart = &d->vpl011;
    if (!uart->rx_count) {
        return 0;
    }
    uint8_t byte = uart->rx_fifo[uart->rx_head];
    uart->rx_head = (uint8_t)((uart->rx_head + 1u) % VPL011_FIFO_BYTES);
    uart->rx_count--;
    pull_input(d, after);
    return byte;
}

static uint32_t read_flags(const struct vpl011 *uart)
{
    return FR_CTS | FR_DSR | FR_DCD | FR_TXFE | (uart->rx_count ? 0 : FR_RXFE) |
           (uart->rx_count >= fifo_depth(uart) ? FR_RXFF : 0);
}

static uint32_t read_register(struct domain *d, uint32_t reg, struct after *after)
{
    /* Peripheral id 0x00341011, PrimeCell id. */
    static const uint8_t ids[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    struct vpl011 *uart = &d->vpl011;

    switch (reg) {
    case REG_DR:
        return read_data(d, after);
    case REG_FR:
        return read_flags(uart);
    case REG_ILPR:
        return uart->ilpr;
    case REG_IBRD:
        return uart->ibrd;
    case REG_FBRD:
        return uart->fbrd;
    case REG_LCRH:
        return uart->lcrh;
    case REG_CR:
        return uart->cr;
    case REG_IFLS:
        return uart->ifls;
    case REG_IMSC:
        return uart->imsc;
    case REG_RIS:
        return uart->ris;
    case REG_MIS:
        return uart->ris & uart->imsc;
    case REG_DMACR:
        return uart->dmacr;
    }
    return reg >= REG_IDS ? ids[(reg - REG_IDS) / 4] : 0; /* RSR: no error ever */
}

static void write_line_control(struct vpl011 *uart, uint32_t value)
{
    if ((uart->lcrh ^ value) & LCRH_FEN) {
        uart->rx_count = 0; /* switching the FIFOs empties them */
    }
    uart->lcrh = value & 0xff;
}

static void write_register(struct domain *d, uint32_t reg, uint32_t value, struct after *after)
{
    struct vpl011 *uart = &d->vpl011;

    switch (reg) {
    case REG_DR:
        transmit(d, (uint8_t)value, after);
        break;
    case REG_ILPR:
        uart->ilpr = value & 0xff;
        break;
    case REG_IBRD:
        uart->ibrd = value & 0xffff;
        break;
    case REG_FBRD:
        uart->fbrd = value & 0x3f;
        break;
    case REG_LCRH:
        write_line_control(uart, value);
        break;
    case REG_CR:
        uart->cr = value & VPL011_CR_BITS;
        break;
    case REG_IFLS:
        uart->ifls = value & 0x3f;
        break;
    case REG_IMSC:
        uart->imsc = value & VPL011_INTS;
        break;
    case REG_ICR:
        uart->ris &= ~value;
        break;
    case REG_DMACR:
        uart->dmacr = value & 7;
        break;
    }
}

static void finish(struct domain *d, const struct after *after)
{
    if (after->ring_written) {
        dirty_log_mark(&d->s2, ipa_from_gfn(d->vpl011.ring_gfn), DIRTY_WRITER_DEVICE);
        evtchn_notify_xen_port(d, d->vpl011.evtchn_port);
    }
}

static bool access_device(struct vcpu *v, void *context, struct mmio_access *access)
{
    struct domain *d = context;
    struct after after = {false};
    uint32_t reg = (uint32_t)access->offset & ~3u;

    if (access->bytes > 4 || (access->offset & (access->bytes - 1u))) {
        return false;
    }
    spin_lock(&d->vpl011.lock);
    if (access->offset != reg) {
        access->value = 0; /* upper lanes of registers that have nothing there */
    } else if (access->write) {
        write_register(d, reg, (uint32_t)access->value, &after);
    } else {
        access->value = read_register(d, reg, &after);
    }
    update_line(d);
    spin_unlock(&d->vpl011.lock);
    finish(d, &after);
    return true;
}

int vpl011_init(struct domain *d, ipa_t ipa, uint32_t intid)
{
    const struct mmio_region region = {ipa, PAGE_SIZE_BYTES, access_device, d};
    if (mmio_add(&d->mmio, &region)) {
        return -EINVAL;
    }
    struct vpl011 *uart = &d->vpl011;
    uart->intid = intid;
    uart->cr = CR_RESET;
    uart->ifls = 0x12;
    uart->present = true;
    return 0;
}

/* Bytes that do not fit are lost, the oldest first. */
static void send_early(struct vpl011 *uart, struct xencons_interface *ring, struct after *after)
{
    size_t left = uart->early_count;
    while (left) {
        uint8_t byte = uart->early[(uart->early_prod - left) % VPL011_EARLY_BYTES];
        if (!vpl011_ring_put(ring, &byte, 1)) {
            break;
        }
        after->ring_written = true;
        left--;
    }
    count_dropped(uart, left);
    uart->early_count = 0;
}

int vpl011_attach_ring(struct domain *d, pa_t ring_pa, uint64_t ring_gfn, uint32_t port)
{
    struct vpl011 *uart = &d->vpl011;
    struct after after = {false};

    spin_lock(&uart->lock);
    if (!uart->present || uart->ring_pa.addr) {
        int error = uart->present ? -EEXIST : -ENODEV;

        spin_unlock(&uart->lock);
        return error;
    }
    uart->ring_pa = ring_pa;
    uart->ring_gfn = ring_gfn;
    uart->evtchn_port = port;
    send_early(uart, ring_of(uart), &after);
    pull_input(d, &after);
    update_line(d);
    spin_unlock(&uart->lock);
    finish(d, &after);
    return 0;
}

void vpl011_free(struct domain *d)
{
    struct vpl011 *uart = &d->vpl011;

    spin_lock(&uart->lock);
    pa_t ring_pa = uart->ring_pa;
    uart->ring_pa = pa_make(0);
    uart->present = false; /* no ring comes behind us, with a frame that nobody would put */
    spin_unlock(&uart->lock);
    if (ring_pa.addr) {
        frame_put(ring_pa);
    }
}

void vpl011_notify(struct domain *d)
{
    struct after after = {false};

    spin_lock(&d->vpl011.lock);
    pull_input(d, &after);
    if (after.ring_written) {
        update_line(d);
    }
    spin_unlock(&d->vpl011.lock);
    finish(d, &after);
}

void vpl011_recompute(struct domain *d)
{
    struct after after = {false};

    spin_lock(&d->vpl011.lock);
    pull_input(d, &after);
    update_line(d);
    spin_unlock(&d->vpl011.lock);
    finish(d, &after);
}
