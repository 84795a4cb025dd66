/* SPDX-License-Identifier: MIT */
/* Sizes that assembly and C of the test guests share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define GUEST_CPUS_MAX    64
#define GUEST_STACK_BYTES 8192

#define EXCEPTION_FRAME_BYTES 272 /* sizeof(struct exception_frame) */

#endif
