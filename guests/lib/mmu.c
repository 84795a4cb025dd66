/* SPDX-License-Identifier: MIT */
#include <guest/mmu.h>
#include <guest/sysreg.h>
#include <stddef.h>

#define BLOCK_VALID  0x1ul
#define BLOCK_AF     (1ul << 10)
#define BLOCK_INNER  (3ul << 8)
#define BLOCK_XN     (3ul << 53)
#define ATTR_DEVICE  (0ul << 2)
#define ATTR_NORMAL  (1ul << 2)
#define MAIR_VALUE   0xff00ul /* 0: Device-nGnRnE, 1: normal write-back */
#define TCR_T0SZ_39  25ul     /* 39-bit addresses: the table holds 1 GiB blocks */
#define TCR_WALK     (1ul << 8 | 1ul << 10 | 3ul << 12)
#define TCR_EPD1     (1ul << 23)
#define TCR_IPS_40   (2ul << 32)
#define SCTLR_ENABLE (0x30d00800ul | 1ul << 0 | 1ul << 2 | 1ul << 12) /* RES1, M, C, I */

static uint64_t level1[512] __attribute__((aligned(4096)));

static void fill_table(void)
{
    level1[0] = BLOCK_VALID | BLOCK_AF | BLOCK_XN | ATTR_DEVICE;
    for (size_t i = 1; i < 512; i++) {
        level1[i] = i << 30 | BLOCK_VALID | BLOCK_AF | BLOCK_INNER | ATTR_NORMAL;
    }
    for (size_t i = 0; i < 512; i += 8) {
        /* Written with the cache off: drop what a cache may hold of the table. */
        __asm__ volatile("dc ivac, %0" ::"r"(&level1[i]) : "memory");
    }
}

void mmu_enable(void)
{
    if (level1[1] == 0) {
        fill_table();
    }
    dsb();
    write_sysreg(mair_el1, MAIR_VALUE);
    write_sysreg(tcr_el1, TCR_T0SZ_39 | TCR_WALK | TCR_EPD1 | TCR_IPS_40);
    write_sysreg(ttbr0_el1, (uint64_t)level1);
    isb();
    __asm__ volatile("tlbi vmalle1\n dsb nsh\n ic iallu\n dsb nsh\n isb" ::: "memory");
    write_sysreg(sctlr_el1, SCTLR_ENABLE);
    isb();
}
