/* SPDX-License-Identifier: MIT */
/* A port with nothing behind it but memory. */
#include "growth.h"

#include <core/port.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* Address space; the kernel gives memory, zeroed, to what is touched. */
#define MEMORY_BYTES (UINT64_C(16) << 30)

_Thread_local unsigned growth_cpu_id;
uint8_t *growth_memory;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t next_page, used_pages;
static void *free_pages; /* single pages that came back, linked through their first word */
static _Atomic uint64_t invalidations;

bool growth_port_start(void)
{
    growth_memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    next_page = 1; /* no table at address 0 */
    return growth_memory != MAP_FAILED;
}

uint64_t growth_port_bytes(void)
{
    return used_pages * PAGE_SIZE_BYTES;
}

uint64_t growth_port_invalidations(void)
{
    return invalidations;
}

void *port_pages_alloc(unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;
    void *va = NULL;

    pthread_mutex_lock(&mutex);
    if (order == 0 && free_pages != NULL) {
        va = free_pages;
        memcpy(&free_pages, va, sizeof(free_pages));
        memset(va, 0, PAGE_SIZE_BYTES);
    } else {
        uint64_t first = (next_page + pages - 1) & ~(pages - 1);

        if ((first + pages) * PAGE_SIZE_BYTES <= MEMORY_BYTES) {
            va = growth_memory + first * PAGE_SIZE_BYTES;
            next_page = first + pages;
        }
    }
    used_pages += va != NULL ? pages : 0;
    pthread_mutex_unlock(&mutex);
    return va;
}

void port_pages_free(void *va, unsigned order)
{
    pthread_mutex_lock(&mutex);
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        uint8_t *page = (uint8_t *)va + i * PAGE_SIZE_BYTES;

        memcpy(page, &free_pages, sizeof(free_pages));
        free_pages = page;
    }
    used_pages -= UINT64_C(1) << order;
    pthread_mutex_unlock(&mutex);
}

void *port_run_alloc(uint64_t pages, uint64_t *ret_pages)
{
    (void)pages;
    *ret_pages = 1;
    return port_pages_alloc(0);
}

void port_run_free(void *va, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        port_pages_free((char *)va + i * PAGE_SIZE_BYTES, 0);
    }
}

unsigned port_s2_ipa_bits_max(void)
{
    return 48;
}

unsigned port_s2_pa_bits(void)
{
    return 48;
}

uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level)
{
    return 0;
}

uint64_t port_s2_root(pa_t root, uint16_t vmid)
{
    return root.addr;
}

bool port_has_hardware_dirty(void)
{
    return false;
}

void port_publish(void)
{
}

void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count)
{
    atomic_fetch_add_explicit(&invalidations, 1, memory_order_relaxed); /* carries no data */
}

void port_tlb_flush_vm(const struct s2_vm *vm)
{
    atomic_fetch_add_explicit(&invalidations, 1, memory_order_relaxed); /* carries no data */
}
