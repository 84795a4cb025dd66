/* SPDX-License-Identifier: MIT */
/* One VM of /dev/kvm with one vCPU, a GICv3 and the tracking guest in one slot of memory. */
#ifndef KVM_VM_H
#define KVM_VM_H

#include "../protocol.h"

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

enum kvm_layout { KVM_LAYOUT_PAGES, KVM_LAYOUT_BLOCKS };

struct vm {
    int fd, vcpu_fd, stats_fd;
    struct kvm_run *run;
    uint8_t *ram;          /* TRACKING_RAM_BYTES, backed as the layout says */
    void *ram_mapping;     /* what to unmap */
    uint64_t exits_offset; /* of the counter in stats_fd */
};

#define VM_SLOT        0u
#define VM_SLOT_SMALL  1u /* memory that nobody uses, a quarter of the guest's */
#define VM_SMALL_BYTES (TRACKING_RAM_BYTES / 4)

/* Prints why nothing can be measured, and powers off. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ioctl that succeeds or dies; what names it in the message. */
int vm_ioctl(int fd, unsigned long request, void *argument, const char *what);

/* A VM without memory and vCPU: capabilities are enabled now. */
void vm_create(struct vm *vm);
/* Memory, program and vCPU. */
void vm_finish(struct vm *vm, enum kvm_layout layout, const char *program);
void vm_destroy(struct vm *vm);

bool vm_has(const struct vm *vm, uint32_t capability);
void vm_enable_capability(struct vm *vm, uint32_t capability, uint64_t argument, const char *what);

/* Tells KVM about a slot again, with other flags. */
void vm_set_flags(const struct vm *vm, uint32_t flags);
void vm_set_small_flags(const struct vm *vm, uint32_t flags);

/* Runs the guest until it rings its doorbell. */
void vm_run_to_doorbell(struct vm *vm);

/* Exits of the vCPU so far. */
uint64_t vm_exits(const struct vm *vm);

#endif
