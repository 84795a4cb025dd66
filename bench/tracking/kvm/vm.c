/* SPDX-License-Identifier: MIT */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#define BLOCK_BYTES (UINT64_C(2) << 20)
/* Where the guest does not look; aligned to 64 KiB as KVM asks for. */
#define GICD_BASE   UINT64_C(0x08000000)
#define GICR_BASE   UINT64_C(0x080a0000)

_Noreturn void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("ERROR: ");
    vprintf(format, args);
    printf("\nTest result: ERROR\n");
    va_end(args);
    fflush(stdout);
    reboot(RB_POWER_OFF);
    abort();
}

int vm_ioctl(int fd, unsigned long request, void *argument, const char *what)
{
    int result = ioctl(fd, request, argument);

    if (result < 0) {
        die("%s: %s", what, strerror(errno));
    }
    return result;
}

static int open_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        die("/dev/kvm: %s", strerror(errno));
    }
    return fd;
}

void vm_create(struct vm *vm)
{
    int kvm = open_kvm();

    *vm = (struct vm){.fd = vm_ioctl(kvm, KVM_CREATE_VM, NULL, "create a VM")};
    close(kvm);
}

bool vm_has(const struct vm *vm, uint32_t capability)
{
    return ioctl(vm->fd, KVM_CHECK_EXTENSION, (unsigned long)capability) > 0;
}

void vm_enable_capability(struct vm *vm, uint32_t capability, uint64_t argument, const char *what)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};

    vm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap, what);
}

static void set_slot(const struct vm *vm, uint32_t slot, uint64_t address, uint64_t bytes,
                     uint32_t flags)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = flags,
        .guest_phys_addr = address,
        .memory_size = bytes,
        .userspace_addr = (uintptr_t)vm->ram,
    };

    vm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region, "set a memory slot");
}

/* The small slot may share the memory: the guest never comes there. */
void vm_set_flags(const struct vm *vm, uint32_t flags)
{
    set_slot(vm, VM_SLOT, GUEST_RAM0_BASE, TRACKING_RAM_BYTES, flags);
}

void vm_set_small_flags(const struct vm *vm, uint32_t flags)
{
    set_slot(vm, VM_SLOT_SMALL, GUEST_RAM0_BASE + TRACKING_RAM_BYTES, VM_SMALL_BYTES, flags);
}

static void add_memory(struct vm *vm, enum kvm_layout layout)
{
    size_t bytes = TRACKING_RAM_BYTES + BLOCK_BYTES;
    void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (mapping == MAP_FAILED) {
        die("memory for the guest: %s", strerror(errno));
    }
    vm->ram_mapping = mapping;
    vm->ram = (uint8_t *)(((uintptr_t)mapping + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1));
    if (madvise(vm->ram, TRACKING_RAM_BYTES,
                layout == KVM_LAYOUT_BLOCKS ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0) {
        die("madvise: %s", strerror(errno));
    }
    memset(vm->ram, 0, TRACKING_RAM_BYTES);
    vm_set_flags(vm, 0);
    vm_set_small_flags(vm, 0);
}

static void load_program(struct vm *vm, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1
                           : read(fd, vm->ram + (TRACKING_LOAD_IPA - GUEST_RAM0_BASE),
                                  TRACKING_MAILBOX_IPA - TRACKING_LOAD_IPA);

    if (bytes <= 0) {
        die("%s: %s", path, strerror(errno));
    }
    close(fd);
}

/* Every VMM gives its guests a GIC, and KVM looks after it at each exit. */
static void add_gic(struct vm *vm)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    uint64_t distributor = GICD_BASE, redistributor = GICR_BASE;
    struct kvm_device_attr attr = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR};

    vm_ioctl(vm->fd, KVM_CREATE_DEVICE, &device, "create a GICv3");
    attr.attr = KVM_VGIC_V3_ADDR_TYPE_DIST;
    attr.addr = (uintptr_t)&distributor;
    vm_ioctl((int)device.fd, KVM_SET_DEVICE_ATTR, &attr, "place the distributor");
    attr.attr = KVM_VGIC_V3_ADDR_TYPE_REDIST;
    attr.addr = (uintptr_t)&redistributor;
    vm_ioctl((int)device.fd, KVM_SET_DEVICE_ATTR, &attr, "place the redistributor");
    attr = (struct kvm_device_attr){.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
                                    .attr = KVM_DEV_ARM_VGIC_CTRL_INIT};
    vm_ioctl((int)device.fd, KVM_SET_DEVICE_ATTR, &attr, "initialise the GIC");
    close((int)device.fd);
}

