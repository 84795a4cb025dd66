/* SPDX-License-Identifier: MIT */
/*
 * What the witness's parts agree on: the control program in the control domain, the plugin in the
 * emulator, and the tool that packs the Linux guest. Plain C: the host's compiler reads it too.
 */
#ifndef GUEST_WITNESS_H
#define GUEST_WITNESS_H

#include <stdint.h>

/*
 * The control program speaks to the plugin by loads that throw their result away,
 * `ldrb wzr, [address, #WITNESS_OFFSET + word]`: the plugin knows the instruction, and gets the
 * address. Without a plugin such a load does nothing.
 */
#define WITNESS_OFFSET 0xf40

enum witness_word {
    WITNESS_FRAME,    /* address: in the frame of the watched guest's next page */
    WITNESS_BASE,     /* address: page 0 of the reports */
    WITNESS_START,    /* address - base: enum witness_mode. Logging is on; the first round begins */
    WITNESS_CLEANED,  /* CLEAN has returned; the report follows */
    WITNESS_REPORTED, /* address - base: a page of the report */
    WITNESS_END,      /* end of the report */
    WITNESS_STILL,    /* the guest is paused: nobody may store until STOP */
    WITNESS_STOP,     /* logging ends */
    WITNESS_WORDS,
};

/* How a session's log notices writes and splits blocks: one of each, ORed. */
enum witness_mode {
    WITNESS_FAULT = 0,
    WITNESS_HARDWARE = 1,
    WITNESS_LAZY = 0,
    WITNESS_EAGER = 2,
    WITNESS_MODES = 4,
};

#define WITNESS_MAGIC  UINT64_C(0x313053534e544957) /* "WITNSS01" */
#define WITNESS_PIECES 3

/* Head of the file that holds the Linux guest: kernel, ramdisk, device tree. */
struct witness_bundle {
    uint64_t magic;
    uint64_t ram_bytes; /* of the guest, from RAM bank 0 on */
    uint64_t entry;     /* guest physical */
    uint64_t tree;      /* guest physical: what vCPU 0 finds in x0 */
    uint32_t vcpus;
    uint32_t pad;
    struct {
        uint64_t offset; /* in the file */
        uint64_t bytes;
        uint64_t ipa; /* page aligned */
    } piece[WITNESS_PIECES];
};

#endif
