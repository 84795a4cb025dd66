/* SPDX-License-Identifier: MIT */
#include "stream_confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what)    BPF_STMT(BPF_RET | BPF_K, what)
#define IS(value, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, t, f)

/*
 * Strict mode lets a process write to whatever it may read. This one may read the stream and the
 * eventfd and write to the pipe: the other side of a socket gets nothing from it.
 */
static struct sock_filter filter[] = {
    /* 0 */ LOAD(arch),
    /* 1 */ IS(GODWIT_AUDIT_ARCH, 0, 10),
    /* 2 */ LOAD(nr),
    /* 3 */ IS(SYS_read, 3, 0),
    /* 4 */ IS(SYS_write, 5, 0),
    /* 5 */ IS(SYS_exit, 7, 0),
    /* 6 */ IS(SYS_rt_sigreturn, 6, 5),
    /* 7 */ LOAD(args[0]), /* its low half, which is all of a descriptor: little endian */
    /* 8 */ IS(STREAM_FD_STREAM, 4, 0),
    /* 9 */ IS(STREAM_FD_RETURNED, 3, 2),
    /* 10 */ LOAD(args[0]),
    /* 11 */ IS(STREAM_FD_PIPE, 1, 0),
    /* 12 */ RETURN(SECCOMP_RET_KILL_PROCESS),
    /* 13 */ RETURN(SECCOMP_RET_ALLOW),
};

static int keep_descriptors(int fds[STREAM_FDS])
{
    int away[STREAM_FDS];

    for (int i = 0; i < STREAM_FDS; i++) {
        away[i] = fcntl(fds[i], F_DUPFD, STREAM_FDS);
        if (away[i] < 0)
            return -1;
    }
    for (int i = 0; i < STREAM_FDS; i++) {
        if (dup2(away[i], i) < 0)
            return -1;
        fds[i] = i;
    }
    return close_range(STREAM_FDS, ~0u, 0);
}

int stream_confine(int fds[STREAM_FDS])
{
    const struct rlimit none = {0, 0};
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    if (keep_descriptors(fds) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        prctl(PR_SET_NAME, "godwit-parser") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
