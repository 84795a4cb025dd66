/* SPDX-License-Identifier: MIT */
/*
 * What the files of the vGIC share.
 *
 * An SPI's owner changes only with the domain's lock held, its owner's lock held and the SPI on no
 * list. So who holds the domain's lock knows the owner, and who holds the owner's lock may change
 * everything but target and irouter.
 */
#ifndef VDEV_VGIC_INTERNAL_H
#define VDEV_VGIC_INTERNAL_H

#include <hv/domain.h>
#include <hv/vcpu.h>
#include <hv/vgic.h>
#include <hv/vgic_hw.h>

#define VGIC_AFFINITY_MASK UINT64_C(0xff00ffffff)
#define VGIC_PRIORITY_MASK 0xf8u /* 5 bits: what every GICv3 has, so that guests can move */

#define GICD_CTLR_ENABLE_GROUP0 (1u << 0)
#define GICD_CTLR_ENABLE_GROUP1 (1u << 1)
#define GICD_CTLR_ENABLES       3u

/* struct virq.lr_override */
#define VIRQ_LR_CLEAR_PENDING (1u << 0)
#define VIRQ_LR_CLEAR_ACTIVE  (1u << 1)
#define VIRQ_LR_SET_ACTIVE    (1u << 2)
#define VIRQ_LR_FIRED_AGAIN   (1u << 3) /* ended there, and the physical interrupt is active anew */

/* Ids of vCPUs that must look at their interrupts, a bit each; vgic_kick after all locks are free.
 */
typedef uint64_t vgic_kicks_t;

/* An interrupt of d, private ones of v; NULL out of range. */
struct virq *vgic_get(struct domain *d, struct vcpu *v, uint32_t intid);
/* The vCPU that an affinity (IROUTER, or the fields of an SGI) names, or NULL. */
struct vcpu *vgic_vcpu_by_affinity(struct domain *d, uint64_t affinity);

/* Locks the owner of an interrupt; for SPIs the domain's lock is held. An owner of NULL has no
 * lock. */
void virq_lock(struct virq *irq);
void virq_unlock(struct virq *irq);

/* The rest: owner's lock held (for the first two, if there is an owner). */
bool virq_is_pending(const struct virq *irq);
/* Pending, enabled, its group forwarded, and meant for the vCPU whose list it is on. */
bool virq_is_deliverable(const struct domain *d, const struct virq *irq);
/* After any change of state: lists it, marks its owner dirty and notes a kick if it matters now. */
void virq_changed(struct domain *d, struct virq *irq, vgic_kicks_t *kicks);
void virq_unlist(struct virq *irq);
/* Ends the physical interrupt if nothing of the virtual one is left. Private: on the owner's CPU.
 */
void virq_settle(struct virq *irq);
/*
 * A linked level interrupt that its device took back, or that is disabled, has nothing to deliver:
 * forget it and let the physical one fire again if its level still holds. Then settles. Same place.
 */
void virq_resample(struct virq *irq);
/* What EOI or DIR does to an active interrupt that is in no list register. */
void virq_deactivate(struct virq *irq);

/* No lock held. */
void vgic_kick(struct domain *d, vgic_kicks_t kicks);

/* Brings this CPU's list registers back into the state; v's lock held, v loaded on this CPU. */
void vgic_fold(struct vcpu *v);
/* The same for v = the running vCPU with the lock taken inside; before its GIC registers are read.
 */
void vgic_sync_current(struct vcpu *v);
/* Moves SPIs on v's list that are routed elsewhere now. No lock held. */
void vgic_release_strays(struct vcpu *v);

/* GICD and GICR frames. */
bool vgic_dist_access(struct vcpu *v, void *context, struct mmio_access *access);
bool vgic_redist_access(struct vcpu *v, void *context, struct mmio_access *access);

/* Registers with one field per interrupt; first is the INTID of the lowest field. */
enum vgic_bank {
    VGIC_GROUP,
    VGIC_SET_ENABLE,
    VGIC_CLEAR_ENABLE,
    VGIC_SET_PENDING,
    VGIC_CLEAR_PENDING,
    VGIC_SET_ACTIVE,
    VGIC_CLEAR_ACTIVE,
};

/* v: whose private interrupts, NULL for SPIs. Locks inside. Interrupts out of range: RAZ/WI. */
uint32_t vgic_bank_read(struct domain *d, struct vcpu *v, enum vgic_bank bank, uint32_t first);
void vgic_bank_write(struct domain *d, struct vcpu *v, enum vgic_bank bank, uint32_t first,
                     uint32_t bits);
uint32_t vgic_priority_read(struct domain *d, struct vcpu *v, uint32_t first, unsigned bytes);
void vgic_priority_write(struct domain *d, struct vcpu *v, uint32_t first, unsigned bytes,
                         uint32_t value);
uint32_t vgic_config_read(struct domain *d, struct vcpu *v, uint32_t first);
void vgic_config_write(struct domain *d, struct vcpu *v, uint32_t first, uint32_t value);
/* A byte or word of IPRIORITYR. */
bool vgic_priority_access(struct domain *d, struct vcpu *v, uint32_t first,
                          struct mmio_access *access);
/* Identification registers at the end of both frames, by offset; 0 elsewhere. */
uint32_t vgic_id_register(uint32_t offset);

#define VGIC_IIDR 0x4700043bu /* product 'G', revision 0 */

#endif
