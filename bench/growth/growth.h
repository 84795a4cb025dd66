/* SPDX-License-Identifier: MIT */
/* The machine that the growth benchmark runs core/ on. */
#ifndef GROWTH_H
#define GROWTH_H

#include <port/inline.h> /* growth_cpu_id */
#include <stdbool.h>
#include <stdint.h>

/* Call it first. False: no memory. */
bool growth_port_start(void);

/* Memory that core/ has allocated and not freed, tables included. */
uint64_t growth_port_bytes(void);

/* Batches of invalidations of all CPUs so far. */
uint64_t growth_port_invalidations(void);

#endif
