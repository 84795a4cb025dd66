/* SPDX-License-Identifier: MIT */
/* Event channels: who may bind and send, and that no event is lost between mask, unmask and close.
 */
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <xen/event_channel.h>

#include "../../hypervisor/hypercall/evtchn.h"
#include "fake_host.h"

static int reset(void **state)
{
    fake_reset();
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static int64_t event(uint32_t op, void *args)
{
    return fake_hvc(__HYPERVISOR_event_channel_op, op, (uintptr_t)args, 0);
}

static struct shared_info *shared(const struct domain *d)
{
    return d->shared_info;
}

static bool pending(const struct domain *d, uint32_t port)
{
    return shared(d)->evtchn_pending[port / 64] >> (port % 64) & 1;
}

static void mask(const struct domain *d, uint32_t port)
{
    shared(d)->evtchn_mask[port / 64] |= UINT64_C(1) << (port % 64);
}

/* What a guest's handler does: flag, selector, pending bits. True if port was among them. */
static bool handle_upcall(const struct domain *d, uint32_t port)
{
    struct vcpu_info *info = &shared(d)->vcpu_info[0];
    bool flagged = info->evtchn_upcall_pending, selected, set;

    info->evtchn_upcall_pending = 0;
    selected = info->evtchn_pending_sel >> (port / 64) & 1;
    info->evtchn_pending_sel = 0;
    set = pending(d, port);
    shared(d)->evtchn_pending[port / 64] &= ~(UINT64_C(1) << (port % 64));
    evtchn_update_upcall(d->vcpus[0]);
    return flagged && selected && set;
}

static uint32_t alloc_unbound(struct domain *d, domid_t remote)
{
    struct evtchn_alloc_unbound alloc = {.dom = d->id, .remote_dom = remote};

    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), 0);
    return alloc.port;
}

/* Two bound ports: the guest's and the control domain's. */
static void connect(uint32_t *ret_guest, uint32_t *ret_control)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = fake.guest->id};

    *ret_guest = alloc_unbound(fake.guest, fake.control->id);
    bind.remote_port = *ret_guest;
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &bind), 0);
    *ret_control = bind.local_port;
}

static uint32_t status_of(struct domain *d, uint32_t port)
{
    struct evtchn_status status = {.dom = d->id, .port = port};

    assert_int_equal(event(EVTCHNOP_status, &status), 0);
    return status.status;
}

static void an_event_reaches_the_other_end(void **state)
{
    uint32_t guest, control;
    struct evtchn_send send;

    connect(&guest, &control);
    assert_true(handle_upcall(fake.control, control)); /* binding notifies once */
    assert_false(fake.upcall_line[0]);
    fake_run_as(fake.guest, 0);
    send.port = guest;
    assert_int_equal(event(EVTCHNOP_send, &send), 0);
    assert_true(fake.upcall_line[0]);
    assert_int_equal(event(EVTCHNOP_send, &send), 0); /* a second one merges */
    assert_true(handle_upcall(fake.control, control));
    assert_false(handle_upcall(fake.control, control));
    assert_false(fake.upcall_line[0]);
}

/* The sender is at the line when the receiver, on another CPU, has found the event and handled it.
 */
static void receiver_is_faster(bool level)
{
    assert_true(level);
    evtchn_update_upcall(fake.control->vcpus[0]);
    shared(fake.control)->vcpu_info[0].evtchn_upcall_pending = 0;
    shared(fake.control)->vcpu_info[0].evtchn_pending_sel = 0;
    evtchn_update_upcall(fake.control->vcpus[0]);
    assert_false(fake.upcall_line[0]);
}

static void a_line_raised_late_is_lowered_again(void **state)
{
    uint32_t guest, control;
    struct evtchn_send send;

    connect(&guest, &control);
    assert_true(handle_upcall(fake.control, control));
    fake_run_as(fake.guest, 0);
    send.port = guest;
    fake.before_line = receiver_is_faster;
    assert_int_equal(event(EVTCHNOP_send, &send), 0);
    assert_null(fake.before_line);
    /* The interrupt has no event behind it: the next way into the guest looks, and takes it back.
     */
    assert_true(fake.control->vcpus[0]->evtchn_upcall_check);
    evtchn_update_upcall(fake.control->vcpus[0]);
    assert_false(fake.upcall_line[0]);
}

static uint32_t late_port;

/* The receiver has read its flag, still 0, and is about to lower the line when an event comes. */
static void sender_is_faster(bool level)
{
    struct evtchn_send send = {.port = late_port};

    assert_false(level);
    assert_int_equal(event(EVTCHNOP_send, &send), 0);
}

