/* SPDX-License-Identifier: MIT */
/*
 * The guest on KVM: this program is the init of a Linux that has nothing else. It measures each of
 * KVM's ways to trace writes, with the guest's memory in pages and in 2 MiB blocks.
 */
#include "../scenario.h"
#include "../target.h"
#include "vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PROGRAM      "/guest.bin"
#define SETTLE_S     2
#define PAGE_BYTES   4096
#define RING_ENTRIES 65536u
#define LOST_PAGE    ((TRACKING_REGION_IPA - GUEST_RAM0_BASE) / PAGE_BYTES)
#define MANUAL_FLAGS (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

/* Of arm64 from Linux 6.3 on, newer than the headers: */
#define RING_PAGE            64  /* KVM_DIRTY_LOG_PAGE_OFFSET */
#define CAP_RING_WITH_BITMAP 225 /* KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP */

enum way { WAY_PLAIN, WAY_MANUAL, WAY_RING };

static const struct {
    const char *name;
    uint32_t capability; /* 0: always there */
    uint64_t argument;
} ways[] = {
    [WAY_PLAIN] = {"plain", 0, 0},
    [WAY_MANUAL] = {"manual", KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, MANUAL_FLAGS},
    [WAY_RING] = {"ring", KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
                  RING_ENTRIES * sizeof(struct kvm_dirty_gfn)},
};

static struct vm vm;
static enum way way;
static struct kvm_dirty_gfn *ring;
static uint32_t ring_next;
static uint32_t ring_answer[RING_ENTRIES], ring_pages;
static bool loses_a_page; /* on request of a test, which expects that all is void then */
static uint64_t bitmap[TRACKING_RAM_PAGES / 64];

void target_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* One instruction is one nanosecond of the emulated clock, whose counter ticks every 16. */
uint64_t target_instructions(void)
{
    uint64_t ticks;

    __asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks * 16;
}

uint64_t target_round(enum tracking_kind kind, uint32_t stride, uint32_t count)
{
    struct tracking_mailbox *mailbox =
        (struct tracking_mailbox *)(vm.ram + (TRACKING_MAILBOX_IPA - GUEST_RAM0_BASE));

    tracking_ask(mailbox, kind, stride, count);
    vm_run_to_doorbell(&vm);
    return mailbox->ticks;
}

void target_enable(void)
{
    vm_set_flags(&vm, KVM_MEM_LOG_DIRTY_PAGES);
}

void target_disable(void)
{
    vm_set_flags(&vm, 0);
}

uint64_t target_faults(void)
{
    return vm_exits(&vm);
}

/* KVM's is spread over the kernel's allocators. */
uint64_t target_memory(void)
{
    return 0;
}

/* Takes what the ring holds; the reset write-protects it again. */
static void harvest_ring(void)
{
    ring_pages = 0;
    for (;;) {
        struct kvm_dirty_gfn *entry = &ring[ring_next % RING_ENTRIES];

        /* acquire pairs with the kernel's publication of the entry */
        if ((__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY) == 0) {
            break;
        }
        ring_answer[ring_pages++] = (uint32_t)entry->offset;
        /* release pairs with the kernel's look at the flag in the reset */
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        ring_next++;
    }
    vm_ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, NULL, "reset the dirty ring");
}

static void harvest_bitmap(uint32_t slot, uint32_t pages)
{
    struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

    vm_ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log, "get the dirty log");
    if (way == WAY_MANUAL) {
        struct kvm_clear_dirty_log clear = {
            .slot = slot, .num_pages = pages, .dirty_bitmap = bitmap};

        vm_ioctl(vm.fd, KVM_CLEAR_DIRTY_LOG, &clear, "clear the dirty log");
    }
}

void target_harvest(void)
{
    if (way == WAY_RING) {
        harvest_ring();
    } else {
        harvest_bitmap(VM_SLOT, TRACKING_RAM_PAGES);
    }
}

const uint64_t *target_answer(void)
{
    if (way == WAY_RING) {
        memset(bitmap, 0, sizeof(bitmap));
        for (uint32_t i = 0; i < ring_pages; i++) {
            bitmap[ring_answer[i] / 64] |= UINT64_C(1) << ring_answer[i] % 64;
        }
    }
    if (loses_a_page) {
        bitmap[LOST_PAGE / 64] &= ~(UINT64_C(1) << LOST_PAGE % 64);
    }
    return bitmap;
}

uint32_t target_harvest_clean(bool larger)
{
    uint32_t pages = larger ? TRACKING_RAM_PAGES : VM_SMALL_BYTES / PAGE_BYTES;

    if (way == WAY_RING) {
        return 0;
    }
    harvest_bitmap(larger ? VM_SLOT : VM_SLOT_SMALL, pages);
    return pages;
}

static void map_ring(void)
{
    ring = mmap(NULL, ways[WAY_RING].argument, PROT_READ | PROT_WRITE, MAP_SHARED, vm.vcpu_fd,
                RING_PAGE * PAGE_BYTES);
    if (ring == MAP_FAILED) {
        die("map the dirty ring: %s", strerror(errno));
    }
    ring_next = 0;
}

/* Returns whether the logs were exact. */
static bool measure(enum way wanted, enum kvm_layout layout)
{
    char series[32];
    bool valid;

    way = wanted;
    snprintf(series, sizeof(series), "%s/%s", ways[way].name,
             layout == KVM_LAYOUT_PAGES ? "pages" : "blocks");
    vm_create(&vm);
    if (ways[way].capability != 0) {
        if (!vm_has(&vm, ways[way].capability)) {
            close(vm.fd);
            printf("absent %s\n", series);
            return true;
        }
        vm_enable_capability(&vm, ways[way].capability, ways[way].argument, ways[way].name);
    }
    if (way == WAY_RING) { /* without it, KVM goes on mapping blocks and notes a page of each */
        vm_enable_capability(&vm, CAP_RING_WITH_BITMAP, 0, "ring with bitmap");
    }
    vm_finish(&vm, layout, PROGRAM);
    if (way == WAY_RING) {
        map_ring();
    }
    if (way != WAY_RING) {
        vm_set_small_flags(&vm, KVM_MEM_LOG_DIRTY_PAGES);
        (void)target_harvest_clean(false); /* what is initially set */
    }
    valid = scenario_run(series);
    if (way == WAY_RING) {
        munmap(ring, ways[WAY_RING].argument);
    }
    vm_destroy(&vm);
    return valid;
}

int main(void)
{
    bool valid = true;
    struct utsname name;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0) {
        die("mount /dev: %s", strerror(errno));
    }
    sleep(SETTLE_S);                       /* the kernel still has work of its own after boot */
    loses_a_page = getenv("lose") != NULL; /* "lose=1" of the kernel's command line */
    uname(&name);
    printf("kernel %s %s\n", name.release, name.version);
    for (enum way next = WAY_PLAIN; next <= WAY_RING; next++) {
        valid &= measure(next, KVM_LAYOUT_PAGES);
        valid &= measure(next, KVM_LAYOUT_BLOCKS);
    }
    printf("Test result: %s\n", valid ? "PASS" : "FAIL");
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 1;
}
