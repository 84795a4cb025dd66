/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else: the hosted headers as this machine has them, and from then on
 * Xen's headers show their arm64 layout.
 */
#ifndef TESTS_HYPERCALL_ARM64_ABI_H
#define TESTS_HYPERCALL_ARM64_ABI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef __x86_64__
#undef __i386__
#define __aarch64__ 1

#endif
