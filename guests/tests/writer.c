/* SPDX-License-Identifier: MIT */
/* Does what its control domain tells it, one thing at a time; see writer_plan.h. */
#include "writer.h"

#include <guest/exception.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/sysreg.h>
#include <guest/writer_plan.h>
#include <string.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define OUTPUT_BYTES 16u /* sizeof(xen_extraversion_t) */

static struct writer_mailbox *const mailbox = (struct writer_mailbox *)WRITER_MAILBOX_IPA;
static evtchn_port_t port;
static volatile uint64_t *walked;

static uint64_t page(uint64_t number)
{
    return WRITER_REGION_IPA + 4096 * number;
}

/* Stores that must not happen; each is skipped when it aborts. */
static int64_t count_aborts(uint64_t address)
{
    int64_t aborts = 0;

#define EXPECT_ABORT(instruction)                                                                  \
    fault_expect();                                                                                \
    __asm__ volatile(instruction ::"r"(address) : "x9", "memory");                                 \
    aborts += fault_taken().taken
    EXPECT_ABORT("str xzr, [%0]");
    EXPECT_ABORT("strb wzr, [%0, #5]");
    EXPECT_ABORT("stp xzr, xzr, [%0, #64]");
    EXPECT_ABORT("add x9, %0, #4088\n stur xzr, [x9, #-3]");
    EXPECT_ABORT("dc zva, %0");
    EXPECT_ABORT("str xzr, [%0], #0");
#undef EXPECT_ABORT
    return aborts;
}

static void cas_fails(uint64_t address)
{
    uint64_t wrong = *(volatile uint64_t *)address + 1;

    __asm__ volatile(".arch_extension lse\n cas %0, %1, [%2]"
                     : "+r"(wrong)
                     : "r"(0ul), "r"(address)
                     : "memory");
}

static void stxr_fails(uint64_t address)
{
    uint32_t failed;

    __asm__ volatile("clrex\n stxr %w0, xzr, [%1]" : "=&r"(failed) : "r"(address) : "memory");
}

/* xen_version writes OUTPUT_BYTES at an address. */
static int64_t hypercall_out(uint64_t address)
{
    return hypercall(__HYPERVISOR_xen_version, XENVER_extraversion, address, 0, 0, 0);
}

static int64_t write_code(uint64_t address)
{
    *(volatile uint32_t *)address = 0xd65f03c0u; /* ret */
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic iallu\n dsb ish\n isb" ::"r"(address) : "memory");
    return 0;
}

/* One access through the mapping of the last WRITER_WALK_MAP, with nothing of it in the TLB. */
static int64_t walk(uint32_t command)
{
    volatile uint64_t *address = walked;
    void (*code)(void);

    __asm__ volatile("dsb nshst\n tlbi vmalle1\n dsb nsh\n isb" ::: "memory");
    switch (command) {
    case WRITER_WALK_LOAD:
        (void)*address;
        return 0;
    case WRITER_WALK_STORE:
        *address = 1;
        return 0;
    case WRITER_WALK_FETCH:
        code = (void (*)(void))(uint64_t)address;
        code();
        return 0;
    default:
        return hypercall_out((uint64_t)address);
    }
}

static int64_t register_vcpu_info(uint64_t address)
{
    struct vcpu_register_vcpu_info info = {.mfn = address >> 12};
    struct evtchn_bind_ipi bind = {.vcpu = 0};
    int64_t rc =
        hypercall(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uint64_t)&info, 0, 0);

    if (rc == 0) {
        rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)&bind, 0, 0, 0);
    }
    port = bind.port;
    return rc;
}

static int64_t clear_events(struct vcpu_info *info)
{
    struct evtchn_unmask unmask = {.port = port};

    info->evtchn_upcall_pending = 0;
    info->evtchn_pending_sel = 0;
    return hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (uint64_t)&unmask, 0, 0, 0);
}

static int64_t send_event(void)
{
    struct evtchn_send send = {.port = port};

    return hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (uint64_t)&send, 0, 0, 0);
}

