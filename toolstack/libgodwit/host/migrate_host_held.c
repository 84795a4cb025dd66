/* SPDX-License-Identifier: MIT */
/* Guests that two hosts know: the note at the one that sent it, and where it is at the other. */
#include "handover/handover.h"
#include "migrate_host_xen.h"

#include <libgodwit/domain.h>
#include <libgodwit/migrate.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int migrate_xen_hold(void *ctx, uint32_t domid, const char *note, struct gw_error *err)
{
    char number[16];
    struct gw_guest guest;
    int rc;

    snprintf(number, sizeof(number), "%u", domid);
    rc = gw_guest_find(((struct migrate_xen *)ctx)->hv, number, &guest, err);
    if (rc == 0)
        rc = gw_registry_hold(guest.name, domid, note, err);
    if (rc && !note && err->code == GW_EXIT_NO_GUEST) { /* there is nobody to hold */
        *err = (struct gw_error){0};
        return 0;
    }
    return rc;
}

int migrate_xen_held(void *ctx, const char *name, struct migrate_held *ret_held,
                     struct gw_error *err)
{
    struct gw_record record;
    struct gw_guest guest;

    if (gw_guest_find(((struct migrate_xen *)ctx)->hv, name, &guest, err) ||
        gw_registry_find(guest.name, &record, err))
        return -1;
    if (strcmp(guest.name, name) != 0) { /* a number: its migration has locked the name */
        gw_record_free(&record);
        return gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    }
    ret_held->domid = guest.info.domid;
    memcpy(ret_held->uuid, record.uuid, sizeof(ret_held->uuid));
    ret_held->note = record.held;
    record.held = NULL;
    gw_record_free(&record);
    if (ret_held->note)
        return 0;
    return gw_error_set(err, GW_EXIT_STATE, "%s is not held: there is nothing to resolve", name);
}

/* What a domain of the guest's UUID means. */
static enum handover_whereabouts whereabouts_of(const struct gw_guest *guest)
{
    struct gw_error unused = {0};
    struct gw_record record;

    if (gw_registry_find(guest->name, &record, &unused)) /* no name yet, or none any more */
        return gw_domain_info_dying(&guest->info) ? HANDOVER_NOT_HERE : HANDOVER_ARRIVING;
    gw_record_free(&record);
    if (!gw_name_is_incoming(guest->name))
        return HANDOVER_HERE;
    return gw_incoming_is_abandoned(guest->name, guest->info.domid) ? HANDOVER_NEVER_RAN
                                                                    : HANDOVER_ARRIVING;
}

int migrate_xen_locate(void *ctx, const uint8_t uuid[16], uint32_t *ret_where, struct gw_error *err)
{
    struct gw_guest *guests;
    size_t n;

    if (gw_guest_list(((struct migrate_xen *)ctx)->hv, &guests, &n, err))
        return -1;
    *ret_where = HANDOVER_NOT_HERE;
    for (size_t i = 0; i < n; i++)
        if (!memcmp(guests[i].info.uuid, uuid, sizeof(guests[i].info.uuid)) &&
            *ret_where != HANDOVER_HERE)
            *ret_where = whereabouts_of(&guests[i]);
    free(guests);
    return 0;
}
