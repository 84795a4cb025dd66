/* SPDX-License-Identifier: MIT */
/* Guests by name: the registry's names joined with the hypervisor's domains. */
#include <errno.h>
#include <libgodwit/domain.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_STEP 64u

static void guest_name(struct gw_guest *guest, const struct gw_record *records, size_t n)
{
    if (guest->info.domid == 0) {
        snprintf(guest->name, sizeof(guest->name), "Domain-0");
        return;
    }
    snprintf(guest->name, sizeof(guest->name), "domain-%u", guest->info.domid);
    for (size_t i = 0; i < n; i++) {
        /* The uuid tells a domain from an earlier one with the same number. */
        if (records[i].domid == guest->info.domid &&
            !memcmp(records[i].uuid, guest->info.uuid, sizeof(guest->info.uuid)))
            memcpy(guest->name, records[i].name, sizeof(guest->name));
    }
}

/* Reads all domains of the hypervisor into a growing array. */
static int list_domains(struct gw_hv *hv, struct gw_guest **guests, size_t *n, struct gw_error *err)
{
    struct gw_domain_info infos[LIST_STEP];
    uint32_t first = 0;

    for (;;) {
        unsigned got = 0;
        int rc = gw_hv_domain_list(hv, first, infos, LIST_STEP, &got);
        struct gw_guest *grown;

        if (rc < 0)
            return gw_error_errno(err, rc, "cannot list the domains");
        if (got == 0)
            return 0;
        grown = realloc(*guests, (*n + got) * sizeof(**guests));
        if (!grown)
            return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
        *guests = grown;
        for (unsigned i = 0; i < got; i++)
            (*guests)[(*n)++] = (struct gw_guest){.info = infos[i]};
        first = infos[got - 1].domid + 1;
    }
}

int gw_guest_list(struct gw_hv *hv, struct gw_guest **ret_guests, size_t *ret_n,
                  struct gw_error *err)
{
    struct gw_guest *guests = NULL;
    struct gw_record *records = NULL;
    size_t n = 0, records_n = 0;

    if (list_domains(hv, &guests, &n, err) < 0 || gw_registry_list(&records, &records_n, err) < 0) {
        free(guests);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        guest_name(&guests[i], records, records_n);
    gw_record_list_free(records, records_n);
    *ret_guests = guests;
    *ret_n = n;
    return 0;
}

static int parse_domid(const char *text, uint32_t *ret_domid)
{
    char *end;
    unsigned long value;

    if (*text < '0' || *text > '9')
        return -1;
    value = strtoul(text, &end, 10);
    if (*end || value >= DOMID_FIRST_RESERVED)
        return -1;
    *ret_domid = (uint32_t)value;
    return 0;
}

static bool guest_matches(const struct gw_guest *guest, const char *name, bool number,
                          uint32_t domid)
{
    return number ? guest->info.domid == domid : !strcmp(guest->name, name);
}

int gw_guest_find(struct gw_hv *hv, const char *name_or_domid, struct gw_guest *ret_guest,
                  struct gw_error *err)
{
    struct gw_guest *guests;
    uint32_t domid = 0;
    bool number = parse_domid(name_or_domid, &domid) == 0;
    bool found = false;
    size_t n;

    if (gw_guest_list(hv, &guests, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n && !found; i++) {
        if (guest_matches(&guests[i], name_or_domid, number, domid)) {
            *ret_guest = guests[i];
            found = true;
        }
    }
    free(guests);
    return found
               ? 0
               : gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name_or_domid);
}

int gw_domain_destroy(struct gw_hv *hv, uint32_t domid, struct gw_error *err)
{
    struct gw_record *records;
    size_t n;
    int rc;

    if (gw_registry_list(&records, &n, err) < 0)
        return -1;
    rc = gw_hv_domain_destroy(hv, domid);
    if (rc < 0)
        gw_error_errno(err, rc, "cannot destroy domain %u", domid);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (records[i].domid == domid)
            rc = gw_registry_remove(records[i].name, domid, err);
    gw_record_list_free(records, n);
    return rc < 0 ? -1 : 0;
}
