/* SPDX-License-Identifier: MIT */
/* console_io: the control domain writes to and reads from the host's console. */
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <xen/xen.h>

#include "call.h"

#define PIECE_BYTES 128u

static long console_io_write(struct hcall *call)
{
    char piece[PIECE_BYTES];
    bool first = true;

    while ((uint32_t)call->arg[1] != 0) {
        uint32_t bytes = (uint32_t)call->arg[1];

        if (!first && cpu_preempt_pending()) {
            return HYPERCALL_RESTART;
        }
        first = false;
        bytes = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
        if (copy_from_guest(piece, call->arg[2], bytes) != 0) {
            return -EFAULT;
        }
        console_write(piece, bytes);
        call->arg[1] = (uint32_t)call->arg[1] - bytes;
        call->arg[2] += bytes;
    }
    return 0;
}

static long console_io_read(struct hcall *call)
{
    char piece[PIECE_BYTES];
    uint32_t count = 0, wanted = (uint32_t)call->arg[1];
    int c;

    wanted = wanted < PIECE_BYTES ? wanted : PIECE_BYTES;
    if (probe_guest_write(call->arg[2], wanted) != 0) {
        return -EFAULT; /* before a character is taken: none gets lost */
    }
    while (count < wanted && (c = console_getc()) >= 0) {
        piece[count++] = (char)c;
    }
    return copy_to_guest(call->arg[2], piece, count) != 0 ? -EFAULT : (long)count;
}

long hcall_console_io(struct hcall *call)
{
    if (!call->d->is_control) {
        return -EPERM;
    }
    switch ((uint32_t)call->arg[0]) {
    case CONSOLEIO_write:
        return console_io_write(call);
    case CONSOLEIO_read:
        return console_io_read(call);
    default:
        return -ENOSYS;
    }
}
