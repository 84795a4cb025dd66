/* SPDX-License-Identifier: MIT */
#include "transport_confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

#define LOAD(field)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW(number)                                                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1), RETURN(SECCOMP_RET_ALLOW)
#define LOW_ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (i)) /* little endian */

/*
 * Reading, writing and waiting; memory for the TLS library, never executable; its random numbers
 * and its clock. No descriptor can be made, and nothing can be named.
 */
static struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GODWIT_AUDIT_ARCH, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    ALLOW(read),
    ALLOW(write),
    ALLOW(sendto),
    ALLOW(recvfrom),
    ALLOW(ppoll),
    ALLOW(close),
    ALLOW(shutdown),
    ALLOW(exit_group),
    ALLOW(exit),
    ALLOW(rt_sigreturn),
    ALLOW(rt_sigprocmask),
    ALLOW(restart_syscall),
    ALLOW(brk),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(madvise),
    ALLOW(futex),
    ALLOW(getrandom),
    ALLOW(clock_gettime),
    ALLOW(gettimeofday),
    ALLOW(getrusage),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(sigaltstack), /* the sanitizers' */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW_ARGUMENT(2)),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
    RETURN(SECCOMP_RET_ALLOW),
    RETURN(SECCOMP_RET_ERRNO | EPERM),
};

static int become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    return setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                   setresuid(NOBODY, NOBODY, NOBODY) < 0
               ? -1
               : 0;
}

/* After the change of user, which would clear it. */
static int end_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return -1;
    errno = ESRCH;
    return getppid() == parent ? 0 : -1;
}

int transport_confine(pid_t parent, struct gw_error *err)
{
    const struct rlimit none = {0, 0};
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    if (setrlimit(RLIMIT_CORE, &none) < 0 || become_nobody() < 0 ||
        prctl(PR_SET_NAME, "godwit-relay") < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        end_with(parent) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return gw_error_errno(err, errno,
                              "the process that holds the connection cannot be confined");
    return 0;
}
