/* SPDX-License-Identifier: MIT */
/*
 * A connection between two fake hosts that can be cut, or fall silent, after any byte: a process
 * that runs the receiver behind it and carries bytes both ways.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

enum wire_end {
    WIRE_WHOLE,  /* never */
    WIRE_CUT,    /* both sides meet the end of their input */
    WIRE_SILENT, /* nobody hears anything more, nobody is told */
};

struct wire_plan {
    enum wire_end end;
    int back; /* 0: counts what goes to the receiver; 1: what comes from it */
    uint64_t bytes;
    void (*on_silence)(void); /* NULL, or called when it begins */
};

/* For a command line: "END BACK BYTES" in one word, and from it. */
void wire_plan_print(const struct wire_plan *plan, char text[64]);
struct wire_plan wire_plan_read(const char *text);

/*
 * Runs argv behind the connection, with our own standard input and output at the near end. Returns
 * when both sides have closed, or the plan's end has come. ret_bytes: how many were carried to it
 * and from it.
 */
int wire_run(const struct wire_plan *plan, char *const *argv, uint64_t ret_bytes[2]);

#endif
