/* SPDX-License-Identifier: MIT */
#include "pl011.h"

#include <stddef.h>

#define UARTDR   0x000u
#define UARTFR   0x018u
#define UARTCR   0x030u
#define UARTIFLS 0x034u
#define UARTIMSC 0x038u
#define UARTICR  0x044u

#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)

#define CR_UARTEN (1u << 0)
#define CR_TXE    (1u << 8)
#define CR_RXE    (1u << 9)

#define INT_RX      (1u << 4)
#define INT_TIMEOUT (1u << 6)

static volatile uint8_t *registers;

static uint32_t read_register(unsigned offset)
{
    return *(volatile uint32_t *)(volatile void *)(registers + offset);
}

static void write_register(unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(volatile void *)(registers + offset) = value;
}

void pl011_init(volatile void *base)
{
    registers = base;
    write_register(UARTIMSC, 0);
    write_register(UARTCR, CR_UARTEN | CR_TXE | CR_RXE);
}

bool pl011_is_ready(void)
{
    return registers != NULL;
}

void pl011_put(char c)
{
    while ((read_register(UARTFR) & FR_TXFF) != 0) {
    }
    write_register(UARTDR, (uint8_t)c);
}

int pl011_get(void)
{
    if ((read_register(UARTFR) & FR_RXFE) != 0) {
        return -1;
    }
    return (int)(read_register(UARTDR) & 0xff);
}

void pl011_enable_receive_interrupt(void)
{
    write_register(UARTICR, 0x7ff);
    write_register(UARTIFLS, 0); /* at one eighth full; the timeout covers single bytes */
    write_register(UARTIMSC, INT_RX | INT_TIMEOUT);
}
