/* SPDX-License-Identifier: MIT */
/* Debian's libfdt is built with the stack protector: this is what it asks of its program. */
#include <guest/report.h>
#include <stdint.h>

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0x9d7e5a3cbe214f00;

_Noreturn void __stack_chk_fail(void);
_Noreturn void __stack_chk_fail(void)
{
    report_abort("stack smashed");
}
