/* SPDX-License-Identifier: MIT */
/*
 * domctl: get and sethvmcontext. The records are built in a buffer of the hypervisor while the
 * domain is paused, and copied when it runs again; what a caller wants to load is copied and
 * checked whole before the domain is touched (hv/save.h).
 */
#include <godwit/save.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/save.h>
#include <hv/sched.h>

#include "domctl.h"

#define CONTEXT_BYTES_MAX (UINT32_C(1) << 20) /* far above 64 vCPUs' worth */

static unsigned order_for(size_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE_BYTES << order) < bytes) {
        order++;
    }
    return order;
}

/* All records of a paused moment. *ret_buffer is the caller's to free, order_for(*ret_bytes). */
static long save(struct domain *d, void **ret_buffer, size_t *ret_bytes)
{
    void *buffer;
    long error;

    sched_domain_pause(d);
    sched_wait_stopped(d);
    error = hv_save_context(d, NULL, 0, ret_bytes);
    if (error == 0) {
        buffer = frame_alloc_hv(order_for(*ret_bytes));
        error = buffer == NULL ? -ENOMEM : hv_save_context(d, buffer, *ret_bytes, ret_bytes);
        if (error != 0 && buffer != NULL) {
            frame_free_hv(buffer, order_for(*ret_bytes));
        }
        *ret_buffer = buffer;
    }
    (void)sched_domain_unpause(d);
    return error;
}

long domctl_get_hvm_context(struct domctl *domctl)
{
    struct xen_domctl_hvmcontext *request = &domctl->op.u.hvmcontext;
    void *buffer;
    size_t bytes;
    long error;

    if (domctl->d == domctl->call->d) {
        return -EINVAL;
    }
    error = save(domctl->d, &buffer, &bytes);
    if (error != 0) {
        return error;
    }
    if (request->buffer.q != 0 && request->size < bytes) {
        error = -ENOSPC;
    } else if (request->buffer.q != 0 && copy_to_guest(request->buffer.q, buffer, bytes) != 0) {
        error = -EFAULT;
    }
    frame_free_hv(buffer, order_for(bytes));
    if (error == 0) {
        request->size = (uint32_t)bytes;
        domctl->copy_back = true;
    }
    return error;
}

long domctl_set_hvm_context(struct domctl *domctl)
{
    const struct xen_domctl_hvmcontext *request = &domctl->op.u.hvmcontext;
    struct domain *d = domctl->d;
    unsigned order;
    void *buffer;
    long error;

    if (d == domctl->call->d || request->size == 0 || request->size > CONTEXT_BYTES_MAX) {
        return -EINVAL;
    }
    order = order_for(request->size);
    buffer = frame_alloc_hv(order);
    if (buffer == NULL) {
        return -ENOMEM;
    }
    if (copy_from_guest(buffer, request->buffer.q, request->size) != 0) {
        error = -EFAULT;
    } else {
        sched_domain_pause(d);
        sched_wait_stopped(d);
        error = hv_load_context(d, buffer, request->size);
        (void)sched_domain_unpause(d);
    }
    frame_free_hv(buffer, order);
    return error;
}

/* The body of one record; NULL: there is none of that type and instance. */
static const void *find_record(const void *buffer, size_t bytes, uint32_t type, uint32_t instance,
                               size_t *ret_bytes)
{
    size_t at = 0;

    while (at + sizeof(struct godwit_save_descriptor) <= bytes) {
        const struct godwit_save_descriptor *record = (const void *)((const uint8_t *)buffer + at);

        at += sizeof(*record);
        if (record->length > bytes - at) {
            break;
        }
        if (record->type == type && record->instance == instance) {
            *ret_bytes = record->length;
            return (const uint8_t *)buffer + at;
        }
        at += record->length;
    }
    return NULL;
}

long domctl_get_hvm_context_partial(struct domctl *domctl)
{
    struct xen_domctl_hvmcontext_partial *request = &domctl->op.u.hvmcontext_partial;
    const void *record;
    size_t bytes, record_bytes = 0;
    void *buffer;
    long error;

    if (domctl->d == domctl->call->d) {
        return -EINVAL;
    }
    error = save(domctl->d, &buffer, &bytes);
    if (error != 0) {
        return error;
    }
    record = find_record(buffer, bytes, request->type, request->instance, &record_bytes);
    if (record == NULL) {
        error = -ENOENT;
    } else if (request->buffer.q != 0 && request->bufsz < record_bytes) {
        error = -ENOBUFS;
    } else if (request->buffer.q != 0 &&
               copy_to_guest(request->buffer.q, record, record_bytes) != 0) {
        error = -EFAULT;
    }
    frame_free_hv(buffer, order_for(bytes));
    if (error == 0) {
        request->bufsz = record_bytes;
        domctl->copy_back = true;
    }
    return error;
}
