/* SPDX-License-Identifier: MIT */
/*
 * The part of QEMU's plugin interface, version 1, that our plugins call: the emulator's package
 * brings the functions but no header. Declared from the interface's published description and
 * checked against QEMU 7.2; own words throughout.
 */
#ifndef WITNESS_QEMU_PLUGIN_H
#define WITNESS_QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a plugin: which version it was written for, and where QEMU enters it. 0 means it will work. */
#define QEMU_PLUGIN_INTERFACE 1

typedef uint64_t qemu_plugin_id_t;

struct qemu_plugin_host {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
    int smp_vcpus, max_vcpus;
};

/* A block of guest instructions while QEMU translates it, and one instruction of it. */
struct qemu_plugin_tb;
struct qemu_plugin_insn;
/* Where a virtual address lay in physical memory, valid inside a memory callback only. */
struct qemu_plugin_hwaddr;
/* Size and direction of an access, packed. */
typedef uint32_t qemu_plugin_meminfo_t;

enum qemu_plugin_inline { QEMU_PLUGIN_INLINE_ADD_64 };
enum qemu_plugin_registers { QEMU_PLUGIN_NO_REGISTERS };
/* QEMU 7.2 has the choice between loads (1) and stores (2) wrong: ask for both, look at the info.
 */
enum qemu_plugin_access { QEMU_PLUGIN_LOADS_AND_STORES = 3 };

typedef void (*qemu_plugin_translate_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_execute_cb)(unsigned vcpu, void *user);
typedef void (*qemu_plugin_access_cb)(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address,
                                      void *user);
typedef void (*qemu_plugin_exit_cb)(qemu_plugin_id_t id, void *user);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_translate_cb cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, qemu_plugin_exit_cb cb, void *user);
/* The callback comes before the instruction. */
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            qemu_plugin_execute_cb cb,
                                            enum qemu_plugin_registers registers, void *user);
/* The callback comes before the block. */
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_execute_cb cb,
                                          enum qemu_plugin_registers registers, void *user);
/* Adds before the block, without a call: not atomic, so exact on hosts with one CPU. */
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_inline op,
                                              void *number, uint64_t value);
/* The callback comes after the access, once for each that the instruction makes. */
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_access_cb cb,
                                      enum qemu_plugin_registers registers,
                                      enum qemu_plugin_access access, void *user);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
/* log2 of the bytes. */
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
/* NULL if the emulator's TLB does not hold the page of this address. */
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *at);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *at);

#endif
