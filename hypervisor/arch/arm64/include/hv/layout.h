/* SPDX-License-Identifier: MIT */
/*
 * The EL2 address space (48 bits, one TTBR). Physical memory below DIRECT_MAP_BASE is mapped 1:1
 * only for the page that turns the MMU on; nothing else uses low addresses, so a null pointer or a
 * physical address taken for a virtual one faults.
 */
#ifndef HV_LAYOUT_H
#define HV_LAYOUT_H

#define DIRECT_MAP_BASE    0x400000000000 /* all RAM, read-write, never executable: pa + base */
#define DIRECT_MAP_LIMIT   0x400000000000 /* RAM at or above this physical address is not used */
#define IMAGE_BASE         0x800000000000 /* text, rodata, data, bss: at most 2 MiB */
#define BOOT_FDT_BASE      0x800000400000 /* 4 MiB window on the device tree, only while booting */
#define DEVICE_BASE        0x900000000000 /* device registers */
#define STACK_BASE         0xa00000000000 /* EL2 stacks, see below */
/*
 * Windows on the leaf tables of VMs (port/find_linear): 16 GiB for each VMID whose table has its
 * root at level 1, 512 GiB for each of the first 128 whose root is at level 0.
 */
#define WINDOW_BASE        0xb00000000000
#define WINDOW_SHIFT       34
#define WINDOW_LARGE_BASE  0xc00000000000
#define WINDOW_LARGE_SHIFT 39

/*
 * One slot per CPU: the lower half is never mapped (guard), the upper half is the stack. So bit
 * STACK_SHIFT of a valid stack pointer is set (below the very top), and clear after an overflow.
 */
#define STACK_SHIFT     14
#define STACK_BYTES     (1 << STACK_SHIFT)
#define STACK_SLOT      (2 * STACK_BYTES)
#define STACK_TOP_OF(n) (STACK_BASE + ((n) + 1) * STACK_SLOT)

#endif
