/* SPDX-License-Identifier: MIT */
/*
 * Ways into EL2 and back out.
 *
 * While a guest runs, the EL2 stack of its CPU is empty and TPIDR_EL2 leads to its struct vcpu,
 * whose first member takes the registers. A store to a logged page takes a short way: only the
 * registers that a C function may change are saved, and ELR and SPSR stay where they are (unless
 * find_entry.h saves them).
 */
#include "entry_offsets.h"
#include "fatal_entry.h"
#include "find_entry.h"

/* A write (WnR), permission fault at level 3 from EL1 or EL0, not by a table walk (S1PTW). */
#define ESR_FAST_MASK 0xfc0000ff
#define ESR_FAST      0x9000004f
#define FAST_OWN      112
/* Addresses whose faults are timed: one page in 64. */
#define FAST_SAMPLE   0x3f000
#define FAST_BYTES    (FAST_OWN + FIND_FAST_BYTES)

    .macro save_volatile
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #CPU_CURRENT]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    str     x18, [x0, #144]
    stp     x29, x30, [x0, #232]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    mov     x29, xzr                /* backtraces end here */
    mov     x30, xzr
    .endm

    /* x0: the vcpu, as save_volatile leaves it. */
    .macro save_rest
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [x0, #REGS_PC]
    stp     x19, x20, [x0, #152]
    stp     x21, x22, [x0, #168]
    stp     x23, x24, [x0, #184]
    stp     x25, x26, [x0, #200]
    stp     x27, x28, [x0, #216]
    .endm

    .macro restore_volatile
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldr     x18, [x0, #144]
    ldp     x29, x30, [x0, #232]
    ldp     x0, x1, [x0]
    .endm

    .macro vector target
    .balign 0x80
    b       \target
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
    .global el2_vectors
el2_vectors:
    /* EL2 itself expects no exception, but for what find_entry.h says. */
    .irp    slot, 0, 1, 2, 3
    .balign 0x80
    el2_fatal \slot
    .endr
    .balign 0x80
    find_el2_sync
    .irp    slot, 5, 6, 7
    .balign 0x80
    el2_fatal \slot
    .endr
    vector  guest_sync
    vector  guest_irq
    vector  guest_fiq
    vector  guest_serror
    vector  guest_sync
    vector  guest_irq
    vector  guest_fiq
    vector  guest_serror

    .text

guest_sync:
    stp     x0, x1, [sp, #-FAST_BYTES]!
    mrs     x0, esr_el2
    and     w1, w0, #ESR_FAST_MASK
    mov     w0, #(ESR_FAST & 0xffff)
    movk    w0, #(ESR_FAST >> 16), lsl #16
    cmp     w0, w1
    b.ne    not_fast
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x16, x17, [sp, #64]
    /* HPFAR_EL2 is not valid for a permission fault: stage 1 is asked, as in trap_abort.c. */
    mrs     x2, par_el1
    mrs     x1, far_el2
    tst     x1, #FAST_SAMPLE
    b.eq    sample_begin
sample_begun:
    at      s1e1r, x1
    isb                             /* the result is in PAR_EL1 after this */
    mrs     x3, par_el1
    msr     par_el1, x2
    and     x1, x3, #0x0000fffffffff000
    tbnz    w3, #0, 2f              /* the guest has changed its tables: it may try again */
    stp     x1, x30, [sp, #80]
    find_fast_save FAST_OWN
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #CPU_S2]
    bl      s2_fault_write_fast
    ldp     x1, x30, [sp, #80]
    cbz     w0, 1f
    /*
     * Of what this CPU has cached the stage-2 entry and the combined entry of this address go. No
     * DSB between the two: no walk for EL1 happens before the eret. If an entry should stay, or
     * the page is in use at another address, the next fault finds the page open and takes the
     * long way, which leaves none.
     */
    dsb     nshst                   /* the descriptor before this CPU's walks */
    lsr     x1, x1, #12
    tlbi    ipas2e1, x1
    mrs     x0, far_el2
    tst     x0, #FAST_SAMPLE
    ubfx    x0, x0, #12, #44
    tlbi    vaae1, x0
    dsb     nsh                     /* complete before the guest's next access */
    b.eq    sample_end
sample_ended:
2:  ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x16, x17, [sp, #64]
    ldp     x0, x1, [sp], #FAST_BYTES
    eret
    dsb     nsh                     /* stops speculation past the eret */
    isb

    /* Out of the way: few faults are timed, and all of the short ones take about as long. */
sample_begin:
    mrs     x3, cntpct_el0
    str     x3, [sp, #96]
    b       sample_begun
sample_end:
    isb                             /* the count is read after what is timed */
    mrs     x0, cntpct_el0
    ldr     x1, [sp, #96]
    sub     x0, x0, x1
    mrs     x1, tpidr_el2
    ldp     x2, x3, [x1, #CPU_SAMPLES]
    add     x2, x2, #1
    add     x3, x3, x0
    stp     x2, x3, [x1, #CPU_SAMPLES]
    b       sample_ended

1:  find_fast_restore FAST_OWN      /* another case */
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x16, x17, [sp, #64]
not_fast:
    ldp     x0, x1, [sp], #FAST_BYTES
    save_volatile
    save_rest
    bl      trap_sync
    b       leave

guest_irq:
    save_volatile
    save_rest
    bl      irq_dispatch
    b       leave

guest_fiq:
    save_volatile
    save_rest
    bl      trap_fiq
    b       leave

guest_serror:
    save_volatile
    save_rest
    bl      trap_serror
leave:
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #CPU_CURRENT]
    bl      sched_exit_to_guest
enter:
    ldp     x1, x2, [x0, #REGS_PC]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x19, x20, [x0, #152]
    ldp     x21, x22, [x0, #168]
    ldp     x23, x24, [x0, #184]
    ldp     x25, x26, [x0, #200]
    ldp     x27, x28, [x0, #216]
    restore_volatile
    eret
    dsb     nsh                     /* stops speculation past the eret */
    isb

/* void arch_enter_guest(struct vcpu *v): the first entry of this CPU. */
    .global arch_enter_guest
    .type   arch_enter_guest, %function
arch_enter_guest:
    mrs     x1, tpidr_el2
    ldr     x1, [x1, #CPU_STACK_TOP]
    mov     sp, x1
    b       enter
    .size   arch_enter_guest, . - arch_enter_guest
