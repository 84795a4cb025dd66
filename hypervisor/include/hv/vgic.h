/* SPDX-License-Identifier: MIT */
/*
 * Virtual GICv3. Software state is the truth for every interrupt that is not in a list register of
 * a CPU that runs its vCPU now; vgic_fold brings list registers back into it.
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

struct domain;
struct vcpu;

struct virq {
    uint32_t intid;
    uint32_t hw_intid;     /* physical INTID if hardware-linked, else 0 */
    uint8_t priority;
    bool enabled;
    bool edge;
    bool group1;
    bool line;             /* level of the input line */
    bool pending_latch;    /* edge seen, or set by ISPENDR */
    bool active;
    int8_t lr;             /* list register that holds it, -1 none */
    uint64_t irouter;      /* SPIs */
    struct vcpu *target;
    struct virq *next;     /* on the target's list of pending or active interrupts */
    bool listed;
};

struct vgic_vcpu {
    struct spinlock lock;      /* private interrupts, the list, and LR state */
    struct virq private_irqs[VGIC_PRIVATE];
    struct virq *ap_list;      /* pending or active, unordered */
    _Atomic bool dirty;        /* something changed: fold and refill before entering the guest */
    struct virq *lr_irq[VGIC_LRS_MAX];
    uint64_t lr[VGIC_LRS_MAX]; /* saved list registers while not loaded */
    uint64_t vmcr, ap0r[4], ap1r[4];
    uint32_t hcr;
    bool loaded;               /* list registers are in the CPU */
    uint32_t gicr_ctlr, gicr_waker;
};

struct vgic_domain {
    struct spinlock lock;      /* SPIs and distributor registers; taken before a vCPU's lock */
    uint32_t spi_count;
    struct virq *spis;         /* spi_count entries */
    uint64_t spis_bytes;
    uint32_t ctlr;
    ipa_t dist_ipa, redist_ipa;
};

/* Sizes SPIs, places GICD and GICR in the domain's MMIO map. -ENOMEM. */
int vgic_domain_init(struct domain *d, uint32_t spi_count, ipa_t dist_ipa, ipa_t redist_ipa);
void vgic_domain_free(struct domain *d);
void vgic_vcpu_init(struct vcpu *v);

/* Edge: latches pending. Any CPU; kicks or wakes the target. v is for private interrupts, else NULL. */
void vgic_inject(struct domain *d, struct vcpu *v, uint32_t intid);
/* Level: sets the line. Any CPU. */
void vgic_set_line(struct domain *d, struct vcpu *v, uint32_t intid, bool level);
/* Control domain: physical SPI fired; injects it hardware-linked. */
void vgic_inject_hw(struct domain *d, uint32_t intid);
/* Lets the control domain own a physical interrupt (hw_intid = intid, edge/level follows ICFGR writes). */
void vgic_assign_hw(struct domain *d, uint32_t intid);

/* An enabled interrupt above the priority mask is pending for v (WFI must not block). */
bool vgic_has_pending(struct vcpu *v);

/* World switch: list registers in and out. */
void vgic_load(struct vcpu *v);
void vgic_save(struct vcpu *v);
/* Before entering the guest, when vgic.dirty is set. */
void vgic_flush(struct vcpu *v);
/* Trapped ICC_SGI1R/SGI0R/ASGI1R write; value as written. */
void vgic_send_sgi(struct vcpu *v, uint64_t value, bool group1);
/* Other trapped ICC_* accesses (ICC_DIR, ICC_SRE); false: undefined. */
bool vgic_trap_sysreg(struct vcpu *v, uint32_t iss, uint64_t *value, bool write);
void vgic_init_host(void); /* registers the maintenance interrupt; ICH set-up per CPU in vgic_load */

#endif
