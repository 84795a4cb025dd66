/* SPDX-License-Identifier: MIT */
/* Making and ending domains. Restore and migration share the first two steps with create. */
#ifndef LIBGODWIT_DOMAIN_H
#define LIBGODWIT_DOMAIN_H

#include <libgodwit/config.h>
#include <libgodwit/error.h>
#include <libgodwit/hv.h>

struct gw_domain {
    uint32_t domid;
    uint32_t console_port; /* guest's end of the console's event channel */
    bool logdirty_changed; /* the host cannot notice writes as configured: it does it its own way */
};

/*
 * What happens when the host's CPUs cannot do what `logdirty` asks for. A new guest is refused: its
 * owner is there and can choose. One that exists is built anyway (restore, migration, reboot): the
 * setting is about cost, and the guest runs everywhere.
 */
enum gw_logdirty_policy { GW_LOGDIRTY_REFUSE, GW_LOGDIRTY_ADAPT };

/*
 * A paused domain with vCPUs, all of its RAM (in the largest extents that fit), magic pages and the
 * console ring; nothing loaded. On failure nothing of it remains.
 */
int gw_domain_create_empty(struct gw_hv *hv, const struct gw_config *config,
                           enum gw_logdirty_policy policy, struct gw_domain *ret_domain,
                           struct gw_error *err);
/* Loads kernel, ramdisk and device tree into it and sets vCPU 0 to the entry. */
int gw_domain_load(struct gw_hv *hv, const struct gw_config *config, const struct gw_domain *domain,
                   struct gw_error *err);
/*
 * All of `godwit create`: checks, builds, registers, and starts unless paused. On failure nothing
 * of it remains, neither domain nor registry entry.
 */
int gw_domain_create(struct gw_hv *hv, const struct gw_config *config, bool paused,
                     struct gw_domain *ret_domain, struct gw_error *err);
/* The same for a guest that was here before and starts again: GW_LOGDIRTY_ADAPT. */
int gw_domain_restart(struct gw_hv *hv, const struct gw_config *config,
                      struct gw_domain *ret_domain, struct gw_error *err);
/* Destroys the domain and drops its registry entry (if it has one). */
int gw_domain_destroy(struct gw_hv *hv, uint32_t domid, struct gw_error *err);

/* A guest by name or by number, registered or not, with the hypervisor's view of it. */
struct gw_guest {
    char name[GW_NAME_BYTES]; /* "(null)"-free: "domain-N" if nobody registered it */
    struct gw_domain_info info;
};

int gw_guest_find(struct gw_hv *hv, const char *name_or_domid, struct gw_guest *ret_guest,
                  struct gw_error *err);
/* All domains, the control domain first. free() the array. */
int gw_guest_list(struct gw_hv *hv, struct gw_guest **ret_guests, size_t *ret_n,
                  struct gw_error *err);

#endif
