/* SPDX-License-Identifier: MIT */
/*
 * Entry of the arm64 Image (Linux boot protocol): EL2, MMU and data cache off, x0 = device tree,
 * loaded at any multiple of 2 MiB. Builds provisional tables (this image at IMAGE_BASE, the device
 * tree at BOOT_FDT_BASE, the 2 MiB around the code 1:1), turns the MMU on and calls boot_main.
 * Secondary CPUs enter at start_secondary with the final tables.
 */
#include <hv/layout.h>

#define TABLE_BYTES 4096
#define BLOCK_SHIFT 21

/* Block, access flag, inner shareable, AP[1], MAIR index 1 (normal); + read-only, never executable. */
#define BOOT_BLOCK    0x745
#define BOOT_BLOCK_RO (BOOT_BLOCK | (1 << 7) | (1 << 54))

#define SCTLR_RES1   0x30c50830
#define SCTLR_I_C_SA ((1 << 12) | (1 << 2) | (1 << 3))
#define SCTLR_M      (1 << 0)
#define SCTLR_WXN    (1 << 19)
#define HCR_RW       (1 << 31)

/* Index 0 device nGnRE, 1 normal write-back, 2 normal non-cacheable. */
#define MAIR_VALUE 0x44ff04
/* T0SZ 16, write-back walks, inner shareable, 4 KiB; PS is filled in at run time. */
#define TCR_VALUE (16 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (1 << 31))

    .macro load_address reg, symbol
    adrp    \reg, \symbol
    add     \reg, \reg, :lo12:\symbol
    .endm

    .section .head.text, "ax"
    .global _start
_start:
    b       start_primary
    .long   0
    .quad   0                       /* text offset */
    .quad   _image_bytes            /* effective size, bss included */
    .quad   0xa                     /* little endian, 4 KiB pages, anywhere */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

    .section .idmap.text, "ax"

/* State that the firmware may have left behind; MMU off. Clobbers x9. */
prepare_el2:
    mov     x9, #HCR_RW
    msr     hcr_el2, x9
    isb
    ldr     x9, =SCTLR_RES1
    msr     sctlr_el2, x9
    isb
    msr     daifset, #0xf
    mov     x9, #0x33ff             /* RES1 bits; FP/SIMD not trapped */
    msr     cptr_el2, x9
    msr     cntvoff_el2, xzr
    msr     vttbr_el2, xzr
    msr     vpidr_el2, xzr
    isb
    ret

/* x0: physical address of the root table, x1: where to go on (virtual), x2: SCTLR_EL2. */
enable_mmu:
    ldr     x9, =MAIR_VALUE
    msr     mair_el2, x9
    mrs     x9, id_aa64mmfr0_el1
    and     x9, x9, #0xf            /* PARange */
    cmp     x9, #5
    mov     x10, #5
    csel    x9, x9, x10, ls         /* 48 bits is all that 4 KiB tables without LPA2 hold */
    ldr     x10, =TCR_VALUE
    orr     x10, x10, x9, lsl #16
    msr     tcr_el2, x10
    msr     ttbr0_el2, x0
    isb
    tlbi    alle2
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el2, x2
    isb
    br      x1

/* x0: context of PSCI CPU_ON, this CPU's number. */
    .global start_secondary
start_secondary:
    bl      prepare_el2
    mov     x19, x0
    load_address x3, secondary_root
    ldr     x0, [x3]                /* cleaned to memory by smp_start */
    ldr     x1, =secondary_enter
    ldr     x2, =SCTLR_RES1 | SCTLR_I_C_SA | SCTLR_M | SCTLR_WXN
    b       enable_mmu

    .ltorg

    .section .text, "ax"

start_primary:
    mov     x19, x0                 /* device tree */
    mrs     x9, CurrentEL
    cmp     x9, #(2 << 2)
1:  b.ne    1b                      /* no console yet: nothing better than to stop here */
    bl      prepare_el2
    adrp    x20, _start             /* where we are in physical memory */

    /* Stale cache lines over the tables would win over what we write now: discard them. */
    adrp    x21, boot_tables
    add     x22, x21, #(5 * TABLE_BYTES)
    bl      invalidate_tables
    mov     x9, x21
