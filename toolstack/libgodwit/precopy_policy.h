/* SPDX-License-Identifier: MIT */
/* When to stop the guest and send the rest. */
#ifndef PRECOPY_POLICY_H
#define PRECOPY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct precopy_limits {
    unsigned max_rounds;      /* rounds that the guest runs through, the first included */
    uint64_t few_pages;       /* so little that another round is not worth it */
    unsigned max_downtime_ms; /* what the guest may miss */
};

struct precopy_round {
    uint64_t pages;      /* sent */
    uint64_t zero_pages; /* of them, as a mark */
    uint64_t dirtied;    /* by the guest meanwhile */
    uint64_t bytes;
    uint64_t ms;
};

/* rounds[0..n) are done, n > 0. true: stop the guest now. ret_why: a word or two for people. */
bool precopy_should_stop(const struct precopy_limits *limits, const struct precopy_round *rounds,
                         unsigned n, const char **ret_why);

/* How long sending the pages dirtied in the last round will take at its speed, in ms. */
uint64_t precopy_estimate_ms(const struct precopy_round *round);

#endif
