/* SPDX-License-Identifier: MIT */
/* A domain ends by itself: power-off, reboot, suspend, or because it did what no guest may do. */
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/psci_host.h>
#include <hv/sched.h>
#include <printf.h>
#include <stdarg.h>
#include <xen/sched.h>

static _Noreturn void stop_host(uint32_t code)
{
    printk("control domain shut down, code %u\n", code);
    if (code == SHUTDOWN_poweroff) {
        host_power_off();
    }
    host_reset();
}

void domain_shutdown(struct domain *d, uint32_t code)
{
    if (d->is_control) {
        stop_host(code);
    }
    spin_lock(&d->lock);
    bool first = !d->shut_down && d->dying == DOMAIN_ALIVE;
    if (first) {
        d->shutdown_code = code;
        /* Release: who sees the flag sees the code. */
        atomic_store_explicit(&d->shut_down, true, memory_order_release);
    }
    spin_unlock(&d->lock);
    if (first) {
        sched_domain_recheck(d);
        evtchn_send_global_virq(VIRQ_DOM_EXC);
    }
}

int domain_resume(struct domain *d)
{
    spin_lock(&d->lock);
    atomic_store_explicit(&d->shut_down, false, memory_order_relaxed);
    spin_unlock(&d->lock);
    sched_domain_recheck(d);
    return 0;
}

void domain_crash(struct vcpu *v, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintk(v->crash_reason, sizeof(v->crash_reason), format, args);
    va_end(args);
    printk("dom%u vcpu%u crashed: %s; pc %llx\n", v->domain->id, v->id, v->crash_reason,
           (unsigned long long)v->regs.pc);
    domain_shutdown(v->domain, SHUTDOWN_crash);
}
