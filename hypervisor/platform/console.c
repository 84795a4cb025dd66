/* SPDX-License-Identifier: MIT */
/*
 * Output goes to a ring of the last 16 KiB and to the PL011. One lock, a leaf: it is held while
 * bytes are sent, so lines of different CPUs do not mix.
 */
#include "console.h"

#include "host_fdt.h"
#include "pl011.h"

#include <hv/console.h>
#include <hv/el2_map.h>
#include <hv/evtchn.h>
#include <hv/fdt.h>
#include <hv/irq.h>
#include <hv/spinlock.h>
#include <printf.h>
#include <string.h>
#include <xen/xen.h>

#define RING_BYTES  16384u
#define INPUT_BYTES 256u
#define LINE_PREFIX "(gw) "

static char ring[RING_BYTES];
static uint32_t ring_end;   /* bytes ever written */
static uint32_t ring_start; /* bytes ever cleared by a reader */
static bool in_line;        /* the last byte was not a line end */
static char input[INPUT_BYTES];
static uint32_t input_start, input_end;
static struct spinlock console_lock = SPINLOCK_INIT;
static _Atomic bool lock_broken;

static bool lock_console(void)
{
    if (lock_broken) {
        return false;
    }
    spin_lock(&console_lock);
    return true;
}

static void unlock_console(bool locked)
{
    if (locked) {
        spin_unlock(&console_lock);
    }
}

void console_break_lock(void)
{
    lock_broken = true;
}

static void send(char c)
{
    if (!pl011_is_ready()) {
        return;
    }
    if (c == '\n') {
        pl011_put('\r');
    }
    pl011_put(c);
}

static void put(char c)
{
    ring[ring_end++ % RING_BYTES] = c;
    if (ring_end - ring_start > RING_BYTES) {
        ring_start = ring_end - RING_BYTES;
    }
    in_line = c != '\n';
    send(c);
}

static void put_message(void *context, char c)
{
    if (!in_line) {
        for (const char *p = LINE_PREFIX; *p != '\0'; p++) {
            put(*p);
        }
    }
    put(c);
}

void vprintk(const char *format, va_list args)
{
    bool locked = lock_console();

    format_text(put_message, NULL, format, args);
    unlock_console(locked);
}

void printk(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintk(format, args);
    va_end(args);
}

void console_write(const char *text, size_t bytes)
{
    bool locked = lock_console();

    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\r') {
            put(text[i]);
        }
    }
    unlock_console(locked);
}

int console_getc(void)
{
    bool locked = lock_console();
    int c = -1;

    if (input_start != input_end) {
        c = (uint8_t)input[input_start++ % INPUT_BYTES];
    }
    unlock_console(locked);
    return c;
}

size_t console_ring_read(uint32_t *position, char *buffer, size_t bytes, uint32_t clear)
{
    bool locked = lock_console();
    size_t copied = 0;

    /* A position outside of what is kept starts at the oldest byte. */
    if (*position - ring_start > ring_end - ring_start) {
        *position = ring_start;
    }
    while (copied < bytes && *position != ring_end) {
        buffer[copied++] = ring[(*position)++ % RING_BYTES];
    }
    if (clear != 0) {
        ring_start = *position;
    }
    unlock_console(locked);
    return copied;
}

void console_init(void)
{
    const struct host_range *uart = &host_platform.uart;

    if (uart->bytes == 0) {
        return;
    }
    pl011_init(el2_map_device(uart->start, uart->bytes));
    for (uint32_t i = ring_start; i != ring_end; i++) {
        send(ring[i % RING_BYTES]);
    }
}

/* Input that finds the buffer full is dropped: nobody reads it. */
static enum irq_result take_input(uint32_t intid, void *context)
{
    bool locked = lock_console();

    for (int c = pl011_get(); c >= 0; c = pl011_get()) {
        if (input_end - input_start < INPUT_BYTES) {
            input[input_end++ % INPUT_BYTES] = (char)c;
        }
    }
    unlock_console(locked);
    evtchn_send_global_virq(VIRQ_CONSOLE);
    return IRQ_DONE;
}

void console_init_receive(void)
{
    if (!pl011_is_ready() || host.uart_intid == 0) {
        return;
    }
    irq_set_handler(host.uart_intid, take_input, NULL);
    irq_set_edge(host.uart_intid, false);
    irq_enable(host.uart_intid);
    pl011_enable_receive_interrupt();
}
