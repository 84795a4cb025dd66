/* SPDX-License-Identifier: MIT */
#include "cpu_features.h"

#include "sysreg.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <port/arm64.h>

#define PA_BITS_MAX 48u

struct cpu_features cpu_features;

static unsigned pa_bits_here(void)
{
    static const unsigned char bits[] = {32, 36, 40, 42, 44, 48};
    unsigned range = READ_SYSREG(id_aa64mmfr0_el1) & 0xf;

    return range < sizeof(bits) ? bits[range] : PA_BITS_MAX;
}

void cpu_features_init(void)
{
    unsigned granule_4k = (READ_SYSREG(id_aa64mmfr0_el1) >> 28) & 0xf;

    if (granule_4k == 0xf) {
        panic("this CPU has no 4 KiB pages");
    }
    cpu_features.pa_bits = pa_bits_here();
}

void cpu_features_check_this_cpu(void)
{
    if (port_atomics_are_patched() && !port_cpu_has_atomics()) {
        panic("cpu %u lacks atomic instructions that the boot CPU has", this_cpu()->id);
    }
    if (pa_bits_here() < cpu_features.pa_bits) {
        panic("cpu %u has %u physical address bits, the boot CPU %u", this_cpu()->id,
              pa_bits_here(), cpu_features.pa_bits);
    }
}
