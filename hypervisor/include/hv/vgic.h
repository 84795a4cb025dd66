/* SPDX-License-Identifier: MIT */
/*
 * Virtual GICv3. Software state is the truth for every interrupt that is not in a list register of
 * a CPU that runs its vCPU now; a fold brings list registers back into it.
 *
 * Locks: vgic_domain.lock, then one vgic_vcpu.lock; nothing is called out with either held. See
 * docs/design/vgic.md.
 */
#ifndef HV_VGIC_H
#define HV_VGIC_H

#include <core/addr.h>
#include <hv/spinlock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VGIC_PRIVATE  32u  /* SGIs and PPIs */
#define VGIC_SPIS_MAX 288u /* SPIs a domain can have */
#define VGIC_LRS_MAX  16u
#define VGIC_APRS_MAX 4u

#define VGIC_DIST_BYTES   UINT64_C(0x10000)
#define VGIC_REDIST_BYTES UINT64_C(0x20000) /* RD_base and SGI_base of one vCPU */

struct domain;
struct vcpu;

/*
 * One interrupt of a guest. SPIs are guarded by the domain's lock and, once they have an owner, by
 * the owner's lock as well; private interrupts by their vCPU's lock.
 */
struct virq {
    uint16_t intid;
    uint16_t hw_intid; /* physical INTID if it is linked to one, else 0 */
    uint8_t priority;
    bool enabled;
    bool edge;
    bool group1;
    bool line;          /* level of the input line */
    bool pending_latch; /* edge seen, or set by ISPENDR */
    bool active;
    bool hw_active;      /* the physical interrupt is active and waits for this one's end */
    bool listed;         /* on owner's list of pending or active interrupts */
    bool lr_latch;       /* in a list register: the latch moved there */
    uint8_t lr_override; /* VIRQ_LR_*: what the next fold makes of the list register */
    int8_t lr;           /* list register that holds it, -1 none */
    uint64_t irouter;    /* SPIs */
    struct vcpu *target; /* where it goes when it is next listed; NULL: IROUTER names nobody */
    struct vcpu *owner;  /* whose list it is on, or was on last */
    struct virq *next;
};

struct vgic_vcpu {
    struct spinlock lock; /* private interrupts, the list, and what the list registers hold */
    struct virq private_irqs[VGIC_PRIVATE];
    struct virq *ap_list;              /* pending or active, unordered */
    _Atomic bool dirty;                /* something changed: vgic_flush before entering the guest */
    struct virq *lr_irq[VGIC_LRS_MAX]; /* what each list register holds; NULL empty */
    uint64_t vmcr;                     /* valid while not loaded, as are the active priorities */
    uint64_t ap0r[VGIC_APRS_MAX], ap1r[VGIC_APRS_MAX];
    bool loaded; /* this vCPU's state is in the list registers of a CPU */
    bool strays; /* list holds SPIs that are routed to another vCPU now */
    uint32_t gicr_waker;
    uint32_t hw_private; /* private INTIDs that are hardware-linked, a bit each */
};

struct vgic_domain {
    struct spinlock lock; /* SPIs and distributor registers; taken before a vCPU's lock */
    uint32_t spi_count;
    struct virq *spis;     /* spi_count entries */
    unsigned spis_order;   /* of the allocation */
    _Atomic uint32_t ctlr; /* enable bits; read without the lock by vCPUs that fill */
    ipa_t dist_ipa, redist_ipa;
};

/*
 * Sizes SPIs, places GICD and one GICR per vCPU (d->max_vcpus) in the domain's MMIO map. Before any
 * vCPU exists. -ENOMEM; -EINVAL: more than VGIC_SPIS_MAX, or a full MMIO map.
 */
int vgic_domain_init(struct domain *d, uint32_t spi_count, ipa_t dist_ipa, ipa_t redist_ipa);
void vgic_domain_free(struct domain *d);
/* v->id, v->domain and v->vmpidr are set, and v is in d->vcpus already or will be before it runs.
 */
void vgic_vcpu_init(struct vcpu *v);

/* Edge: latches pending. Any CPU; kicks or wakes the target. v is for private interrupts, else
 * NULL. */
void vgic_inject(struct domain *d, struct vcpu *v, uint32_t intid);
/*
 * Level: sets the line; no change, no cost beyond a lock. Any CPU. On an interrupt that
 * vgic_link_hw_private linked it counts only while v is not loaded (the CPU's own line takes over).
 */
void vgic_set_line(struct domain *d, struct vcpu *v, uint32_t intid, bool level);

/*
 * Physical interrupts that end with the guest's EOI: their handler calls vgic_inject_hw* and
 * returns IRQ_KEEP_ACTIVE. vgic_inject_hw_private runs on the CPU that has v loaded, for an INTID
 * that vgic_link_hw_private named (the virtual timer's PPI: same number inside and outside).
 */
void vgic_inject_hw(struct domain *d, uint32_t intid);
void vgic_inject_hw_private(struct vcpu *v, uint32_t intid);
void vgic_link_hw_private(struct vcpu *v, uint32_t intid);
/*
 * Gives a physical SPI to a domain (hw_intid = intid): takes its host handler; enable, edge/level
 * and routing follow the domain's GICD writes from now on. Starts disabled. No-op out of its SPI
 * range.
 */
void vgic_assign_hw(struct domain *d, uint32_t intid);

/*
 * The CPU interface would signal an interrupt to v now (WFI must not block). Takes v's vgic lock,
 * so an injection either is seen here or calls sched_wake after v blocked. v is loaded on this CPU
 * or on none.
 */
bool vgic_has_pending(struct vcpu *v);

/* World switch: CPU interface state in and out. vgic_save before, vgic_load after the timer's. */
void vgic_load(struct vcpu *v);
void vgic_save(struct vcpu *v);
/* Before entering the guest, if vgic.dirty is set: fold, choose by priority, fill. v is loaded
 * here. */
void vgic_flush(struct vcpu *v);

/* Trapped ICC_SGI1R write (group1) or ICC_SGI0R, ICC_ASGI1R (not group1); value as written. */
void vgic_send_sgi(struct vcpu *v, uint64_t value, bool group1);
/*
 * Other trapped ICC_* accesses; iss as in ESR_EL2. False: undefined. Handles ICC_DIR (trapped while
 * active interrupts are not in list registers) and the SGI registers too.
 */
bool vgic_trap_sysreg(struct vcpu *v, uint32_t iss, uint64_t *value, bool write);

/* Boot CPU, after gic_init: reads the host's limits, registers the maintenance interrupt. */
void vgic_init_host(void);
/* Every CPU, after gic_init_cpu: virtual CPU interface off, maintenance interrupt enabled. */
void vgic_init_host_cpu(void);

#endif
