/* SPDX-License-Identifier: MIT */
/* Moves the FP and SIMD registers; the C code of the hypervisor never touches them. */
    .arch   armv8-a+fp+simd
    .text

    .macro each_pair op
    \op     q0, q1, [x0, #0]
    \op     q2, q3, [x0, #32]
    \op     q4, q5, [x0, #64]
    \op     q6, q7, [x0, #96]
    \op     q8, q9, [x0, #128]
    \op     q10, q11, [x0, #160]
    \op     q12, q13, [x0, #192]
    \op     q14, q15, [x0, #224]
    \op     q16, q17, [x0, #256]
    \op     q18, q19, [x0, #288]
    \op     q20, q21, [x0, #320]
    \op     q22, q23, [x0, #352]
    \op     q24, q25, [x0, #384]
    \op     q26, q27, [x0, #416]
    \op     q28, q29, [x0, #448]
    \op     q30, q31, [x0, #480]
    .endm

/* void arch_fp_save(struct vcpu_fp *fp) */
    .global arch_fp_save
    .type   arch_fp_save, %function
arch_fp_save:
    each_pair stp
    mrs     x1, fpsr
    mrs     x2, fpcr
    str     x1, [x0, #512]
    str     x2, [x0, #520]
    ret
    .size   arch_fp_save, . - arch_fp_save

/* void arch_fp_load(const struct vcpu_fp *fp) */
    .global arch_fp_load
    .type   arch_fp_load, %function
arch_fp_load:
    each_pair ldp
    ldr     x1, [x0, #512]
    ldr     x2, [x0, #520]
    msr     fpsr, x1
    msr     fpcr, x2
    ret
    .size   arch_fp_load, . - arch_fp_load