static void a_line_lowered_late_is_raised_again(void **state)
{
    uint32_t guest, control;

    connect(&guest, &control);
    fake_run_as(fake.guest, 0);
    late_port = guest;
    fake.before_line = sender_is_faster;
    assert_true(handle_upcall(fake.control, control));
    assert_true(fake.upcall_line[0]);
    assert_true(handle_upcall(fake.control, control));
    assert_false(fake.upcall_line[0]);
}

#define INFO_IPA UINT64_C(0x40003040)

static struct vcpu_info registered __attribute__((aligned(64)));
static unsigned complete_at_mark;

static void look_at_vcpu_info(ipa_t ipa)
{
    assert_int_equal(ipa.addr, INFO_IPA);
    complete_at_mark += registered.evtchn_upcall_pending && registered.evtchn_pending_sel != 0;
}

/* A page that the host writes for a vCPU, in the guest's own memory: steal time elsewhere. */
static void bug_25_pages_shared_with_the_host(void **state)
{
    uint32_t guest, control;
    struct evtchn_send send;

    connect(&guest, &control);
    memset(&registered, 0, sizeof(registered));
    complete_at_mark = 0;
    fake.guest->vcpus[0]->vcpu_info_ipa = ipa_make(INFO_IPA);
    fake.guest->vcpus[0]->vcpu_info_pa = pa_make((uintptr_t)&registered);
    shared(fake.guest)->evtchn_pending[0] = 0;
    fake.on_mark = look_at_vcpu_info;
    send.port = control;
    assert_int_equal(event(EVTCHNOP_send, &send), 0);
    assert_int_equal(registered.evtchn_upcall_pending, 1);
    assert_int_equal(fake.marks, 1);
    assert_int_equal(complete_at_mark, 1); /* a harvest that takes the mark copies the event */
}

static void a_masked_event_waits_for_unmask(void **state)
{
    struct evtchn_send send;
    struct evtchn_unmask unmask;
    uint32_t guest, control;

    connect(&guest, &control);
    handle_upcall(fake.control, control);
    mask(fake.control, control);
    fake_run_as(fake.guest, 0);
    send.port = guest;
    assert_int_equal(event(EVTCHNOP_send, &send), 0);
    assert_true(pending(fake.control, control));
    assert_false(fake.upcall_line[0]);
    fake_run_as(fake.control, 0);
    unmask.port = control;
    assert_int_equal(event(EVTCHNOP_unmask, &unmask), 0);
    assert_true(fake.upcall_line[0]);
    assert_true(handle_upcall(fake.control, control));
    assert_int_equal(event(EVTCHNOP_unmask, &unmask), 0); /* not masked: nothing happens */
    assert_false(fake.upcall_line[0]);
}

static void close_unbinds_both_ends(void **state)
{
    struct evtchn_close close_op;
    struct evtchn_send send;
    uint32_t guest, control;

    connect(&guest, &control);
    assert_int_equal(status_of(fake.guest, guest), EVTCHNSTAT_interdomain);
    close_op.port = control;
    assert_int_equal(event(EVTCHNOP_close, &close_op), 0);
    assert_false(pending(fake.control, control));
    assert_int_equal(status_of(fake.control, control), EVTCHNSTAT_closed);
    assert_int_equal(status_of(fake.guest, guest), EVTCHNSTAT_unbound);
    assert_int_equal(event(EVTCHNOP_close, &close_op), -EINVAL);
    fake_run_as(fake.guest, 0);
    send.port = guest;
    assert_int_equal(event(EVTCHNOP_send, &send), 0); /* nobody there: dropped */
    close_op.port = guest;
    assert_int_equal(event(EVTCHNOP_close, &close_op), 0);
}

static void only_the_named_domain_binds(void **state)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = fake.control->id};
    struct evtchn_alloc_unbound alloc = {.dom = 0, .remote_dom = 5};

    bind.remote_port = alloc_unbound(fake.control, 99);
    fake_run_as(fake.guest, 0);
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &bind), -EINVAL);
    bind.remote_port = 4000;
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &bind), -EINVAL);
    bind.remote_dom = 1234;
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &bind), -ESRCH);
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), -EPERM);
    alloc.dom = 1234;
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), -ESRCH);
}

static void virqs(void **state)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_DOM_EXC, .vcpu = 1};
    struct evtchn_bind_vcpu move = {.vcpu = 1};
    uint32_t port;

    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), -EINVAL); /* global: vCPU 0 */
    bind.vcpu = 0;
    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), 0);
    port = bind.port;
    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), -EEXIST);
    bind.virq = EVTCHN_VIRQS;
    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), -EINVAL);
    bind.virq = VIRQ_TIMER;
    bind.vcpu = 7;
    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), -ENOENT);
    evtchn_send_global_virq(VIRQ_DOM_EXC);
    assert_true(handle_upcall(fake.control, port));
    move.port = port;
    assert_int_equal(event(EVTCHNOP_bind_vcpu, &move), 0);
    assert_int_equal(event(EVTCHNOP_close, &port), 0);
    bind.virq = VIRQ_DOM_EXC;
    bind.vcpu = 0;
    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), 0); /* free again, though it had moved */
}

