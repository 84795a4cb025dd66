/* SPDX-License-Identifier: MIT */
/* Barriers and cache or TLB instructions. Each use says in a comment what it pairs with. */
#ifndef ARCH_BARRIER_H
#define ARCH_BARRIER_H

#define isb()       __asm__ volatile("isb" ::: "memory")
#define dsb(option) __asm__ volatile("dsb " #option ::: "memory")
#define dmb(option) __asm__ volatile("dmb " #option ::: "memory")
#define sev()       __asm__ volatile("sev" ::: "memory")
#define wfe()       __asm__ volatile("wfe" ::: "memory")
#define wfi()       __asm__ volatile("wfi" ::: "memory")

/* tlbi(alle2is) or tlbi_value(vae2is, va >> 12): the caller adds the DSBs and the ISB. */
#define tlbi(operation) __asm__ volatile("tlbi " #operation ::: "memory")
#define tlbi_value(operation, value)                                                               \
    __asm__ volatile("tlbi " #operation ", %0" ::"r"((uint64_t)(value)) : "memory")

#endif
