/* SPDX-License-Identifier: MIT */
/* Sizes that assembly and C of the test guests share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define GUEST_CPUS_MAX    64
#define GUEST_STACK_BYTES 8192

/*
 * The page through which a guest and its control domain talk, from the start of RAM: the last one
 * of its first 2 MiB, behind every guest's image with its bss, which the guest clears when it
 * starts.
 */
#define GUEST_MAILBOX_OFFSET 0x1ff000

#define EXCEPTION_FRAME_BYTES 272 /* sizeof(struct exception_frame) */

#endif
