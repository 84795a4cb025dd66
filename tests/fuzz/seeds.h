/* SPDX-License-Identifier: MIT */
/* Streams as this version writes them, from which the fuzzing of streams begins. */
#ifndef SEEDS_H
#define SEEDS_H

/* Writes each into a file of its own in this folder. 0, or -1 with a message. */
int seeds_write(const char *folder);

#endif
