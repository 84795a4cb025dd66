/* SPDX-License-Identifier: MIT */
/*
 * The worked example of docs/porting.md: a machine with its own descriptors, a software MMU with a
 * TLB for each CPU, and a guest on two CPUs whose memory is copied while it runs.
 *
 *   toy_machine             copies the guest and compares: exit status 0 if the copy is the guest
 *   toy_machine --forget    forgets to invalidate TLBs: exit status 0 if the comparison notices
 */
#include <core/dirty_log.h>
#include <core/port.h>
#include <core/s2.h>
#include <core/s2_vm.h>
#include <port/s2_pte.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CPUS         3u /* CPU 0 copies, the others run the guest */
#define MEMORY_PAGES 4096u
#define GUEST_PAGES  2048u /* 8 MiB, the first half of the memory; tables come from the other */
#define GUEST_BYTES  (GUEST_PAGES * PAGE_SIZE_BYTES)
#define PAGE_WORDS   (PAGE_SIZE_BYTES / sizeof(uint64_t))
#define ROUNDS       5u
#define ROUND_STORES 5000u /* of the guest between two rounds, at least */

/* The machine: memory, and CPUs with TLBs. */

_Thread_local unsigned toy_cpu_id;
_Alignas(1 << 21) uint8_t toy_memory[MEMORY_PAGES * PAGE_SIZE_BYTES];

#define TLB_ENTRIES 256u

struct tlb_entry {
    bool valid;
    bool writable;
    uint64_t gfn;
    pa_t pa;
};

/* The mutex is held from look-up to store, so who has it knows that no store is under way. */
struct toy_cpu {
    pthread_mutex_t mutex;
    struct tlb_entry tlb[TLB_ENTRIES];
};

static struct toy_cpu cpus[CPUS] = {
    {.mutex = PTHREAD_MUTEX_INITIALIZER},
    {.mutex = PTHREAD_MUTEX_INITIALIZER},
    {.mutex = PTHREAD_MUTEX_INITIALIZER},
};

static bool forget_invalidations;

static bool walk(const struct s2_vm *vm, uint64_t gfn, struct tlb_entry *ret_entry)
{
    const _Atomic uint64_t *table = port_pa_to_va(vm->root);

    for (unsigned level = vm->root_level;; level++) {
        unsigned shift = 9 * (3 - level);
        uint64_t pte = atomic_load(&table[gfn >> shift & 511]);

        if (s2_pte_is_leaf(pte, level)) {
            uint64_t offset_pages = gfn & ((UINT64_C(1) << shift) - 1);

            *ret_entry = (struct tlb_entry){
                .valid = true,
                .writable = s2_pte_is_writable(pte, level),
                .gfn = gfn,
                .pa = pa_add(s2_pte_pa(pte, level), offset_pages << PAGE_SHIFT),
            };
            return true;
        }
        if (!s2_pte_is_table(pte, level)) {
            return false;
        }
        table = port_pa_to_va(s2_pte_pa(pte, level));
    }
}

/* The guest on this CPU stores a word. False: a fault. */
static bool cpu_store(const struct s2_vm *vm, ipa_t ipa, uint64_t value)
{
    struct toy_cpu *cpu = &cpus[toy_cpu_id];
    struct tlb_entry *entry = &cpu->tlb[ipa_gfn(ipa) % TLB_ENTRIES];
    bool ok;

    pthread_mutex_lock(&cpu->mutex);
    ok = (entry->valid && entry->gfn == ipa_gfn(ipa)) || walk(vm, ipa_gfn(ipa), entry);
    ok = ok && entry->writable;
    if (ok) {
        _Atomic uint64_t *word = port_pa_to_va(pa_add(entry->pa, ipa.addr & PAGE_MASK));

        atomic_store_explicit(word, value, memory_order_relaxed);
    }
    pthread_mutex_unlock(&cpu->mutex);
    return ok;
}

static void tlb_drop(struct toy_cpu *cpu, uint64_t first_gfn, uint64_t pages)
{
    pthread_mutex_lock(&cpu->mutex);
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        if (cpu->tlb[i].gfn - first_gfn < pages) {
            cpu->tlb[i].valid = false;
        }
    }
    pthread_mutex_unlock(&cpu->mutex);
}

/* The port: what core/port.h asks for, beside the two headers in include/port. */

static pthread_mutex_t pages_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool page_used[MEMORY_PAGES];

