/* SPDX-License-Identifier: MIT */
/*
 * The machine that a guest sees, beyond Xen's map (GUEST_* in xen/arch-arm.h): devices that Xen's
 * guests do not have. Programs read the device tree; only tests and the image builder use these.
 */
#ifndef GODWIT_GUEST_MAP_H
#define GODWIT_GUEST_MAP_H

#define GODWIT_PL061_BASE 0x22001000ULL /* GPIO block with the power key, 4 KiB */
#define GODWIT_PL061_SPI  44            /* INTID; 33 to 43 are virtio-mmio's */
#define GODWIT_GUEST_SPIS 32            /* SPIs of a guest's GIC: INTIDs 32 to 63 */

#define GODWIT_RAW_LOAD_OFFSET 0x80000ULL /* raw programs load here above RAM base */

#endif