static void a_timer_virq_stays_on_its_vcpu(void **state)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER, .vcpu = 1};
    struct evtchn_bind_vcpu move = {.vcpu = 0};

    assert_int_equal(event(EVTCHNOP_bind_virq, &bind), 0);
    move.port = bind.port;
    assert_int_equal(event(EVTCHNOP_bind_vcpu, &move), -EINVAL);
    move.vcpu = 9;
    assert_int_equal(event(EVTCHNOP_bind_vcpu, &move), -ENOENT);
}

static unsigned notified;

static void count_notify(struct domain *d)
{
    assert_ptr_equal(d, fake.guest);
    notified++;
}

static void the_hypervisors_end_is_not_the_guests(void **state)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = fake.guest->id};
    uint32_t port;

    notified = 0;
    assert_int_equal(evtchn_alloc_xen_port(fake.guest, fake.control->id, count_notify, &port), 0);
    evtchn_notify_xen_port(fake.guest, port); /* nobody bound yet */
    bind.remote_port = port;
    assert_int_equal(event(EVTCHNOP_bind_interdomain, &bind), 0);
    handle_upcall(fake.control, bind.local_port);
    assert_int_equal(event(EVTCHNOP_send, &bind.local_port), 0);
    assert_int_equal(notified, 1);
    evtchn_notify_xen_port(fake.guest, port);
    assert_true(handle_upcall(fake.control, bind.local_port));
    fake_run_as(fake.guest, 0);
    assert_int_equal(event(EVTCHNOP_close, &port), -EINVAL);
    assert_int_equal(event(EVTCHNOP_send, &port), -EINVAL);
    evtchn_close_xen_port(fake.guest, port);
    fake_run_as(fake.control, 0);
    assert_int_equal(status_of(fake.control, bind.local_port), EVTCHNSTAT_unbound);
}

static void fifo_is_refused(void **state)
{
    uint64_t args[4] = {0};

    assert_int_equal(event(EVTCHNOP_init_control, args), -ENOSYS);
    assert_int_equal(event(EVTCHNOP_expand_array, args), -ENOSYS);
    assert_int_equal(event(EVTCHNOP_set_priority, args), -ENOSYS);
    assert_int_equal(event(12345, args), -ENOSYS);
}

static void ports_run_out_and_come_back(void **state)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 5};
    struct evtchn_reset reset_op = {.dom = DOMID_SELF};

    for (unsigned i = 1; i < EVTCHN_PORTS; i++) {
        assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), 0);
        assert_int_equal(alloc.port, i);
    }
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), -ENOSPC);
    assert_int_equal(event(EVTCHNOP_reset, &reset_op), 0);
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), 0);
    assert_int_equal(alloc.port, 1);
}

/* The result cannot be delivered: nothing is bound that the caller would never learn about. */
static void unreachable_result_binds_nothing(void **state)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 5};

    fake.copies_until_fault = 1; /* reading works, the way back does not */
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), -EFAULT);
    fake.copies_until_fault = -1;
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), 0);
    assert_int_equal(alloc.port, 1);
}

static void no_memory(void **state)
{
    struct evtchn_alloc_unbound alloc = {.dom = 5, .remote_dom = 0};

    fake.out_of_memory = true;
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), -ENOMEM);
    fake.out_of_memory = false;
    assert_int_equal(event(EVTCHNOP_alloc_unbound, &alloc), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, reset, end)
    const struct CMUnitTest tests[] = {
        CASE(bug_25_pages_shared_with_the_host),
        CASE(an_event_reaches_the_other_end),
        CASE(a_line_raised_late_is_lowered_again),
        CASE(a_line_lowered_late_is_raised_again),
        CASE(a_masked_event_waits_for_unmask),
        CASE(close_unbinds_both_ends),
        CASE(only_the_named_domain_binds),
        CASE(virqs),
        CASE(a_timer_virq_stays_on_its_vcpu),
        CASE(the_hypervisors_end_is_not_the_guests),
        CASE(fifo_is_refused),
        CASE(ports_run_out_and_come_back),
        CASE(unreachable_result_binds_nothing),
        CASE(no_memory),
    };

    return cmocka_run_group_tests_name("event channels", tests, NULL, NULL);
}