static bool pages_are_free(unsigned first, unsigned pages)
{
    for (unsigned i = first; i < first + pages; i++) {
        if (page_used[i]) {
            return false;
        }
    }
    return true;
}

void *port_pages_alloc(unsigned order)
{
    unsigned pages = 1u << order;
    void *va = NULL;

    pthread_mutex_lock(&pages_mutex);
    for (unsigned i = GUEST_PAGES; va == NULL && i + pages <= MEMORY_PAGES; i += pages) {
        if (pages_are_free(i, pages)) {
            memset(&page_used[i], true, pages);
            va = toy_memory + i * PAGE_SIZE_BYTES;
        }
    }
    pthread_mutex_unlock(&pages_mutex);
    if (va != NULL) {
        memset(va, 0, PAGE_SIZE_BYTES << order);
    }
    return va;
}

void port_pages_free(void *va, unsigned order)
{
    pthread_mutex_lock(&pages_mutex);
    memset(&page_used[pa_mfn(port_va_to_pa(va))], false, 1u << order);
    pthread_mutex_unlock(&pages_mutex);
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
    return 39;
}

unsigned port_s2_pa_bits(void)
{
    return 32;
}

uint64_t port_s2_control(unsigned ipa_bits, unsigned root_level)
{
    return (uint64_t)ipa_bits << 8 | root_level;
}

uint64_t port_s2_root(pa_t root, uint16_t vmid)
{
    return root.addr;
}

bool port_has_hardware_dirty(void)
{
    return false; /* this MMU writes no descriptors */
}

void port_publish(void)
{
    /* Walks of this machine are atomic loads: they see what was stored before. */
}

void port_tlb_flush_local(const struct s2_vm *vm, ipa_t ipa)
{
    tlb_drop(&cpus[toy_cpu_id], ipa_gfn(ipa), 1);
}

void port_tlb_flush(const struct s2_vm *vm, const struct port_tlb_range *ranges, unsigned count)
{
    for (unsigned i = 0; i < count && !forget_invalidations; i++) {
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
            tlb_drop(&cpus[cpu], ipa_gfn(ranges[i].ipa), ranges[i].bytes >> PAGE_SHIFT);
        }
    }
}

void port_tlb_flush_vm(const struct s2_vm *vm)
{
    const struct port_tlb_range all = {.ipa = ipa_make(0), .bytes = UINT64_C(1) << 39};

    port_tlb_flush(vm, &all, 1);
}

/* The hypervisor: a fault handler, one guest, and a writer of its own. */

static struct s2_vm vm;
static _Atomic bool stop;
static _Atomic uint64_t stores;
static _Atomic bool failed;

static void guest_store(ipa_t ipa, uint64_t value)
{
    while (!cpu_store(&vm, ipa, value)) {
        if (s2_fault_write(&vm, ipa) != S2_FAULT_RETRY) {
            atomic_store(&failed, true); /* a real hypervisor delivers an abort */
            return;
        }
    }
}

/* Writes some pages all the time and the others now and then. */
static void *run_vcpu(void *argument)
{
    uint64_t random = toy_cpu_id = (unsigned)(uintptr_t)argument;

    for (uint64_t n = 1; !atomic_load(&stop); n++) {
        uint64_t gfn;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        gfn = (random >> 33) % (n % 64 == 0 ? GUEST_PAGES : 32);
        guest_store(ipa_make((gfn << PAGE_SHIFT) + (random >> 20 & 0xff8)), n);
        atomic_fetch_add_explicit(&stores, 1, memory_order_relaxed);
    }
    return NULL;
}

static void let_guest_run(void)
{
    uint64_t enough = atomic_load(&stores) + ROUND_STORES;

    while (atomic_load(&stores) < enough && !atomic_load(&failed)) {
        sched_yield();
    }
}

/* A hypercall's result: first the write, then the mark. */
static void write_result(ipa_t ipa, uint64_t value)
{
    _Atomic uint64_t *word = port_pa_to_va(s2_lookup(&vm, ipa).pa);

    atomic_store_explicit(word, value, memory_order_relaxed);
    dirty_log_mark(&vm, ipa, DIRTY_WRITER_HYPERCALL);
}

/* Pre-copy. */

static uint64_t copy[GUEST_PAGES][PAGE_WORDS];

