/* SPDX-License-Identifier: MIT */
/* Between domain.c (references) and destroy.c (what a domain consists of). */
#ifndef DOMAIN_DOMAIN_INTERNAL_H
#define DOMAIN_DOMAIN_INTERNAL_H

struct domain;

/* Frees vCPUs, vGIC and stage 2 of a domain that was destroyed and that nobody refers to. */
void domain_free_parts(struct domain *d);

#endif
