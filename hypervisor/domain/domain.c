/* SPDX-License-Identifier: MIT */
/*
 * The list of domains, their ids, VMIDs and reference counts.
 *
 * A domain exists while its count is above 0: one reference stands for its existence until it is
 * destroyed, one for all frames that it owns together, one for each domain_get. The list lock is a
 * leaf: nothing else is taken with it held.
 */
#include "domain_internal.h"

#include "alloc.h"

#include <core/port.h>
#include <core/s2.h>
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <hv/time.h>
#include <port/arm64.h>

#define VMIDS       256u
#define DOMID_LIMIT 0x7ff0u /* ids from here on have other meanings */

struct domain *control_domain;

static struct spinlock list_lock = SPINLOCK_INIT;
static struct domain *list; /* ordered by id */
static unsigned domain_count;
static domid_t last_domid;
static uint64_t vmids_used[VMIDS / 64] = {1}; /* VMID 0 is nobody's: idle CPUs have it loaded */
static unsigned last_vmid;

static bool domain_try_get(struct domain *d)
{
    uint32_t count = atomic_load_explicit(&d->refcount, memory_order_relaxed);

    do {
        if (count == 0) {
            return false; /* it is about to leave the list */
        }
    } while (!atomic_compare_exchange_weak_explicit(&d->refcount, &count, count + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* First with id >= first. List lock held. */
static struct domain *find_from(domid_t first)
{
    struct domain *d = list;

    while (d && d->id < first) {
        d = d->next;
    }
    return d;
}

struct domain *domain_get(domid_t id)
{
    spin_lock(&list_lock);
    struct domain *d = find_from(id);
    if (d && (d->id != id || !domain_try_get(d))) {
        d = NULL;
    }
    spin_unlock(&list_lock);
    return d;
}

struct domain *domain_get_next(domid_t first)
{
    spin_lock(&list_lock);
    struct domain *d = find_from(first);
    while (d && !domain_try_get(d)) {
        d = d->next;
    }
    spin_unlock(&list_lock);
    return d;
}

static void list_insert(struct domain *d)
{
    struct domain **link = &list;

    while (*link && (*link)->id < d->id) {
        link = &(*link)->next;
    }
    d->next = *link;
    *link = d;
    domain_count++;
}

static void list_remove(struct domain *d)
{
    struct domain **link = &list;

    while (*link != d) {
        link = &(*link)->next;
    }
    *link = d->next;
    domain_count--;
}

/* The next free id after the last one given, so that an id is not reused soon. List lock held. */
static domid_t pick_domid(void)
{
    domid_t id = last_domid;

    for (;;) {
        id = (domid_t)(id + 1u < DOMID_LIMIT ? id + 1u : 1u);
        const struct domain *other = find_from(id);
        if (!other || other->id != id) {
            return id; /* there are fewer domains than ids */
        }
    }
}

static uint16_t pick_vmid(void)
{
    do {
        last_vmid = (last_vmid + 1) % VMIDS;
    } while (vmids_used[last_vmid / 64] >> (last_vmid % 64) & 1);
    vmids_used[last_vmid / 64] |= UINT64_C(1) << (last_vmid % 64);
    return (uint16_t)last_vmid;
}

static void give_back_vmid(uint16_t vmid)
{
    vmids_used[vmid / 64] &= ~(UINT64_C(1) << (vmid % 64));
}

/* Gives d its ids and makes it findable. Its VMID is flushed before anything can use it. */
static int enter_list(struct domain *d, domid_t id)
{
    int error = 0;

    spin_lock(&list_lock);
    const struct domain *other = id == DOMID_INVALID ? NULL : find_from(id);
    if (domain_count >= DOMAINS_MAX) {
        error = -ENOSPC;
    } else if (other && other->id == id) {
        error = -EEXIST;
    } else {
        d->id = id == DOMID_INVALID ? pick_domid() : id;
        if (id == DOMID_INVALID) {
            last_domid = d->id;
        }
        d->vmid = pick_vmid();
        list_insert(d);
    }
    spin_unlock(&list_lock);
    return error;
}

static void leave_list(struct domain *d)
{
    spin_lock(&list_lock);
    list_remove(d);
    give_back_vmid(d->vmid);
    spin_unlock(&list_lock);
}

static int init_stage2(struct domain *d)
{
    unsigned bits = port_s2_ipa_bits_max();

    if (!d->is_control && bits > DOMAIN_GUEST_IPA_BITS) {
        bits = DOMAIN_GUEST_IPA_BITS;
    }
    struct s2_config config = {
        .vmid = d->vmid, .ipa_bits = (uint8_t)bits, .cpus = (uint8_t)cpu_count()};
    int error = s2_init(&d->s2, &config);
    if (error == 0) {
        port_tlb_flush_vmid(s2_root_register(&d->s2));
    }
    return error;
}

int domain_create(domid_t id, uint32_t max_vcpus, bool is_control, struct domain **ret_d)
{
    if (max_vcpus == 0 || max_vcpus > DOMAIN_VCPUS_MAX ||
        (id != DOMID_INVALID && id >= DOMID_LIMIT)) {
        return -EINVAL;
    }
    struct domain *d = hv_alloc_bytes(sizeof(*d));
    if (!d) {
        return -ENOMEM;
    }
    d->is_control = is_control;
    d->max_vcpus = max_vcpus;
    d->pause_count = 1;
    d->max_pages = is_control ? UINT64_MAX : 0;
    d->paused_at_ticks = time_counter();
    d->cntvoff_ticks = is_control ? 0 : d->paused_at_ticks;
    d->dying = DOMAIN_DYING; /* until it is complete nobody does anything to it */
    atomic_store_explicit(&d->refcount, 1, memory_order_relaxed);
    int error = enter_list(d, id);
    if (error) {
        hv_free_bytes(d, sizeof(*d));
        return error;
    }
    error = init_stage2(d);
    if (error) {
        goto leave;
    }
    error = evtchn_domain_init(d);
    if (error) {
        s2_destroy(&d->s2);
        goto leave;
    }
    /* Release pairs with the acquires of those who test dying: they see a complete domain. */
    atomic_store_explicit(&d->dying, DOMAIN_ALIVE, memory_order_release);
    if (is_control) {
        control_domain = d;
    }
    *ret_d = d;
    return 0;

leave:
    leave_list(d);
    hv_free_bytes(d, sizeof(*d));
    return error;
}

void domain_put(struct domain *d)
{
    /* Release: our use of d is over; acquire: everybody else's is, too, before it is freed. */
    if (atomic_fetch_sub_explicit(&d->refcount, 1, memory_order_acq_rel) != 1) {
        return;
    }
    ASSERT(d->dying == DOMAIN_DEAD);
    domain_free_parts(d);
    leave_list(d);
    hv_free_bytes(d, sizeof(*d));
}
