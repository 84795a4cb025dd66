/* SPDX-License-Identifier: MIT */
/*
 * The CPU's virtual interrupt interface (ICH_*). Everything acts on this CPU; arch/arm64/vgic_hw.c
 * in the hypervisor, a plain structure in host tests.
 */
#ifndef HV_VGIC_HW_H
#define HV_VGIC_HW_H

#include <stdbool.h>
#include <stdint.h>

/* List register. */
#define VGIC_LR_INTID(intid)    ((uint64_t)(intid))
#define VGIC_LR_PHYSICAL(intid) ((uint64_t)(intid) << 32)
#define VGIC_LR_EOI             (UINT64_C(1) << 41) /* maintenance interrupt at its end; HW clear */
#define VGIC_LR_PRIORITY(value) ((uint64_t)(value) << 48)
#define VGIC_LR_GROUP1          (UINT64_C(1) << 60)
#define VGIC_LR_HW              (UINT64_C(1) << 61)
#define VGIC_LR_PENDING         (UINT64_C(1) << 62)
#define VGIC_LR_ACTIVE          (UINT64_C(1) << 63)

/* ICH_HCR_EL2. */
#define VGIC_HCR_EN              (1u << 0)
#define VGIC_HCR_LRENPIE         (1u << 2) /* maintenance when EOIcount is not 0 */
#define VGIC_HCR_NPIE            (1u << 3) /* maintenance when no list register is pending */
#define VGIC_HCR_TDIR            (1u << 14)
#define VGIC_HCR_EOICOUNT(value) (((value) >> 27) & 31u)

/* ICH_VMCR_EL2. */
#define VGIC_VMCR_ENG0        (UINT64_C(1) << 0)
#define VGIC_VMCR_ENG1        (UINT64_C(1) << 1)
#define VGIC_VMCR_FIQEN       (UINT64_C(1) << 3)
#define VGIC_VMCR_CBPR        (UINT64_C(1) << 4)
#define VGIC_VMCR_EOIM        (UINT64_C(1) << 9)
#define VGIC_VMCR_BPR1(value) (((value) >> 18) & 7u)
#define VGIC_VMCR_BPR0(value) (((value) >> 21) & 7u)
#define VGIC_VMCR_PMR(value)  (((value) >> 24) & 0xffu)
#define VGIC_VMCR_BITS        UINT64_C(0xfffc021f)

struct vgic_hw_limits {
    unsigned lr_count;     /* 1 to 16 */
    unsigned apr_count;    /* 1, 2 or 4 registers per group */
    unsigned preempt_bits; /* 5, 6 or 7 bits of priority that preempt */
    bool can_trap_dir;     /* VGIC_HCR_TDIR works */
};

/* The same on all CPUs; valid after vgic_init_host. */
const struct vgic_hw_limits *vgic_hw_limits(void);
/* What this CPU has. */
void vgic_hw_probe(struct vgic_hw_limits *ret_limits);

uint64_t vgic_hw_read_lr(unsigned n);
void vgic_hw_write_lr(unsigned n, uint64_t value);
uint32_t vgic_hw_read_hcr(void);
void vgic_hw_write_hcr(uint32_t value);
uint64_t vgic_hw_read_vmcr(void);
void vgic_hw_write_vmcr(uint64_t value);
/* Active priorities; group 0 or 1. */
uint64_t vgic_hw_read_apr(unsigned group, unsigned n);
void vgic_hw_write_apr(unsigned group, unsigned n, uint64_t value);

#endif
