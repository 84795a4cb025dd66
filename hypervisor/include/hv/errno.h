/* SPDX-License-Identifier: MIT */
/* EPERM, ENOMEM ... with the values of Xen's ABI. Functions return them negated. */
#ifndef HV_ERRNO_H
#define HV_ERRNO_H

enum hv_errno {
#define XEN_ERRNO(name, value) name = (value),
#include <xen/errno.h>
    ERESTART = 85, /* never leaves the hypervisor: call again to go on */
};

#endif