static int64_t register_runstate(uint64_t address)
{
    struct vcpu_register_runstate_memory_area area = {.addr.p = address};

    return hypercall(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, (uint64_t)&area,
                     0, 0);
}

static int64_t use_shared_info(uint64_t address)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = address >> 12};
    int64_t rc = hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&add, 0, 0, 0);

    if (rc == 0) {
        ((volatile struct shared_info *)address)->evtchn_mask[63] = 0;
    }
    return rc;
}

static int64_t change_reservation(uint64_t op, uint64_t address)
{
    xen_pfn_t extent = address >> 12;
    struct xen_memory_reservation reservation = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(reservation.extent_start, &extent);
    return hypercall(__HYPERVISOR_memory_op, op, (uint64_t)&reservation, 0, 0, 0);
}

static int64_t store_all(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        *(volatile uint64_t *)page(i) = i;
    }
    return 0;
}

/* What touches memory by an instruction. */
static int64_t access_page(uint32_t command, uint64_t address)
{
    switch (command) {
    case WRITER_READ:
        (void)*(volatile uint64_t *)address;
        return 0;
    case WRITER_STORE:
        *(volatile uint64_t *)address = 0x5704e;
        return 0;
    case WRITER_STORE_ABORTS:
        return count_aborts(address);
    case WRITER_CAS_FAILS:
        cas_fails(address);
        return 0;
    case WRITER_STXR_FAILS:
        stxr_fails(address);
        return 0;
    case WRITER_PREFETCH:
        __asm__ volatile("prfm pstl1keep, [%0]" ::"r"(address));
        return 0;
    case WRITER_PEEK:
        return *(volatile int64_t *)address;
    case WRITER_CODE:
        return write_code(address);
    default:
        return -1;
    }
}

/* What asks the hypervisor for something. */
static int64_t call(uint32_t command, uint64_t address)
{
    switch (command) {
    case WRITER_HYPERCALL_OUT:
        return hypercall_out(address + 4096 - OUTPUT_BYTES / 2);
    case WRITER_HYPERCALL_IN:
        return hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, address, 0, 0, 0);
    case WRITER_VCPU_INFO:
        return register_vcpu_info(address);
    case WRITER_EVENT_CLEAR:
        return clear_events((struct vcpu_info *)address);
    case WRITER_EVENT:
        return send_event();
    case WRITER_RUNSTATE:
        return register_runstate(address);
    case WRITER_NO_RUNSTATE:
        return register_runstate(0);
    case WRITER_SHARED_INFO:
        return use_shared_info(address);
    case WRITER_CONSOLE:
        console_put(".", 1);
        return 0;
    case WRITER_GIVE_UP:
        return change_reservation(XENMEM_decrease_reservation, address);
    case WRITER_TAKE:
        return change_reservation(XENMEM_populate_physmap, address);
    default:
        return access_page(command, address);
    }
}

static int64_t obey(uint32_t command)
{
    switch (command) {
    case WRITER_STORE_ALL:
        return store_all(mailbox->a, mailbox->b);
    case WRITER_WALK_MAP:
        walked = walk_map(page(mailbox->a), page(mailbox->b), (enum walk_entry)mailbox->c);
        return 0;
    case WRITER_WALK_LOAD:
    case WRITER_WALK_STORE:
    case WRITER_WALK_FETCH:
    case WRITER_WALK_HYPERCALL:
        return walk(command);
    default:
        return call(command, page(mailbox->a));
    }
}

void guest_main(const void *dtb)
{
    mailbox->has_lse = (read_sysreg(id_aa64isar0_el1) >> 20 & 0xf) >= 2;
    mailbox->has_af = walk_sets_access_flags();
    mailbox->has_dbm = walk_sets_dirty_state();
    for (;;) {
        uint32_t request = atomic_load_explicit(&mailbox->request, memory_order_acquire);

        if (request != atomic_load_explicit(&mailbox->done, memory_order_relaxed)) {
            mailbox->result = obey(mailbox->command);
            dsb();
            atomic_store_explicit(&mailbox->done, request, memory_order_release);
        }
    }
}
