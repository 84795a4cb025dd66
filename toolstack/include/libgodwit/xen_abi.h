/* SPDX-License-Identifier: MIT */
/*
 * Xen's public headers with the arm64 layout, whatever machine compiles this: the host tests run
 * the toolstack on amd64 against a fake hypervisor, and must see the structures that real guests
 * see. Include this instead of <xen/...>, and before any libxen* header.
 */
#ifndef LIBGODWIT_XEN_ABI_H
#define LIBGODWIT_XEN_ABI_H

#include <stddef.h>
#include <stdint.h>

#pragma push_macro("__XEN_TOOLS__")
#pragma push_macro("__aarch64__")
#pragma push_macro("__x86_64__")
#undef __XEN_TOOLS__
#undef __aarch64__
#undef __x86_64__
#define __XEN_TOOLS__ 1
#define __aarch64__   1

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/version.h>

#pragma pop_macro("__x86_64__")
#pragma pop_macro("__aarch64__")
#pragma pop_macro("__XEN_TOOLS__")

_Static_assert(sizeof(struct xen_domctl) == 144, "Xen ABI");
_Static_assert(sizeof(struct xen_domctl_getdomaininfo) == 120, "Xen ABI");
_Static_assert(sizeof(struct vcpu_guest_context) == 352, "Xen ABI, arm64");

#endif
