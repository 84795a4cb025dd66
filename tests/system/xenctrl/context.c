/* SPDX-License-Identifier: MIT */
/* vCPU contexts and the records of get/sethvmcontext. */
#include "case.h"

#include <stdlib.h>

static void vcpu_context_round_trip(void)
{
    uint32_t domid = guest_create(2);
    vcpu_guest_context_any_t in, out;
    memset(&in, 0, sizeof(in));
    EXPECT_ERRNO(xc_vcpu_getcontext(xch, domid, 0, &out), ENODATA);
    in.c.flags = VGCF_online;
    in.c.sctlr = 0x30d00800;
    in.c.ttbr0 = 0x40001000;
    in.c.user_regs.pc64 = 0x40080000;
    in.c.user_regs.cpsr = 0x3c5;
    in.c.user_regs.x0 = 0x1122334455667788;
    in.c.user_regs.x30 = 0xfedcba9876543210;
    in.c.user_regs.sp_el1 = 0x40002000;
    EXPECT(xc_vcpu_setcontext(xch, domid, 0, &in) == 0);
    memset(&out, 0xff, sizeof(out));
    EXPECT(xc_vcpu_getcontext(xch, domid, 0, &out) == 0);
    EXPECT(out.c.flags == VGCF_online && out.c.sctlr == in.c.sctlr && out.c.ttbr0 == in.c.ttbr0);
    EXPECT(out.c.user_regs.pc64 == in.c.user_regs.pc64);
    EXPECT(out.c.user_regs.cpsr == in.c.user_regs.cpsr);
    EXPECT(out.c.user_regs.x0 == in.c.user_regs.x0 && out.c.user_regs.x30 == in.c.user_regs.x30);
    EXPECT(out.c.user_regs.sp_el1 == in.c.user_regs.sp_el1);
}

static void bad_vcpu_contexts(void)
{
    uint32_t domid = guest_create(1);
    vcpu_guest_context_any_t context;
    memset(&context, 0, sizeof(context));
    EXPECT_ERRNO(xc_vcpu_getcontext(xch, domid, 1, &context), EINVAL);
    EXPECT_ERRNO(xc_vcpu_setcontext(xch, domid, 5000, &context), EINVAL);
    context.c.flags = VGCF_online;
    context.c.user_regs.cpsr = 0x3cd; /* EL3h: never for a guest */
    EXPECT_ERRNO(xc_vcpu_setcontext(xch, domid, 0, &context), EINVAL);
    context.c.user_regs.cpsr = 0x3c9; /* EL2h */
    EXPECT_ERRNO(xc_vcpu_setcontext(xch, domid, 0, &context), EINVAL);
}

static void vcpu_info(void)
{
    uint32_t domid = guest_create(1);
    xc_vcpuinfo_t info;
    EXPECT(xc_vcpu_getinfo(xch, domid, 0, &info) == 0);
    EXPECT(!info.running);
    EXPECT_ERRNO(xc_vcpu_getinfo(xch, domid, 1, &info), ENOENT);
}

static void domain_records_round_trip(void)
{
    uint32_t from = guest_create(1), to = guest_create(1);
    vcpu_guest_context_any_t context;
    memset(&context, 0, sizeof(context));
    context.c.flags = VGCF_online;
    context.c.sctlr = 0x30d00800;
    context.c.user_regs.pc64 = 0x40081230;
    context.c.user_regs.cpsr = 0x3c5;
    EXPECT(xc_vcpu_setcontext(xch, from, 0, &context) == 0);
    int size = xc_domain_hvm_getcontext(xch, from, NULL, 0);
    EXPECT(size > 0);
    uint8_t *records = malloc((size_t)size);
    EXPECT(records);
    EXPECT_ERRNO(xc_domain_hvm_getcontext(xch, from, records, 16), ENOSPC);
    int got = xc_domain_hvm_getcontext(xch, from, records, (uint32_t)size);
    EXPECT(got > 0 && got <= size);
    EXPECT(xc_domain_hvm_setcontext(xch, to, records, (uint32_t)got) == 0);
    memset(&context, 0, sizeof(context));
    EXPECT(xc_vcpu_getcontext(xch, to, 0, &context) == 0);
    EXPECT(context.c.user_regs.pc64 == 0x40081230);
    free(records);
}

/* Cut, scrambled and overlong records are refused, and the domain stays as it was. */
static void bad_domain_records(void)
{
    uint32_t from = guest_create(1), to = guest_create(1);
    vcpu_guest_context_any_t context;
    memset(&context, 0, sizeof(context));
    context.c.flags = VGCF_online;
    context.c.user_regs.cpsr = 0x3c5;
    EXPECT(xc_vcpu_setcontext(xch, from, 0, &context) == 0);
    int size = xc_domain_hvm_getcontext(xch, from, NULL, 0);
    EXPECT(size > 64);
    uint8_t *records = calloc(2, (size_t)size);
    EXPECT(records);
    EXPECT((size = xc_domain_hvm_getcontext(xch, from, records, (uint32_t)size)) > 64);
    for (uint32_t cut = 0; cut < (uint32_t)size; cut += 8)
        EXPECT(xc_domain_hvm_setcontext(xch, to, records, cut) != 0);
    for (int at = 0; at < size; at += 4) {
        /* A scrambled word may by chance be a legal value; it must never do harm. */
        records[at] ^= 0xff;
        (void)xc_domain_hvm_setcontext(xch, to, records, (uint32_t)size);
        records[at] ^= 0xff;
    }
    records[0] = 0x77; /* no such type */
    records[1] = 0x77;
    EXPECT(xc_domain_hvm_setcontext(xch, to, records, (uint32_t)size) != 0);
    free(records);
    EXPECT(guest_info(to).max_vcpu_id == 0 && guest_info(from).paused);
}

const struct test_case context_cases[] = {
    {"vcpu_context_round_trip", vcpu_context_round_trip},
    {"bad_vcpu_contexts", bad_vcpu_contexts},
    {"vcpu_info", vcpu_info},
    {"domain_records_round_trip", domain_records_round_trip},
    {"bad_domain_records", bad_domain_records},
    {NULL, NULL},
};
