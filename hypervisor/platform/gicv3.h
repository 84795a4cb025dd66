/* SPDX-License-Identifier: MIT */
/* Registers of a GICv3 as its architecture specification numbers them. */
#ifndef PLATFORM_GICV3_H
#define PLATFORM_GICV3_H

/* Distributor; the redistributor's second frame has the private part at the same offsets. */
#define GICD_CTLR       0x0000u
#define GICD_TYPER      0x0004u
#define GICD_IGROUPR    0x0080u
#define GICD_ISENABLER  0x0100u
#define GICD_ICENABLER  0x0180u
#define GICD_ISPENDR    0x0200u
#define GICD_ICPENDR    0x0280u
#define GICD_ISACTIVER  0x0300u
#define GICD_ICACTIVER  0x0380u
#define GICD_IPRIORITYR 0x0400u
#define GICD_ICFGR      0x0c00u
#define GICD_IROUTER    0x6000u /* + 8 * INTID */

#define GICD_CTLR_GROUP1  (1u << 0)
#define GICD_CTLR_GROUP1A (1u << 1)
#define GICD_CTLR_ARE     (1u << 4)
#define GICD_CTLR_RWP     (1u << 31)

#define GICR_CTLR      0x0000u
#define GICR_TYPER     0x0008u
#define GICR_WAKER     0x0014u
#define GICR_SGI_FRAME 0x10000u
#define GICR_BYTES     0x20000u

#define GICR_CTLR_RWP     (1u << 3)
#define GICR_TYPER_VLPIS  (1u << 1)
#define GICR_TYPER_LAST   (1u << 4)
#define GICR_WAKER_SLEEP  (1u << 1)
#define GICR_WAKER_ASLEEP (1u << 2)

#define ICC_SRE_ALL      0xfu /* system registers, no bypass, EL1 may use ICC_SRE_EL1 */
#define ICC_SRE_EL1_ALL  0x7u
#define ICC_CTLR_EOIMODE (1u << 1)

#define GIC_PRIORITY_DEFAULT 0xa0u

#endif
