/* SPDX-License-Identifier: MIT */
/*
 * Error numbers of core/, returned negated. The values are Xen's (and Linux's),
 * so an embedding hypervisor can hand them to its callers unchanged.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

enum core_error {
    CORE_ENOENT = 2,    /* nothing is mapped there */
    CORE_ENOMEM = 12,   /* a table page or a bitmap could not be had; nothing was changed */
    CORE_EBUSY = 16,    /* another harvest session is open */
    CORE_EEXIST = 17,   /* something is mapped there already; nothing was changed */
    CORE_EINVAL = 22,   /* misaligned, out of the address space, or not possible in this state */
    CORE_ERESTART = 85, /* bounded work done, call again to go on */
};

#endif
