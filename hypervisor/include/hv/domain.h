/* SPDX-License-Identifier: MIT */
/* Domains: creation, reference counts, shutdown and destruction. */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <core/s2_vm.h>
#include <hv/cpu.h>
#include <hv/mmio.h>
#include <hv/spinlock.h>
#include <hv/vcpu.h>
#include <hv/vgic.h>
#include <hv/vpl011.h>
#include <hv/vpl061.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <xen/xen.h>

#define DOMAIN_VCPUS_MAX 64
#define DOMAINS_MAX      250 /* bounded by 8-bit VMIDs */

#define DOMAIN_GUEST_IPA_BITS 40 /* RAM bank 1 ends at 1 TiB; less if the host has less */

struct evtchn_domain; /* hypercall/evtchn.c */

enum domain_dying { DOMAIN_ALIVE, DOMAIN_DYING, DOMAIN_DEAD };

struct domain {
    domid_t id;
    uint16_t vmid;
    bool is_control; /* may manage others; sees /hypervisor */
    uint8_t handle[16];
    _Atomic uint32_t
        refcount;        /* domain_get/put; frames that are still referenced hold one together */
    struct domain *next; /* list ordered by id; domain list lock */

    struct s2_vm s2;
    _Atomic uint64_t tot_pages; /* frames owned */
    uint64_t max_pages;
    _Atomic uint64_t max_gfn;       /* high-water mark of mapped gfns, inclusive */
    uint64_t pool_pages;            /* paging_mempool_size */
    _Atomic bool has_readonly;      /* pages of type S2_RAM_RO were made; relaxed, never cleared */
    _Atomic uint64_t foreign_pages; /* frames of other domains mapped here */

    uint32_t max_vcpus;
    struct vcpu *vcpus[DOMAIN_VCPUS_MAX];
    uint8_t
        last_vcpu[CPU_MAX]; /* by CPU: id + 1 of the vCPU that ran there last, each CPU its own */

    uint32_t pause_count; /* scheduler lock. A new domain starts with 1 */
    bool creation_finished;
    bool may_throttle; /* scheduler lock. Its vCPUs may be throttled: it is logged */
    _Atomic int dying; /* enum domain_dying */
    _Atomic bool shut_down;
    uint32_t shutdown_code; /* SHUTDOWN_*; valid when shut_down */
    struct spinlock lock;   /* dying, shutdown, hvm params, physmap operations */

    struct vgic_domain vgic;
    struct mmio_map mmio;
    struct vpl011 vpl011;
    struct vpl061 vpl061;
    uint64_t cntvoff_ticks; /* one virtual offset per domain */
    /* Host counts: a saved domain's time ends where it stopped, and goes on where it is started. */
    uint64_t paused_at_ticks; /* scheduler lock: when pause_count left 0, or it was loaded */
    _Atomic uint64_t ran_until_ticks; /* when one of its vCPUs was unloaded last; relaxed, read once
                                         all have been (sched_vcpu_is_stopped orders it) */
    _Atomic bool clock_stands; /* loaded and not started yet: its time is that of paused_at_ticks.
                                  Release after the two counts, pairs with the acquire in vtimer */

    void *shared_info; /* hypervisor page, mapped at shared_info_gfn; NULL if never mapped */
    uint64_t shared_info_gfn;
    struct evtchn_domain *evtchn;
    uint64_t hvm_params[64];
    uint32_t evtchn_upcall_ppi; /* 31 for guests, from the tree for the control domain */
    bool addr_size_set;
    void *logdirty_session;    /* hypercall/domctl_shadow.c */
    uint64_t logdirty_epoch;   /* (lock) 0: never logged; see godwit_dirty_ranges in ext.h */
    uint8_t logdirty_tracking; /* enum godwit_tracking, as asked for this domain */
    uint8_t logdirty_split;    /* enum godwit_split */
    /* hypercall/dm_op_vram.c; the other two belong to who has set vram_busy. */
    _Atomic bool vram_busy;
    struct vcpu *vram_caller; /* whose look is not finished; only compared */
    uint64_t vram_cursor;

    struct spinlock destroy_lock; /* one destroyer at a time; guards the two below */
    unsigned destroy_phase;
    uint64_t destroy_cursor_gfn;
};

/* Looks a domain up and takes a reference; dying ones are found too. NULL: none. */
struct domain *domain_get(domid_t id);
void domain_put(struct domain *d);
/* First domain with id >= first, referenced. */
struct domain *domain_get_next(domid_t first);
extern struct domain *control_domain;

/*
 * Makes a domain without memory, vCPUs or devices, paused once. id DOMID_INVALID: pick one. The
 * caller adds the vGIC before the vCPUs. No reference is taken for it: the domain exists until
 * domain_destroy_step. -ENOMEM; -EEXIST: id is taken; -ENOSPC: too many domains; -EINVAL.
 */
int domain_create(domid_t id, uint32_t max_vcpus, bool is_control, struct domain **ret_d);

/*
 * One bounded step of destruction: 0 done, -ERESTART call again. The domain stays listed as dying
 * (a zombie) until the last reference to its frames is gone. Raises VIRQ_DOM_EXC when done. d is
 * not the caller's domain; the caller holds a reference if it uses d afterwards.
 */
int domain_destroy_step(struct domain *d);

/*
 * The domain shuts down (PSCI, SCHEDOP_shutdown, crash): all vCPUs stop, VIRQ_DOM_EXC is raised.
 * The control domain's shutdown is the host's: power-off, else reset. May be the caller's domain,
 * whose vCPU then does not return to the guest. No lock is held.
 */
void domain_shutdown(struct domain *d, uint32_t code);
/* Undo after a suspend (resumedomain). */
int domain_resume(struct domain *d);
/* A guest's misbehaviour: prints one line with the reason, then shutdown with SHUTDOWN_crash. */
void domain_crash(struct vcpu *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Creates control_domain from host.kernel and host.ramdisk and starts it; panics with a reason. */
void control_domain_start(void);

#endif