2:  stp     xzr, xzr, [x9], #16
    cmp     x9, x22
    b.lo    2b

    /* Root: one entry for the 1:1 map, one for the image. Tables: root, L1, L2, L1, L2. */
    add     x9, x21, #(1 * TABLE_BYTES)
    orr     x10, x9, #3
    lsr     x11, x20, #39
    str     x10, [x21, x11, lsl #3]
    add     x12, x21, #(2 * TABLE_BYTES)
    orr     x10, x12, #3
    ubfx    x11, x20, #30, #9
    str     x10, [x9, x11, lsl #3]
    ldr     x13, =BOOT_BLOCK
    lsr     x14, x20, #BLOCK_SHIFT
    lsl     x14, x14, #BLOCK_SHIFT
    orr     x14, x14, x13
    ubfx    x11, x20, #BLOCK_SHIFT, #9
    str     x14, [x12, x11, lsl #3]

    add     x9, x21, #(3 * TABLE_BYTES)
    orr     x10, x9, #3
    mov     x11, #(IMAGE_BASE >> 39)
    str     x10, [x21, x11, lsl #3]
    add     x12, x21, #(4 * TABLE_BYTES)
    orr     x10, x12, #3
    str     x10, [x9]
    str     x14, [x12]

    /* The tree: its first block, and the next one only if it reaches there. */
    ldr     x13, =BOOT_BLOCK_RO
    lsr     x14, x19, #BLOCK_SHIFT
    lsl     x15, x14, #BLOCK_SHIFT
    orr     x15, x15, x13
    str     x15, [x12, #(((BOOT_FDT_BASE - IMAGE_BASE) >> BLOCK_SHIFT) * 8)]
    ldr     w10, [x19, #4]          /* total size, big endian */
    rev     w10, w10
    add     x10, x19, x10
    sub     x10, x10, #1
    lsr     x10, x10, #BLOCK_SHIFT
    cmp     x10, x14
    b.eq    3f
    add     x15, x15, #(1 << BLOCK_SHIFT)
    str     x15, [x12, #((((BOOT_FDT_BASE - IMAGE_BASE) >> BLOCK_SHIFT) + 1) * 8)]
3:  dmb     sy                      /* the stores above before the invalidation below */
    bl      invalidate_tables

    mov     x0, x21
    ldr     x1, =primary_enter
    ldr     x2, =SCTLR_RES1 | SCTLR_I_C_SA | SCTLR_M
    b       enable_mmu

/* By virtual address from here on. */
primary_enter:
    ldr     x9, =_bss_start
    ldr     x10, =_bss_end
4:  stp     xzr, xzr, [x9], #16
    cmp     x9, x10
    b.lo    4b
    ldr     x9, =_stack0_top
    mov     sp, x9
    ldr     x9, =cpus
    msr     tpidr_el2, x9
    ldr     x10, =_stack0_top
    str     x10, [x9, #8]           /* cpu.stack_top */
    ldr     x9, =boot_vectors
    msr     vbar_el2, x9
    isb
    mov     x0, x19
    mov     x1, x20
    mov     x29, xzr
    mov     x30, xzr
    b       boot_main

secondary_enter:
    ldr     x9, =cpus
    ldr     x10, =cpu_struct_bytes
    ldr     w10, [x10]
    madd    x9, x19, x10, x9
    msr     tpidr_el2, x9
    ldr     x10, [x9, #8]           /* cpu.stack_top */
    mov     sp, x10
    ldr     x9, =boot_vectors
    msr     vbar_el2, x9
    isb
    mov     x29, xzr
    mov     x30, xzr
    b       smp_secondary_main

/* Drops cache lines over [x21, x22) without writing them back. Clobbers x9, x10. */
invalidate_tables:
    mrs     x9, ctr_el0
    ubfx    x9, x9, #16, #4         /* log2 of the smallest data line in words */
    mov     x10, #4
    lsl     x10, x10, x9
    mov     x9, x21
5:  dc      ivac, x9
    add     x9, x9, x10
    cmp     x9, x22
    b.lo    5b
    dsb     sy
    ret

    .ltorg

/* void el2_switch_tables(uint64_t root_pa): the final tables, and WXN from now on. */
    .global el2_switch_tables
el2_switch_tables:
    dsb     ish                     /* the table stores before the walks through them */
    msr     ttbr0_el2, x0
    isb
    tlbi    alle2
    dsb     nsh
    isb
    ldr     x9, =SCTLR_RES1 | SCTLR_I_C_SA | SCTLR_M | SCTLR_WXN
    msr     sctlr_el2, x9
    isb
    ret

    .ltorg

    .section .boot.tables, "aw", %nobits
    .balign TABLE_BYTES
boot_tables:
    .space  5 * TABLE_BYTES
