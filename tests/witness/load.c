/* SPDX-License-Identifier: MIT */
/*
 * The only program of the watched Linux guest, its /init: keeps every CPU storing in every way that
 * Linux offers. One worker a CPU goes through plain stores, address-space churn, fork and exec, and
 * files.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, REGION_PAGES = 512, CHURN_PAGES = 24, FILE_BYTES = 96 * 1024 };

static uint8_t *region; /* shared by all workers */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Aligned, unaligned, over page boundaries, pairs, and atomics on shared pages. */
static void store_around(uint64_t *random)
{
    for (unsigned i = 0; i < 400; i++) {
        uint64_t r = next_random(random);
        uint8_t *page = region + (r >> 8) % (REGION_PAGES - 1) * PAGE_BYTES;

        switch (r & 7) {
        case 0:
            __asm__ volatile("str %0, [%1]" ::"r"(r), "r"(page + PAGE_BYTES - 3) : "memory");
            break;
        case 1:
            __asm__ volatile("stp %0, %0, [%1]" ::"r"(r), "r"(page + PAGE_BYTES - 8) : "memory");
            break;
        case 2:
            __atomic_fetch_add((uint64_t *)(void *)page, 1, __ATOMIC_SEQ_CST);
            break;
        case 3:
            memset(page + 64, (int)r, 512);
            break;
        default:
            page[r % PAGE_BYTES] = (uint8_t)r;
        }
    }
}

/* Page-table pages come and go; pages change from writable to not and back. */
static void churn_mappings(void)
{
    size_t bytes = (size_t)CHURN_PAGES * PAGE_BYTES;
    uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        return;
    }
    for (unsigned i = 0; i < CHURN_PAGES; i += 2) {
        at[i * PAGE_BYTES] = 1;
    }
    mprotect(at, bytes, PROT_READ);
    mprotect(at, bytes / 2, PROT_READ | PROT_WRITE);
    at[0] = 2;
    munmap(at, bytes);
}

static void fork_and_exec(void)
{
    pid_t child = fork();

    if (child == 0) {
        execl("/init", "init", "child", NULL);
        _exit(1);
    }
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
}

static void copy_files(unsigned worker)
{
    static uint8_t data[FILE_BYTES];
    char from[32], to[32];
    int in, out;

    snprintf(from, sizeof(from), "/from-%u", worker);
    snprintf(to, sizeof(to), "/to-%u", worker);
    data[0]++;
    in = open(from, O_RDWR | O_CREAT | O_TRUNC, 0600);
    out = open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (in >= 0 && out >= 0 && write(in, data, sizeof(data)) == (ssize_t)sizeof(data)) {
        lseek(in, 0, SEEK_SET);
        (void)!sendfile(out, in, NULL, sizeof(data));
    }
    close(in);
    close(out);
    unlink(from);
    unlink(to);
}

static void work(unsigned worker)
{
    uint64_t random = 0x9e3779b97f4a7c15 * (worker + 1);
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(worker, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    for (unsigned step = worker;; step++) {
        store_around(&random);
        switch (step % 4) {
        case 0:
            churn_mappings();
            break;
        case 1:
            fork_and_exec();
            break;
        case 2:
            copy_files(worker);
            break;
        default:
            break;
        }
    }
}

int main(int argc, char **argv)
{
    unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

    if (argc > 1 && strcmp(argv[1], "child") == 0) {
        return 0;
    }
    region = mmap(NULL, (size_t)REGION_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) {
        puts("load: no memory");
        return 1;
    }
    for (unsigned i = 0; i < cpus; i++) {
        if (fork() == 0) {
            work(i);
        }
    }
    printf("load: %u workers\n", cpus);
    for (;;) {
        wait(NULL);
    }
}
