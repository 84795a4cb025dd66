/* SPDX-License-Identifier: MIT */
/* Memory, allocator and shape of the fake machine. */
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Thread_local unsigned fake_cpu;
void (*fake_hook)(void);
_Atomic uint64_t fake_spins;

static _Atomic uint64_t ram[FAKE_RAM_PAGES];
static _Atomic uint64_t pages_out;
static _Atomic long fail_after = -1;
static unsigned pa_bits = 48;
static bool hardware_dirty = true;

void fake_die(const char *format, ...)
{
    va_list args;

    fputs("fake machine: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void fake_reset(void)
{
    fake_hook = NULL;
    fake_cpu = 0;
    if (fake_pages_allocated() != 0) {
        fake_die("%llu pages leaked", (unsigned long long)fake_pages_allocated());
    }
    fake_fail_allocation(-1);
    pa_bits = 48;
    hardware_dirty = true;
    memset((void *)ram, 0, sizeof(ram));
    fake_tlb_reset();
    fake_window_reset();
    fake_checker_reset();
}

uint64_t fake_pages_allocated(void)
{
    return atomic_load(&pages_out);
}

void fake_fail_allocation(long n)
{
    atomic_store(&fail_after, n);
}

void fake_set_hardware_dirty(bool on)
{
    hardware_dirty = on;
}

void fake_set_pa_bits(unsigned bits)
{
    pa_bits = bits;
}

_Atomic uint64_t *fake_word(pa_t pa)
{
    uint64_t frame = (pa.addr - FAKE_RAM_BASE) >> PAGE_SHIFT;

    if (frame >= FAKE_RAM_PAGES) {
        fake_die("access to %#llx, which is no memory", (unsigned long long)pa.addr);
    }
    return &ram[frame];
}

void *fake_memory_take(size_t alignment, uint64_t pages)
{
    size_t bytes = pages * PAGE_SIZE_BYTES;
    void *va;

    fake_point();
    if (atomic_load(&fail_after) >= 0 && atomic_fetch_sub(&fail_after, 1) <= 0) {
        atomic_store(&fail_after, 0);
        return NULL;
    }
    va = aligned_alloc(alignment, bytes);
    if (va == NULL) {
        fake_die("out of memory");
    }
    memset(va, 0, bytes);
    atomic_fetch_add(&pages_out, pages);
    return va;
}

void *port_pages_alloc(unsigned order)
{
    return fake_memory_take(PAGE_SIZE_BYTES << order, UINT64_C(1) << order);
}

void port_pages_free(void *va, unsigned order)
{
    fake_checker_page_freed(port_va_to_pa(va));
    fake_window_pages_freed(port_va_to_pa(va), PAGE_SIZE_BYTES << order);
    atomic_fetch_sub(&pages_out, UINT64_C(1) << order);
    if (order != 0 || !fake_run_page_freed(va)) {
        free(va);
    }
}

unsigned port_s2_ipa_bits_max(void)
{
    return pa_bits;
}

unsigned port_s2_pa_bits(void)
{
    return pa_bits;
}

uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level)
{
    return (uint64_t)ipa_bits << 8 | root_level;
}

uint64_t port_s2_root(pa_t root, uint16_t vmid)
{
    return root.addr | (uint64_t)vmid << 48;
}

bool port_has_hardware_dirty(void)
{
    return hardware_dirty;
}

void port_publish(void)
{
    fake_point();
}

uint64_t fake_random_next(struct fake_random *random)
{
    /* splitmix64, public domain */
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fake_random_below(struct fake_random *random, uint64_t limit)
{
    return fake_random_next(random) % limit;
}
