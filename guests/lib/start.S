/* SPDX-License-Identifier: MIT */
/* Entry of a test guest: EL1, MMU off, x0 = device tree. Relocates itself, then calls guest_main. */
#include <guest/layout.h>

    .section .text.start, "ax"
    .global start
start:
    msr     daifset, #0xf
    mov     x19, x0
    bl      relocate
    bl      clear_bss
    mov     x0, #0
    bl      cpu_setup
    mov     x0, x19
    bl      guest_main
    bl      report_finish
1:  wfi
    b       1b

/* A secondary CPU: x0 = its index (PSCI context). */
    .global secondary_start
secondary_start:
    msr     daifset, #0xf
    mov     x19, x0
    bl      cpu_setup
    mov     x0, x19
    bl      smp_secondary_main
1:  wfi
    b       1b

/* Applies the R_AARCH64_RELATIVE entries: the program is linked at 0 and may run anywhere. */
relocate:
    adrp    x1, image_start
    add     x1, x1, :lo12:image_start
    adrp    x2, rela_start
    add     x2, x2, :lo12:rela_start
    adrp    x3, rela_end
    add     x3, x3, :lo12:rela_end
1:  cmp     x2, x3
    b.hs    2f
    ldp     x4, x5, [x2], #16
    ldr     x6, [x2], #8
    add     x6, x6, x1
    str     x6, [x1, x4]
    b       1b
2:  ret

clear_bss:
    adrp    x1, bss_start
    add     x1, x1, :lo12:bss_start
    adrp    x2, bss_end
    add     x2, x2, :lo12:bss_end
1:  cmp     x1, x2
    b.hs    2f
    stp     xzr, xzr, [x1], #16
    b       1b
2:  ret

/* x0 = CPU index: stack, vectors, FP, MMU. */
cpu_setup:
    mov     x20, x30
    adrp    x1, stacks
    add     x1, x1, :lo12:stacks
    mov     x2, #GUEST_STACK_BYTES
    madd    x1, x0, x2, x1
    add     sp, x1, x2
    mov     x1, #(3 << 20 | 3 << 16) /* FP and SVE reach whoever traps them */
    msr     cpacr_el1, x1
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el1, x1
    isb
    bl      mmu_enable
    mov     x30, x20
    ret

    .section .bss.stacks, "aw", %nobits
    .balign 4096
    .global stacks
stacks:
    .skip   GUEST_STACK_BYTES * GUEST_CPUS_MAX
