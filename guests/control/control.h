/* SPDX-License-Identifier: MIT */
/*
 * What a bare-metal control domain needs to create and drive guests: thin calls over Xen's ABI.
 * All functions return 0 (or a count) or a negative Xen errno.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <guest/layout.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/domctl.h>
#include <xen/xen.h>

/* Where a test guest shares a page with its control domain (guest physical). */
#define MAILBOX_GFN    ((GUEST_RAM0_BASE + GUEST_MAILBOX_OFFSET) >> 12)
#define VUART_GFN      ((GUEST_MAGIC_BASE >> 12) + 3)
#define GUEST_LOAD_IPA (GUEST_RAM0_BASE + 0x80000)

struct control_guest {
    domid_t domid;
    uint64_t ram_pages;
    uint32_t vcpus;
    volatile struct xencons_interface *ring;
    uint32_t local_port;
    uint64_t output_bytes;
    bool line_start;
    bool quiet;    /* do not copy the guest's console to ours */
    char tail[64]; /* last bytes of its output, for the verdict */
    uint32_t tail_bytes;
};

int64_t control_domctl(struct xen_domctl *op, uint32_t cmd, domid_t domid);

/* How a guest's RAM is mapped: as large as possible, or in pages that can never become blocks. */
enum control_layout { CONTROL_LAYOUT_BLOCKS, CONTROL_LAYOUT_PAGES };

/* Creates a paused guest with ram_bytes at RAM bank 0 and a vuart ring; nothing is loaded. */
int control_guest_create(struct control_guest *guest, uint64_t ram_bytes, uint32_t vcpus);
int control_guest_create_as(struct control_guest *guest, uint64_t ram_bytes, uint32_t vcpus,
                            enum control_layout layout);
/* Copies data to a page-aligned guest physical address. */
int control_guest_copy(struct control_guest *guest, uint64_t ipa, const void *data, size_t bytes);
/* vCPU 0 starts at pc with this x0. */
int control_guest_point(struct control_guest *guest, uint64_t pc, uint64_t x0);
/* Copies a program to its load address and points vCPU 0 at it. */
int control_guest_load(struct control_guest *guest, const void *program, size_t bytes);
int control_guest_unpause(struct control_guest *guest);
int control_guest_pause(struct control_guest *guest);
int control_guest_destroy(struct control_guest *guest);
/* Copies console output on; true once the guest has shut down. *ret_code: SHUTDOWN_*. */
bool control_guest_poll(struct control_guest *guest, uint32_t *ret_code);
/* Polls until it has shut down or ms have passed (-ETIME). Returns the shutdown code. */
int control_guest_wait(struct control_guest *guest, uint64_t ms);

/* Maps a guest page at a free page of ours; NULL on failure. */
void *control_map(domid_t domid, uint64_t gfn);
int control_unmap(void *page);
/* Takes our own pages back; -EBUSY while something is mapped. */
int control_window_close(void);
int64_t control_memory_op(uint64_t cmd, void *argument);
int64_t control_populate(domid_t domid, uint64_t gfn, uint32_t order);

/* Free pages of the host, from sysctl physinfo. */
uint64_t control_free_pages(void);
/* The same after a guest has come and gone: what is allocated once is not taken for a leak. */
uint64_t control_free_pages_settled(void);

/* The module that the boot loader passed as ramdisk. */
int control_ramdisk(const void *dtb, const void **ret_start, size_t *ret_bytes);
/* "name=value" on our command line as a number. */
uint64_t control_option(const void *dtb, const char *name, uint64_t fallback);

struct shadow_result {
    int64_t rc;
    uint64_t pages;
    uint32_t fault_count, dirty_count;
};
struct shadow_result control_shadow(domid_t domid, uint32_t op, uint32_t mode, void *bitmap,
                                    uint64_t pages);

#endif