static void copy_page(uint64_t gfn)
{
    const _Atomic uint64_t *page = port_pa_to_va(s2_lookup(&vm, ipa_from_gfn(gfn)).pa);

    for (unsigned i = 0; i < PAGE_WORDS; i++) {
        copy[gfn][i] = atomic_load_explicit(&page[i], memory_order_relaxed);
    }
}

static int start_logging(void)
{
    const struct dirty_log_options options = {.hardware = port_has_hardware_dirty()};
    int result;

    do {
        result = dirty_log_enable(&vm, &options);
    } while (result == -CORE_ERESTART);
    return result;
}

static void stop_logging(void)
{
    while (dirty_log_off(&vm) == -CORE_ERESTART) {
    }
}

/* Takes what was written since the last round, and copies it. Returns the number of pages. */
static uint64_t copy_round(void)
{
    static uint8_t bits[DIRTY_LOG_CHUNK_PAGES / 8];
    uint64_t limit = dirty_log_limit_gfn(&vm);
    uint64_t taken = 0;

    if (dirty_log_harvest_begin(&vm) != 0) {
        atomic_store(&failed, true);
        return 0;
    }
    for (uint64_t first = 0; first < limit; first += DIRTY_LOG_CHUNK_PAGES) {
        taken += dirty_log_harvest_take(&vm, first, DIRTY_LOG_CHUNK_PAGES, bits);
        for (uint64_t i = 0; i < DIRTY_LOG_CHUNK_PAGES; i++) {
            if (bits[i / 8] >> i % 8 & 1) {
                copy_page(first + i);
            }
        }
    }
    dirty_log_harvest_commit(&vm);
    return taken;
}

static bool copy_running_guest(void)
{
    pthread_t vcpus[CPUS - 1];

    for (uintptr_t i = 0; i < CPUS - 1; i++) {
        if (pthread_create(&vcpus[i], NULL, run_vcpu, (void *)(i + 1)) != 0) {
            return false;
        }
    }
    atomic_store(&failed, start_logging() != 0);
    for (uint64_t gfn = 0; gfn < GUEST_PAGES; gfn++) {
        copy_page(gfn);
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        let_guest_run();
        write_result(ipa_make(GUEST_BYTES - PAGE_SIZE_BYTES), round);
        printf("round %u: %u pages\n", round, (unsigned)copy_round());
    }
    let_guest_run();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CPUS - 1; i++) {
        pthread_join(vcpus[i], NULL);
    }
    /* Nobody writes any more. Whoever was between opening a page and marking it has marked it. */
    s2_drain(&vm);
    printf("last round: %u pages\n", (unsigned)copy_round());
    stop_logging();
    return !atomic_load(&failed);
}

static unsigned compare(void)
{
    unsigned different = 0;

    for (uint64_t gfn = 0; gfn < GUEST_PAGES; gfn++) {
        different += memcmp(copy[gfn], toy_memory + gfn * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES) != 0;
    }
    return different;
}

/* From an empty machine to an empty machine; false: it did not come to the comparison. */
static bool move_guest(unsigned *ret_different)
{
    const struct s2_config config = {.vmid = 1, .ipa_bits = 39, .cpus = CPUS};
    struct s2_stats stats;

    atomic_store(&stop, false);
    if (s2_init(&vm, &config) != 0 ||
        s2_map(&vm, ipa_make(0), pa_make(0), GUEST_BYTES, S2_RAM_RW) != 0) {
        return false;
    }
    if (!copy_running_guest()) {
        printf("the copy failed\n");
        return false;
    }
    *ret_different = compare();
    s2_stats_get(&vm, &stats);
    printf("%u first writes, %u splits, %u invalidations; blocks again: %u of %u\n",
           (unsigned)stats.faults_first_write, (unsigned)stats.splits,
           (unsigned)stats.invalidations, (unsigned)stats.leaves[2], GUEST_PAGES / 512);
    printf("%u pages differ\n", *ret_different);
    (void)s2_unmap(&vm, ipa_make(0), GUEST_BYTES, NULL, NULL);
    s2_destroy(&vm);
    return true;
}

int main(int argc, char **argv)
{
    unsigned different = 0, moves = 0;

    forget_invalidations = argc > 1 && strcmp(argv[1], "--forget") == 0;
    do {
        if (!move_guest(&different)) {
            return 2;
        }
        /* A stale entry that nobody used loses nothing: on a busy machine that happens. */
    } while (forget_invalidations && different == 0 && ++moves < 20);
    return forget_invalidations == (different != 0) ? 0 : 1;
}
