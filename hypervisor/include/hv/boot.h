/* SPDX-License-Identifier: MIT */
/* The start sequence (main.c). */
#ifndef HV_BOOT_H
#define HV_BOOT_H

#include <stdint.h>

/* First C code: on the provisional tables and the boot CPU's stack. Physical addresses. */
_Noreturn void boot_main(uint64_t fdt_pa, uint64_t image_pa);

/* What every CPU does to be ready for guests, after its GIC and timer are up. */
void boot_init_cpu(void);

#endif