static void add_vcpu(struct vm *vm)
{
    struct kvm_vcpu_init init;
    uint64_t entry = TRACKING_LOAD_IPA;
    struct kvm_one_reg pc = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
                                   KVM_REG_ARM_CORE_REG(regs.pc),
                             .addr = (uintptr_t)&entry};
    int kvm = open_kvm();
    int run_bytes = vm_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "size of the run structure");

    close(kvm);
    vm->vcpu_fd = vm_ioctl(vm->fd, KVM_CREATE_VCPU, NULL, "create a vCPU");
    vm_ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init, "preferred target");
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    vm_ioctl(vm->vcpu_fd, KVM_ARM_VCPU_INIT, &init, "initialise the vCPU");
    vm_ioctl(vm->vcpu_fd, KVM_SET_ONE_REG, &pc, "set the program counter");
    vm->run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
    if (vm->run == MAP_FAILED) {
        die("map the run structure: %s", strerror(errno));
    }
}

/* Finds the counter "exits" in the vCPU's statistics. */
static void find_exits(struct vm *vm)
{
    struct kvm_stats_header header;
    _Alignas(struct kvm_stats_desc) char text[sizeof(struct kvm_stats_desc) + 64];
    struct kvm_stats_desc *desc = (struct kvm_stats_desc *)text;

    vm->stats_fd = vm_ioctl(vm->vcpu_fd, KVM_GET_STATS_FD, NULL, "statistics");
    if (pread(vm->stats_fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        header.name_size > 64) {
        die("statistics have an unknown layout");
    }
    for (uint32_t i = 0; i < header.num_desc; i++) {
        size_t size = sizeof(*desc) + header.name_size;

        if (pread(vm->stats_fd, desc, size, (off_t)(header.desc_offset + i * size)) !=
            (ssize_t)size) {
            break;
        }
        if (strcmp(desc->name, "exits") == 0) {
            vm->exits_offset = header.data_offset + desc->offset;
            return;
        }
    }
    die("no statistic of exits");
}

void vm_finish(struct vm *vm, enum kvm_layout layout, const char *program)
{
    add_memory(vm, layout);
    load_program(vm, program);
    add_vcpu(vm);
    add_gic(vm);
    find_exits(vm);
}

void vm_destroy(struct vm *vm)
{
    int kvm = open_kvm();

    munmap(vm->run,
           (size_t)vm_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "size of the run structure"));
    close(kvm);
    close(vm->stats_fd);
    close(vm->vcpu_fd);
    close(vm->fd);
    munmap(vm->ram_mapping, TRACKING_RAM_BYTES + BLOCK_BYTES);
}

void vm_run_to_doorbell(struct vm *vm)
{
    for (;;) {
        if (ioctl(vm->vcpu_fd, KVM_RUN, 0) != 0 && errno != EINTR) {
            die("run the vCPU: %s", strerror(errno));
        }
        if (vm->run->exit_reason == KVM_EXIT_INTR) {
            continue;
        }
        if (vm->run->exit_reason != KVM_EXIT_MMIO || !vm->run->mmio.is_write ||
            vm->run->mmio.phys_addr != TRACKING_DOORBELL_IPA) {
            die("the guest leaves for reason %u, address %llx", vm->run->exit_reason,
                vm->run->exit_reason == KVM_EXIT_MMIO ? vm->run->mmio.phys_addr : 0);
        }
        return;
    }
}

uint64_t vm_exits(const struct vm *vm)
{
    uint64_t exits;

    if (pread(vm->stats_fd, &exits, sizeof(exits), (off_t)vm->exits_offset) !=
        (ssize_t)sizeof(exits)) {
        die("read the statistics: %s", strerror(errno));
    }
    return exits;
}
