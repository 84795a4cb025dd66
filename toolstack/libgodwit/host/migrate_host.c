/* SPDX-License-Identifier: MIT */
/* What migrate_host.h asks for, from the hypervisor under this control domain and its registry. */
#include "migrate_host.h"

#include <errno.h>
#include <libgodwit/domain.h>
#include <libgodwit/layout.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "migrate_host_xen.h"
#include "restore/restore_claim.h"

#define SETTLE_MS      2000u /* only on a host too busy to run its daemon */
#define SETTLE_STEP_MS 5u

void migrate_guest_free(struct migrate_guest *guest)
{
    free(guest->text);
    guest->text = NULL;
}

static void host_close(void *ctx)
{
    struct migrate_xen *x = ctx;

    if (x->owner.log_fd >= 0) /* what is on now is meant to be */
        gw_log_owner_unmark(&x->owner);
    gw_log_owner_release(&x->owner);
    if (x->claim_fd >= 0)
        close(x->claim_fd);
    gw_hv_buffer_free(x->hv, x->bitmap, x->bitmap_bytes);
    gw_hv_close(x->hv);
    free(x);
}

static int host_describe(void *ctx, struct stream_host *ret_host,
                         struct migrate_versions *ret_versions, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    struct godwit_host_info info = {0};
    struct gw_hv_version version = {0};
    int rc = gw_hv_host_info(x->hv, &info);

    if (rc == 0)
        rc = gw_hv_version(x->hv, &version);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot ask the hypervisor about this host");
    memset(ret_host, 0, sizeof(*ret_host));
    ret_host->cntfrq_hz = info.cntfrq_hz;
    memcpy(ret_host->id, info.id_aa64, sizeof(ret_host->id));
    ret_host->id[STREAM_ID_REGISTERS - 1] = 0;
    memset(ret_versions, 0, sizeof(*ret_versions));
    ret_versions->xen_major = version.xen_major;
    ret_versions->xen_minor = version.xen_minor;
    snprintf(ret_versions->text, sizeof(ret_versions->text),
             "godwit %s on hypervisor %u.%u%.15s, ABI %u", GODWIT_VERSION, version.xen_major,
             version.xen_minor, version.extra, version.godwit_abi);
    return 0;
}

static int check_alive(const struct gw_guest *guest, struct gw_error *err)
{
    if (gw_domain_info_dying(&guest->info))
        return gw_error_set(err, GW_EXIT_STATE, "%s is being destroyed", guest->name);
    if (gw_domain_info_shutdown(&guest->info))
        return gw_error_set(err, GW_EXIT_STATE, "%s has shut down", guest->name);
    return 0;
}

/* The configuration, from the text that the registry keeps for the guest. */
static int read_config(struct migrate_guest *guest, const char *name, struct gw_error *err)
{
    struct gw_config config = {0};
    struct gw_record record = {0};
    int rc;

    if (gw_registry_find(name, &record, err))
        return -1;
    if (record.held) {
        gw_record_free(&record);
        return gw_error_set(err, GW_EXIT_STATE,
                            "%s was handed over to another host and may run there: see "
                            "godwit resolve %s",
                            name, name);
    }
    rc = gw_config_parse(&config, name, record.config_text, strlen(record.config_text), NULL, 0,
                         err);
    if (rc == 0) {
        struct stream_config *c = &guest->config;
        snprintf(c->name, sizeof(c->name), "%s", name);
        memcpy(c->uuid, record.uuid, sizeof(c->uuid));
        c->vcpus = config.vcpus;
        c->memory_bytes = config.memory_mib << 20;
        c->on_poweroff = (uint8_t)config.on_poweroff;
        c->on_reboot = (uint8_t)config.on_reboot;
        c->on_crash = (uint8_t)config.on_crash;
        guest->text = record.config_text;
        record.config_text = NULL;
        c->text = guest->text;
        c->text_length = (uint32_t)strlen(guest->text);
    }
    gw_config_free(&config);
    gw_record_free(&record);
    return rc;
}

static int host_find(void *ctx, const char *name, struct migrate_guest *ret_guest,
                     struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    struct migrate_guest guest = {0};
    struct gw_guest found;

    if (gw_guest_find(x->hv, name, &found, err) || check_alive(&found, err))
        return -1;
    if (found.info.domid == 0)
        return gw_error_set(err, GW_EXIT_USAGE, "the control domain itself cannot be meant");
    guest.domid = found.info.domid;
    if (read_config(&guest, found.name, err)) {
        migrate_guest_free(&guest);
        return -1;
    }
    *ret_guest = guest;
    return 0;
}

