/* SPDX-License-Identifier: MIT */
/* One thread plays all CPUs: there is nothing to order. */
#ifndef TESTS_TIME_BARRIER_H
#define TESTS_TIME_BARRIER_H

#define isb() ((void)0)

#endif
