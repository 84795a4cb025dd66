/* SPDX-License-Identifier: MIT */
/* The arm64 Image header (Linux Documentation/arm64/booting.rst), for programs booted as a kernel. */
    .section .head, "ax"
    b       start
    .word   0
    .quad   0                   /* text offset */
    .quad   guest_image_bytes
    .quad   0xa                 /* little endian, 4 KiB pages, anywhere */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0
