/* SPDX-License-Identifier: MIT */
/*
 * A host for the virtual devices: CPUs with a GICv3 virtual interface that behaves as the
 * architecture says, physical interrupts, frames, timers, and a count of everything sent out.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <hv/domain.h>
#include <hv/irq.h>
#include <hv/vgic_hw.h>

#define FAKE_CPUS   4u
#define FAKE_INTIDS 320u

struct fake_cpu {
    uint64_t lr[VGIC_LRS_MAX];
    uint32_t hcr;
    uint64_t vmcr;
    uint64_t apr[2][VGIC_APRS_MAX];
    struct vcpu *current;
    _Atomic bool kicked;
};

struct fake_physical {
    bool enabled, active, pending, edge, line;
};

struct fake_host {
    unsigned lr_count; /* set before fake_reset's vgic_init_host, or 0 for 4 */
    struct fake_cpu cpus[FAKE_CPUS];
    struct fake_physical physical[FAKE_INTIDS];
    uint64_t now_ns;
    uint64_t counter; /* CNTPCT */
    uint64_t cntfrq_hz;
    uint64_t id[16];
    unsigned recomputed;   /* calls of vtimer_recompute */
    void (*on_mark)(void); /* what a harvest would find at this moment; may be NULL */
    unsigned notifications, marks;
    _Atomic unsigned wakes;
    uint64_t last_marked_gfn;
    unsigned frames_put;
    struct timer *armed;
    void (*on_cancel)(void); /* what another CPU does while somebody cancels a timer, once */
    irq_handler_fn handlers[FAKE_INTIDS];
    void *contexts[FAKE_INTIDS];
};

extern struct fake_host fake;
/* The CPU that runs the test now, or this thread of it. */
extern _Thread_local unsigned fake_cpu;

/* Forgets everything and calls vgic_init_host with lr_count list registers. */
void fake_reset(unsigned lr_count);

/* A domain with vcpus vCPUs, 32 SPIs, GIC, PL011 (SPI 32), PL061 (SPI 44), groups forwarded. */
struct domain *fake_domain(unsigned vcpus);
void fake_domain_free(struct domain *d);

/* Guards the states of vCPUs, as the scheduler's does. */
extern struct spinlock fake_sched_lock;

/* World switch of the CPU that runs the test. */
void fake_load(struct vcpu *v);
void fake_unload(void);
/* The way back into the guest: takes maintenance interrupts, flushes if dirty. */
void fake_enter(void);
bool fake_maintenance(void);

/* What the guest does. Acknowledge gives 1023 when nothing is signalled. End may leave an exit due.
 */
uint32_t guest_acknowledge(void);
void guest_end(uint32_t intid);
void guest_deactivate(uint32_t intid);
bool guest_irq_is_signalled(void);

/* MMIO of the running vCPU; fails the test if the device refuses. */
uint64_t guest_read(uint64_t ipa, unsigned bytes);
void guest_write(uint64_t ipa, unsigned bytes, uint64_t value);
bool guest_try(uint64_t ipa, struct mmio_access *access);

/* A device raises or drops a physical level; a guest that runs is left at once. */
bool fake_take_physical(void);
void fake_physical_line(uint32_t intid, bool level);

/* Time passes; armed timers fire. */
void fake_advance(uint64_t ns);

#define GICD_BASE       UINT64_C(0x03001000)
#define GICR_BASE       UINT64_C(0x03020000)
#define UART_BASE       UINT64_C(0x22000000)
#define GPIO_BASE       UINT64_C(0x22001000)
#define GICR(v, offset) (GICR_BASE + (v)*UINT64_C(0x20000) + (offset))
#define GICD(offset)    (GICD_BASE + (offset))

#endif