static int host_pause(void *ctx, uint32_t domid, struct gw_error *err)
{
    int rc = gw_hv_domain_pause(((struct migrate_xen *)ctx)->hv, domid);

    return rc < 0 ? gw_error_errno(err, rc, "cannot pause domain %u", domid) : 0;
}

static int host_unpause(void *ctx, uint32_t domid, struct gw_error *err)
{
    int rc = gw_hv_domain_unpause(((struct migrate_xen *)ctx)->hv, domid);

    return rc < 0 ? gw_error_errno(err, rc, "cannot unpause domain %u", domid) : 0;
}

static int host_is_paused(void *ctx, uint32_t domid, bool *ret_paused, struct gw_error *err)
{
    struct gw_guest guest;
    int rc = gw_hv_domain_info(((struct migrate_xen *)ctx)->hv, domid, &guest.info);

    snprintf(guest.name, sizeof(guest.name), "domain %u", domid);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot look at domain %u", domid);
    *ret_paused = gw_domain_info_paused(&guest.info);
    return check_alive(&guest, err);
}

static int host_destroy(void *ctx, uint32_t domid, struct gw_error *err)
{
    return gw_domain_destroy(((struct migrate_xen *)ctx)->hv, domid, err);
}

static int host_get_state(void *ctx, uint32_t domid, void **ret_state, uint32_t *ret_bytes,
                          struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    uint32_t bytes = 0, room = 0;
    void *buffer = NULL, *copy = NULL;
    int rc = gw_hv_domain_get_state(x->hv, domid, NULL, 0, &room);

    if (rc == 0) {
        buffer = gw_hv_buffer_alloc(x->hv, room);
        copy = malloc(room ? room : 1);
        rc = buffer && copy ? gw_hv_domain_get_state(x->hv, domid, buffer, room, &bytes) : -ENOMEM;
    }
    if (rc == 0 && bytes > room)
        rc = -EIO;
    if (rc == 0)
        memcpy(copy, buffer, bytes);
    gw_hv_buffer_free(x->hv, buffer, room);
    if (rc < 0) {
        free(copy);
        return gw_error_errno(err, rc, "cannot read the state of domain %u", domid);
    }
    *ret_state = copy;
    *ret_bytes = bytes;
    return 0;
}

static int host_set_state(void *ctx, uint32_t domid, const void *state, uint32_t bytes,
                          struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    void *buffer = gw_hv_buffer_alloc(x->hv, bytes);
    int rc = -ENOMEM;

    if (buffer) {
        memcpy(buffer, state, bytes);
        rc = gw_hv_domain_set_state(x->hv, domid, buffer, bytes);
        gw_hv_buffer_free(x->hv, buffer, bytes);
    }
    return rc < 0 ? gw_error_errno(err, rc, "the hypervisor refuses the guest's state") : 0;
}

/* The ring belongs to the guest: its indices are compared, never used. */
static void host_settle_console(void *ctx, uint32_t domid)
{
    const struct timespec step = {.tv_nsec = SETTLE_STEP_MS * 1000000L};
    struct migrate_xen *x = ctx;
    struct xencons_interface ring;

    for (unsigned waited_ms = 0; waited_ms < SETTLE_MS; waited_ms += SETTLE_STEP_MS) {
        if (gw_hv_guest_read(x->hv, domid, gw_layout_console_gfn() << GW_PAGE_SHIFT, &ring,
                             sizeof(ring)) < 0 ||
            ring.out_cons == ring.out_prod)
            return;
        nanosleep(&step, NULL);
    }
}

static int add_to_registry(const struct stream_config *config, const char *name,
                           const struct gw_domain *domain, struct gw_error *err)
{
    struct gw_record record = {.domid = domain->domid, .console_port = domain->console_port};

    snprintf(record.name, sizeof(record.name), "%s", name);
    memcpy(record.uuid, config->uuid, sizeof(record.uuid));
    record.config_text = strndup(config->text, config->text_length);
    if (!record.config_text)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    int rc = gw_registry_add(&record, err);
    free(record.config_text);
    return rc;
}

