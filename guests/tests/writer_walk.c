/* SPDX-License-Identifier: MIT */
/* Translation tables whose last level lies in a logged page, in the upper half of addresses. */
#include "writer.h"

#include <guest/sysreg.h>

#define HIGH_BASE     0xffffff8000000000ul /* 39 bits below TTBR1 */
#define DESC_TABLE    3ul
#define DESC_PAGE     3ul
#define DESC_AF       (1ul << 10)
#define DESC_INNER    (3ul << 8)
#define DESC_READONLY (1ul << 7)
#define DESC_DBM      (1ul << 51)
#define ATTR_NORMAL   (1ul << 2) /* as in mmu.c */
#define TCR_T1SZ_39   (25ul << 16)
#define TCR_EPD1      (1ul << 23)
#define TCR_WALK1     (1ul << 24 | 1ul << 26 | 3ul << 28)
#define TCR_TG1_4K    (2ul << 30)
#define TCR_HA        (1ul << 39)
#define TCR_HD        (1ul << 40)

static uint64_t level1[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));

static unsigned hafdbs(void)
{
    return read_sysreg(id_aa64mmfr1_el1) & 0xf;
}

bool walk_sets_access_flags(void)
{
    return hafdbs() >= 1;
}

bool walk_sets_dirty_state(void)
{
    return hafdbs() >= 2;
}

static void enable_upper_half(void)
{
    uint64_t tcr = read_sysreg(tcr_el1);

    level1[0] = (uint64_t)level2 | DESC_TABLE;
    tcr = (tcr & ~TCR_EPD1) | TCR_T1SZ_39 | TCR_WALK1 | TCR_TG1_4K;
    tcr |= walk_sets_access_flags() ? TCR_HA : 0;
    tcr |= walk_sets_dirty_state() ? TCR_HD : 0;
    write_sysreg(ttbr1_el1, (uint64_t)level1);
    write_sysreg(tcr_el1, tcr);
    isb();
}

volatile uint64_t *walk_map(uint64_t table_ipa, uint64_t target_ipa, enum walk_entry entry)
{
    uint64_t descriptor = target_ipa | DESC_PAGE | DESC_INNER | ATTR_NORMAL;

    if (entry != WALK_OLD) {
        descriptor |= DESC_AF;
    }
    if (entry == WALK_CLEAN) {
        descriptor |= DESC_READONLY | DESC_DBM;
    }
    *(volatile uint64_t *)table_ipa = descriptor;
    level2[0] = table_ipa | DESC_TABLE;
    enable_upper_half();
    dsb(); /* the tables, before any walk */
    __asm__ volatile("tlbi vmalle1\n dsb nsh\n isb" ::: "memory");
    return (volatile uint64_t *)HIGH_BASE;
}
