/* SPDX-License-Identifier: MIT */
/* What the decoder made of an input, for who keeps the corpus. */
#ifndef FUZZ_STREAM_H
#define FUZZ_STREAM_H

#include "stream/stream_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* Told of each record, good or refused; NULL: nobody asks. */
extern void (*fuzz_stream_tell)(const struct stream_reader *reader,
                                const struct stream_checker *checker, uint32_t type, bool good);

#endif
