/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYSREG_H
#define GUEST_SYSREG_H

#include <stdint.h>

#define read_sysreg(name)                                                                          \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                               \
        value_;                                                                                    \
    })

#define write_sysreg(name, value)                                                                  \
    __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
    __asm__ volatile("isb" ::: "memory");
}

static inline void dsb(void)
{
    __asm__ volatile("dsb sy" ::: "memory");
}

static inline uint32_t mmio_read32(uint64_t address)
{
    return *(volatile uint32_t *)address;
}

static inline void mmio_write32(uint64_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

static inline void irq_enable_all(void)
{
    __asm__ volatile("msr daifclr, #2" ::: "memory");
}

static inline void irq_disable_all(void)
{
    __asm__ volatile("msr daifset, #2" ::: "memory");
}

#endif
