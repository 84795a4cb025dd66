/* SPDX-License-Identifier: MIT */
/* The guests of the fake hosts and what runs in them. */
#include "fake_host.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last page of RAM: entry i is the seed of page i; seed 0 is a page of zeros. */
static uint32_t *seeds_of(struct fake_guest *guest)
{
    return (uint32_t *)(void *)guest->memory[FAKE_PAGES - 1];
}

static void fill_page(uint8_t *page, uint32_t seed)
{
    for (uint32_t i = 0; i < STREAM_PAGE_BYTES / 4; i++) {
        uint32_t word = seed ? seed * 2654435761u + i : 0;
        memcpy(page + i * 4, &word, 4);
    }
}

static uint64_t gfn_of(unsigned page)
{
    return page == 0 ? FAKE_CONSOLE_GFN : FAKE_RAM_GFN + page - 1;
}

/* After the write, as every writer must: a reader that took the mark before has another round to
 * come. */
static void mark(struct fake_guest *guest, unsigned page)
{
    uint64_t gfn = gfn_of(page);

    if (atomic_load(&guest->logging))
        atomic_fetch_or(&guest->dirty[gfn / 64], 1ULL << (gfn % 64));
}

static void write_page(struct fake_guest *guest, unsigned page, uint32_t seed)
{
    fill_page(guest->memory[page], seed);
    mark(guest, page);
    seeds_of(guest)[page] = seed;
    mark(guest, FAKE_PAGES - 1);
}

struct fake_guest *fake_guest_add(struct fake_host *host, const char *name)
{
    struct fake_guest *guest = host->guests;

    while (guest->used)
        guest++;
    memset(guest, 0, sizeof(*guest));
    guest->domid = ++host->next_domid;
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    snprintf(guest->config.name, sizeof(guest->config.name), "%s", name);
    snprintf(guest->text, sizeof(guest->text), "memory = 2\n");
    guest->config.vcpus = 2;
    guest->config.memory_bytes = FAKE_RAM_PAGES * STREAM_PAGE_BYTES;
    guest->config.on_reboot = STREAM_RESTART;
    memcpy(guest->config.uuid, "0123456789abcdef", 16);
    for (unsigned i = 0; name[i] && strcmp(name, "web") != 0; i++) /* another guest */
        guest->config.uuid[i % 16] ^= (uint8_t)name[i];
    for (unsigned page = 1; page < FAKE_PAGES - 1; page++)
        write_page(guest, page, page % 3 ? page : 0);
    memset(guest->state, 0xA5, sizeof(guest->state));
    atomic_fetch_add(&host->frames, FAKE_GUEST_FRAMES);
    guest->used = true;
    return guest;
}

void fake_guest_split(struct fake_host *host, struct fake_guest *guest, bool split)
{
    if (atomic_exchange(&guest->split, split) != split)
        atomic_fetch_add(&host->frames, split ? 1 : -1u);
}

void fake_guest_remove(struct fake_host *host, struct fake_guest *guest)
{
    guest->used = false;
    while (atomic_load(&guest->stepping))
        sched_yield();
    fake_guest_split(host, guest, false);
    atomic_fetch_sub(&host->frames, FAKE_GUEST_FRAMES);
}

struct fake_guest *fake_guest_find(struct fake_host *host, const char *name)
{
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (host->guests[i].used && !strcmp(host->guests[i].name, name))
            return &host->guests[i];
    return NULL;
}

bool fake_guest_is_sound(const struct fake_guest *guest)
{
    uint8_t wanted[STREAM_PAGE_BYTES];

    for (unsigned page = 1; page < FAKE_PAGES - 1; page++) {
        fill_page(wanted, seeds_of((struct fake_guest *)(uintptr_t)guest)[page]);
        if (memcmp(wanted, guest->memory[page], sizeof(wanted)) != 0)
            return false;
    }
    return true;
}

void fake_guest_pause(struct fake_guest *guest)
{
    atomic_fetch_add(&guest->pauses, 1);
    while (atomic_load(&guest->stepping))
        sched_yield();
}

void fake_guest_unpause(struct fake_guest *guest)
{
    atomic_fetch_sub(&guest->pauses, 1);
}

static bool runs(struct fake_guest *guest)
{
    return atomic_load(&guest->used) && atomic_load(&guest->pauses) == 0 && !guest->shut_down;
}

/* As mark, for what the hypervisor knows of a vCPU's writes. */
static void write_as(struct fake_world *world, struct fake_guest *guest, struct fake_vcpu *vcpu,
                     unsigned page, uint32_t seed)
{
    bool hardware = world->hosts[0].hardware;
    uint64_t gfn = gfn_of(page);
    bool fresh = !(atomic_load(&guest->dirty[gfn / 64]) >> (gfn % 64) & 1);

    write_page(guest, page, seed);
    atomic_fetch_add(&vcpu->written, 1);
    if (!fresh || !atomic_load(&guest->logging))
        return;
    if (!hardware || (atomic_load(&guest->sampling) &&
                      page % FAKE_SAMPLE == world->hosts[0].log_takes % FAKE_SAMPLE))
        atomic_fetch_add(&vcpu->dirty_pages, 1);
}

