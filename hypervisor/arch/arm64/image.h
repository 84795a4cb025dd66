/* SPDX-License-Identifier: MIT */
/* Addresses from godwit.lds. */
#ifndef ARCH_IMAGE_H
#define ARCH_IMAGE_H

extern char _text_start[], _text_end[], _idmap_start[], _rodata_end[], _file_end[];
extern char _bss_start[], _bss_end[], _stack0_guard[], _stack0[], _stack0_top[], _end[];

#endif
