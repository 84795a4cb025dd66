/* SPDX-License-Identifier: MIT */
/* What Debian's libfdt.a, compiled with stack protection, asks for. */
#include <hv/console.h>
#include <stdint.h>

extern uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);

/* Constant: the library only reads the tree of the boot loader and runs before any guest. */
uintptr_t __stack_chk_guard = 0x00e1ab0f3c5a7700;

void __stack_chk_fail(void)
{
    panic("stack overwritten in libfdt");
}