/* A throttled vCPU does the share of all steps that is left to it. */
static bool has_time(struct fake_vcpu *vcpu)
{
    vcpu->credit += 100 - atomic_load(&vcpu->percent);
    if (vcpu->credit < 100) {
        atomic_fetch_add(&vcpu->throttled, 1);
        return false;
    }
    vcpu->credit -= 100;
    return true;
}

static void step(struct fake_world *world, struct fake_guest *guest, uint32_t *random)
{
    unsigned busy[FAKE_VCPUS] = {atomic_load(&world->busy), atomic_load(&world->busy_second)};
    unsigned span = atomic_load(&world->span) ? atomic_load(&world->span) : FAKE_PAGES - 2;

    atomic_store(&guest->stepping, true);
    if (runs(guest)) {
        for (unsigned v = 0; v < FAKE_VCPUS; v++) {
            if (!has_time(&guest->vcpus[v]))
                continue;
            for (unsigned i = 0; i < busy[v]; i++) {
                *random = *random * 1664525u + 1013904223u;
                unsigned page = 1 + (*random >> 8) % span;
                write_as(world, guest, &guest->vcpus[v], page, *random & 0x70000 ? *random | 1 : 0);
            }
        }
        atomic_fetch_add(&world->steps, 1);
        atomic_fetch_add(&guest->steps, 1);
    }
    atomic_store(&guest->stepping, false);
}

static struct fake_guest *guest_at(struct fake_world *world, unsigned i)
{
    return &world->hosts[i / FAKE_GUESTS].guests[i % FAKE_GUESTS];
}

/* The same guest runs on a host behind. */
static bool has_twin(struct fake_world *world, unsigned i)
{
    for (unsigned j = (i / FAKE_GUESTS + 1) * FAKE_GUESTS; j < FAKE_HOSTS * FAKE_GUESTS; j++)
        if (runs(guest_at(world, j)) &&
            !memcmp(guest_at(world, i)->config.uuid, guest_at(world, j)->config.uuid, 16))
            return true;
    return false;
}

void *fake_vcpus(void *arg)
{
    struct fake_world *world = arg;
    uint32_t random = 1;

    atomic_store(&world->started, true);
    while (!atomic_load(&world->stop)) {
        for (unsigned i = 0; i < FAKE_HOSTS * FAKE_GUESTS; i++)
            if (atomic_load(&guest_at(world, i)->used))
                step(world, guest_at(world, i), &random);
        for (unsigned i = 0; i < FAKE_HOSTS * FAKE_GUESTS; i++)
            if (runs(guest_at(world, i)) && has_twin(world, i))
                atomic_store(&world->ran_twice, true);
        usleep(world->rest_us ? world->rest_us : 50);
    }
    return NULL;
}

pthread_t fake_vcpus_start(struct fake_world *world)
{
    pthread_t thread;

    pthread_create(&thread, NULL, fake_vcpus, world);
    while (!atomic_load(&world->started))
        usleep(100);
    return thread;
}

struct fake_world *fake_world_open(int fd)
{
    void *world = mmap(NULL, sizeof(struct fake_world), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return world == MAP_FAILED ? NULL : world;
}

static char run_dir[] = "/tmp/godwit-fake-XXXXXX";
static pid_t run_dir_owner;

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *ftw)
{
    return remove(path);
}

static void remove_run_dir(void)
{
    if (getpid() == run_dir_owner)
        nftw(run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Test programs run at the same time, with guests of the same names. */
static void make_run_dir(void)
{
    if (getenv("GODWIT_RUN_DIR") || !mkdtemp(run_dir))
        return;
    run_dir_owner = getpid();
    setenv("GODWIT_RUN_DIR", run_dir, 1);
    atexit(remove_run_dir);
}

struct fake_world *fake_world_create(int *ret_fd)
{
    make_run_dir();
    int fd = memfd_create("fake-world", 0);

    if (fd < 0 || ftruncate(fd, sizeof(struct fake_world)) < 0)
        return NULL;
    struct fake_world *world = fake_world_open(fd);
    for (unsigned i = 0; world && i < FAKE_HOSTS; i++) {
        world->hosts[i].facts.cntfrq_hz = 62500000;
        world->hosts[i].facts.id[14] = 0x410FD083;
        world->hosts[i].next_domid = 10 * i;
        world->hosts[i].boot_id = (uint8_t)(1 + i);
    }
    *ret_fd = fd;
    return world;
}
