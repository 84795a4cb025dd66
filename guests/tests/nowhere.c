/* SPDX-License-Identifier: MIT */
/* Jumps to nowhere with nowhere to take the exception: an endless fault, and only this guest's. */
#include <guest/main.h>
#include <guest/print.h>
#include <guest/sysreg.h>

void guest_main(const void *dtb)
{
    print("jumping to nowhere\n");
    write_sysreg(vbar_el1, 0x10000000);
    isb();
    ((void (*)(void))0x11000000)();
}
