/* SPDX-License-Identifier: MIT */
/*
 * Three CPUs, each a thread with a vCPU of its own, and a thread that injects: for the thread
 * sanitizer, and for lost interrupts. A CPU leaves its guest only if it is kicked or exits by
 * itself; a vCPU with nothing to do blocks until it is woken. In the end each injection was seen.
 */
#include "fake_host.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define VCPUS    3u
#define FIRST    40u
#define SPIS     8u
#define BURSTS   4000u
#define WAIT_SEC 60

static struct domain *d;
/* Number of the last injection, and of the last one that had begun when a handler ran. */
static _Atomic unsigned injected[SPIS], handled[SPIS];
static _Atomic unsigned sgis_sent[VCPUS], sgis_handled[VCPUS];
static _Atomic bool injecting, stop;

struct random {
    uint64_t state;
};

static unsigned draw(struct random *random, unsigned limit)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return (unsigned)(random->state >> 20) % limit;
}

/* Handles all interrupts that are signalled; true if there was one. */
static bool handle_all(unsigned id)
{
    bool any = false;
    for (uint32_t intid = guest_acknowledge(); intid < 1020; intid = guest_acknowledge()) {
        any = true;
        if (intid < 16) {
            atomic_store(&sgis_handled[id], atomic_load(&sgis_sent[id]));
        } else {
            atomic_store(&handled[intid - FIRST], atomic_load(&injected[intid - FIRST]));
        }
        guest_end(intid);
    }
    return any;
}

static void set_state(struct vcpu *v, enum vcpu_state state)
{
    spin_lock(&fake_sched_lock);
    v->state = state;
    spin_unlock(&fake_sched_lock);
}

static enum vcpu_state get_state(struct vcpu *v)
{
    spin_lock(&fake_sched_lock);
    enum vcpu_state state = v->state;
    spin_unlock(&fake_sched_lock);
    return state;
}

static void unload(struct vcpu *v)
{
    vgic_save(v);
    atomic_store(&v->cpu, -1);
    fake.cpus[fake_cpu].current = NULL;
}

static void load(struct vcpu *v)
{
    set_state(v, VCPU_RUNNING);
    fake.cpus[fake_cpu].current = v;
    atomic_store(&v->cpu, (int)fake_cpu);
    vgic_load(v);
    fake_enter();
}

/* As sched_block_current: BLOCKED first, then the look that meets the injector's lock. */
static void block(struct vcpu *v)
{
    set_state(v, VCPU_BLOCKED);
    bool pending = vgic_has_pending(v);
    unload(v);
    while (!pending && get_state(v) == VCPU_BLOCKED && !atomic_load(&stop)) {
        sched_yield();
    }
    load(v);
}

/* A guest that computes: it leaves for nothing but a kick. */
static void run_until_kicked(void)
{
    while (!atomic_load(&fake.cpus[fake_cpu].kicked) && !atomic_load(&stop)) {
        sched_yield();
    }
    fake_enter();
}

static void send_sgi(unsigned to)
{
    atomic_fetch_add(&sgis_sent[to], 1);
    vgic_send_sgi(vcpu_current(), 1u << to | 3u << 24, true);
    fake_enter();
}

static void *run_cpu(void *context)
{
    struct vcpu *v = context;
    struct random random = {0x9e3779b97f4a7c15 * (v->id + 1)};

    fake_cpu = v->id;
    load(v);
    while (!atomic_load(&stop)) {
        if (atomic_load(&fake.cpus[fake_cpu].kicked)) {
            fake_enter();
        }
        if (!handle_all(v->id)) {
            if (draw(&random, 2)) {
                block(v);
            } else {
                run_until_kicked();
            }
        }
        if (!atomic_load(&injecting)) {
            continue; /* the end: only kicks and wake-ups move anything now */
        }
        if (draw(&random, 3) == 0) {
            send_sgi(draw(&random, VCPUS));
        }
        if (draw(&random, 8) == 0) {
            guest_write(GICD(0x6000 + 8 * (FIRST + draw(&random, SPIS))), 8, draw(&random, VCPUS));
        }
        if (draw(&random, 16) == 0) {
            uint32_t bit = 1u << (FIRST + draw(&random, SPIS)) % 32;
            guest_write(GICD(0x184), 4, bit);
            guest_write(GICD(0x104), 4, bit);
        }
    }
    unload(v);
    return NULL;
}

static bool spis_handled(void)
{
    bool all = true;
    for (unsigned i = 0; i < SPIS; i++) {
        all = all && atomic_load(&handled[i]) == atomic_load(&injected[i]);
    }
    return all;
}

static bool all_handled(void)
{
    bool all = spis_handled();
    for (unsigned i = 0; i < VCPUS; i++) {
        all = all && atomic_load(&sgis_handled[i]) == atomic_load(&sgis_sent[i]);
    }
    return all;
}

static bool wait_for(bool (*condition)(void))
{
    time_t end = time(NULL) + WAIT_SEC;
    while (!condition()) {
        if (time(NULL) > end) {
            return false;
        }
        sched_yield();
    }
    return true;
}

static void set_up(void)
{
    fake_reset(4);
    d = fake_domain(VCPUS);
    fake_load(d->vcpus[0]);
    guest_write(GICD(0x104), 4, 0xffffffff);
    for (uint32_t i = 0; i < SPIS; i++) {
        guest_write(GICD(0x420 + FIRST - 32 + i), 1, 0x40 + 8 * i);
    }
    guest_write(GICD(0xc08), 4, 0xaaaaaaaa);
    guest_write(GICD(0xc0c), 4, 0xaaaaaaaa);
    for (unsigned i = 0; i < VCPUS; i++) {
        guest_write(GICR(i, 0x10100), 4, 0xffff);
    }
    fake_unload();
}

/* In bursts: after each, everything must arrive with nobody's help. */
static bool inject_all(void)
{
    struct random random = {0x2545f4914f6cdd1d};

    for (unsigned i = 0; i < BURSTS; i++) {
        for (unsigned n = draw(&random, 12); n; n--) {
            unsigned which = draw(&random, SPIS);
            atomic_fetch_add(&injected[which], 1);
            vgic_inject(d, NULL, FIRST + which);
        }
        if (!wait_for(spis_handled)) {
            return false;
        }
    }
    return true;
}

static void test_nothing_is_lost(void **state)
{
    pthread_t threads[VCPUS];

    set_up();
    atomic_store(&injecting, true);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_cpu, d->vcpus[i]), 0);
    }
    fake_cpu = VCPUS; /* a CPU of its own, with no vCPU */
    bool all = inject_all();
    atomic_store(&injecting, false);
    all = all && wait_for(all_handled);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    fake_domain_free(d);
    assert_true(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_lost)};
    return cmocka_run_group_tests_name("vgic threads", tests, NULL, NULL);
}
