/* SPDX-License-Identifier: MIT */
/* ICH_* registers. Entering the guest synchronises writes; reads after a guest's exit are current.
 */
#include <hv/console.h>
#include <hv/vgic_hw.h>
#include <sysreg.h>

#define LR_CASES(access)                                                                           \
    access(0, S3_4_C12_C12_0) access(1, S3_4_C12_C12_1) access(2, S3_4_C12_C12_2)                  \
        access(3, S3_4_C12_C12_3) access(4, S3_4_C12_C12_4) access(5, S3_4_C12_C12_5)              \
            access(6, S3_4_C12_C12_6) access(7, S3_4_C12_C12_7) access(8, S3_4_C12_C13_0)          \
                access(9, S3_4_C12_C13_1) access(10, S3_4_C12_C13_2) access(11, S3_4_C12_C13_3)    \
                    access(12, S3_4_C12_C13_4) access(13, S3_4_C12_C13_5)                          \
                        access(14, S3_4_C12_C13_6) access(15, S3_4_C12_C13_7)

/* Index: 4 * group + n. */
#define APR_CASES(access)                                                                          \
    access(0, S3_4_C12_C8_0) access(1, S3_4_C12_C8_1) access(2, S3_4_C12_C8_2)                     \
        access(3, S3_4_C12_C8_3) access(4, S3_4_C12_C9_0) access(5, S3_4_C12_C9_1)                 \
            access(6, S3_4_C12_C9_2) access(7, S3_4_C12_C9_3)

#define READ_CASE(index, name)                                                                     \
    case index:                                                                                    \
        return READ_SYSREG(name);
#define WRITE_CASE(index, name)                                                                    \
    case index:                                                                                    \
        WRITE_SYSREG(value, name);                                                                 \
        return;

#define ICH_VMCR S3_4_C12_C11_7

#define VTR_LIST_REGS(vtr) (((unsigned)(vtr)&31u) + 1)
#define VTR_TDS(vtr)       (((vtr) >> 19) & 1u)
#define VTR_PRE_BITS(vtr)  (((unsigned)((vtr) >> 26) & 7u) + 1)

void vgic_hw_probe(struct vgic_hw_limits *ret_limits)
{
    uint64_t vtr = READ_SYSREG(SYSREG_ICH_VTR_EL2);
    unsigned lrs = VTR_LIST_REGS(vtr);
    unsigned bits = VTR_PRE_BITS(vtr);

    *ret_limits = (struct vgic_hw_limits){
        .lr_count = lrs > 16 ? 16 : lrs,
        .preempt_bits = bits < 5 ? 5 : bits,
        .apr_count = bits <= 5 ? 1 : 1u << (bits - 5),
        .can_trap_dir = VTR_TDS(vtr),
    };
}

uint64_t vgic_hw_read_lr(unsigned n)
{
    switch (n) {
        LR_CASES(READ_CASE)
    }
    panic("list register %u", n);
}

void vgic_hw_write_lr(unsigned n, uint64_t value)
{
    switch (n) {
        LR_CASES(WRITE_CASE)
    }
    panic("list register %u", n);
}

uint32_t vgic_hw_read_hcr(void)
{
    return (uint32_t)READ_SYSREG(SYSREG_ICH_HCR_EL2);
}

void vgic_hw_write_hcr(uint32_t value)
{
    WRITE_SYSREG(value, SYSREG_ICH_HCR_EL2);
}

uint64_t vgic_hw_read_vmcr(void)
{
    return READ_SYSREG(ICH_VMCR);
}

void vgic_hw_write_vmcr(uint64_t value)
{
    WRITE_SYSREG(value, ICH_VMCR);
}

uint64_t vgic_hw_read_apr(unsigned group, unsigned n)
{
    switch (4 * group + n) {
        APR_CASES(READ_CASE)
    }
    panic("active priority register %u of group %u", n, group);
}

void vgic_hw_write_apr(unsigned group, unsigned n, uint64_t value)
{
    switch (4 * group + n) {
        APR_CASES(WRITE_CASE)
    }
    panic("active priority register %u of group %u", n, group);
}