/* Makes this process the builder of the incoming guest, and clears away what a dead one left of it.
 */
static int claim(struct migrate_xen *x, const char *name, struct gw_error *err)
{
    struct gw_record record = {0};
    struct gw_error none = {0};
    int rc = 0;

    x->claim_fd = restore_claim_take(name, err);
    if (x->claim_fd < 0)
        return -1;
    if (gw_registry_find(name, &record, &none) == 0) {
        rc = gw_domain_destroy(x->hv, record.domid, err);
        gw_record_free(&record);
    }
    return rc;
}

/*
 * How the guest's writes are noticed, from the text that came with it: everything else in there is
 * in the stream's own fields. A text that this version cannot read leaves the defaults.
 */
static void read_logdirty(struct gw_config *config, const struct stream_config *c)
{
    struct gw_config theirs;
    struct gw_error ignored;

    if (gw_config_parse(&theirs, c->name, c->text, c->text_length, NULL, 0, &ignored) == 0) {
        config->logdirty = theirs.logdirty;
        config->logdirty_split = theirs.logdirty_split;
    }
    gw_config_free(&theirs);
}

static int host_create(void *ctx, const struct stream_config *c, const char *name,
                       uint32_t *ret_domid, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    struct gw_config config = {.vcpus = c->vcpus, .memory_mib = c->memory_bytes >> 20};
    struct gw_domain domain;

    if (c->memory_bytes % (1u << 20) || !gw_config_name_valid(c->name))
        return gw_error_set(err, GW_EXIT_CONFIG, "the guest's name or memory is not possible here");
    snprintf(config.name, sizeof(config.name), "%s", name);
    memcpy(config.uuid, c->uuid, sizeof(config.uuid));
    read_logdirty(&config, c);
    if (claim(x, name, err) ||
        gw_domain_create_empty(x->hv, &config, GW_LOGDIRTY_ADAPT, &domain, err))
        return -1;
    if (domain.logdirty_changed)
        fprintf(stderr,
                "%s: this host's CPUs do not note writes: logdirty = \"auto\" is used here\n",
                c->name);
    if (add_to_registry(c, name, &domain, err)) {
        gw_hv_domain_destroy(x->hv, domain.domid);
        return -1;
    }
    *ret_domid = domain.domid;
    return 0;
}

static int host_rename(void *ctx, uint32_t domid, const char *from, const char *to,
                       struct gw_error *err)
{
    return gw_registry_rename(from, to, err);
}

static const struct migrate_host_ops host_ops = {
    .close = host_close,
    .describe = host_describe,
    .find = host_find,
    .pause = host_pause,
    .unpause = host_unpause,
    .is_paused = host_is_paused,
    .destroy = host_destroy,
    .log_claim = migrate_xen_log_claim,
    .log_is_free = migrate_xen_log_is_free,
    .log_start = migrate_xen_log_start,
    .log_stop = migrate_xen_log_stop,
    .log_take = migrate_xen_log_take,
    .log_mark = migrate_xen_log_mark,
    .log_resume = migrate_xen_log_resume,
    .log_peek = migrate_xen_log_peek,
    .vcpu_stats = migrate_xen_vcpu_stats,
    .vcpu_throttle = migrate_xen_vcpu_throttle,
    .writer_sample = migrate_xen_writer_sample,
    .ranges = migrate_xen_ranges,
    .read_pages = migrate_xen_read_pages,
    .write_pages = migrate_xen_write_pages,
    .get_readonly = migrate_xen_get_readonly,
    .set_readonly = migrate_xen_set_readonly,
    .get_state = host_get_state,
    .set_state = host_set_state,
    .settle_console = host_settle_console,
    .create = host_create,
    .hold = migrate_xen_hold,
    .held = migrate_xen_held,
    .locate = migrate_xen_locate,
    .rename = host_rename,
};

static int host_open(void *arg, struct migrate_host *ret_host, struct gw_error *err)
{
    struct migrate_xen *x = calloc(1, sizeof(*x));

    if (!x)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    x->owner = GW_LOG_OWNER_NONE;
    x->claim_fd = -1;
    if (gw_hv_open(&x->hv, err)) {
        free(x);
        return -1;
    }
    *ret_host = (struct migrate_host){.ops = &host_ops, .ctx = x};
    return 0;
}

const struct migrate_opener migrate_this_host = {.open = host_open};
