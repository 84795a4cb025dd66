/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgodwit/domain.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/migrate.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

/* A guest that shuts down faster than this after its start waits with the next one. */
#define RESTART_PAUSE_MS 1000u

static const char *const reason_names[] = {
    [SHUTDOWN_poweroff] = "powered off",
    [SHUTDOWN_reboot] = "rebooted",
    [SHUTDOWN_suspend] = "suspended",
    [SHUTDOWN_crash] = "crashed",
    [SHUTDOWN_watchdog] = "was stopped by its watchdog",
};

static const char *reason_name(uint32_t code)
{
    return code < sizeof(reason_names) / sizeof(reason_names[0]) ? reason_names[code] : "ended";
}

static enum gw_action action_for(const struct gw_config *config, uint32_t code)
{
    switch (code) {
    case SHUTDOWN_poweroff:
        return config->on_poweroff;
    case SHUTDOWN_reboot:
        return config->on_reboot;
    case SHUTDOWN_suspend:
        return GW_ACTION_PRESERVE; /* whoever suspended it goes on from here */
    default:
        return config->on_crash;
    }
}

static void destroy(struct daemon *d, const struct gw_record *record)
{
    struct gw_error err;

    if (gw_domain_destroy(d->hv, record->domid, &err) < 0)
        daemon_say("%s: %s", record->name, err.message);
}

/* false: too soon after its start; the loop comes back when it is time. */
static bool restart_is_due(struct daemon *d, const struct gw_record *record)
{
    const struct console *console = console_find(d, record->name);
    uint64_t due = console ? console->attached_ms + RESTART_PAUSE_MS : 0;

    if (daemon_now_ms() >= due)
        return true;
    if (!d->resync_due_ms || due < d->resync_due_ms)
        d->resync_due_ms = due;
    return false;
}

static void restart(struct daemon *d, const struct gw_record *record,
                    const struct gw_config *config)
{
    struct console *console = console_find(d, record->name);
    struct gw_domain domain;
    struct gw_error err;

    /* The console goes first: while its page is mapped the old domain's memory is not all free. */
    if (console)
        console_detach(d, console);
    destroy(d, record);
    if (gw_domain_restart(d->hv, config, &domain, &err) < 0) {
        daemon_say("%s: cannot restart it: %s", record->name, err.message);
        return;
    }
    daemon_say("%s: restarted as domain %u", record->name, domain.domid);
    if (domain.logdirty_changed)
        daemon_say("%s: this host's CPUs do not note writes: logdirty = \"auto\" is used here",
                   record->name);
}

/* The guest has shut down and its owner said what to do then. */
static void act(struct daemon *d, const struct gw_record *record, uint32_t code)
{
    struct gw_config config;
    struct gw_error err;
    enum gw_action action;

    if (gw_config_parse(&config, record->name, record->config_text, strlen(record->config_text),
                        NULL, 0, &err) < 0) {
        daemon_say("%s: %s; left as it is", record->name, err.message);
        gw_config_free(&config);
        return;
    }
    action = action_for(&config, code);
    if (action == GW_ACTION_RESTART && !restart_is_due(d, record))
        action = GW_ACTION_PRESERVE; /* for now */
    if (action != GW_ACTION_PRESERVE)
        daemon_say("%s: domain %u %s: %s", record->name, record->domid, reason_name(code),
                   gw_action_name(action));
    if (action == GW_ACTION_DESTROY)
        destroy(d, record);
    if (action == GW_ACTION_RESTART)
        restart(d, record, &config);
    gw_config_free(&config);
}

/* A guest that was being received or restored by a process that died. */
static bool is_left_behind(const struct gw_record *record, const struct gw_domain_info *info)
{
    return gw_name_is_incoming(record->name) && gw_domain_info_paused(info) &&
           gw_incoming_is_abandoned(record->name, record->domid);
}

/* Of a save or migration of which all processes were killed: nobody else may come for long. */
static void end_left_log(struct daemon *d, const struct gw_record *record)
{
    struct gw_shadow off = {.op = XEN_DOMCTL_SHADOW_OP_OFF};
    struct gw_log_owner owner;
    struct gw_error err;

    if (!gw_log_owner_is_marked(record->domid) ||
        gw_log_owner_try(&owner, record->domid, "godwitd", &err) <= 0)
        return;
    if (gw_log_owner_is_marked(record->domid)) { /* still, now that it is ours */
        int rc = gw_hv_shadow_op(d->hv, record->domid, &off);
        gw_log_owner_unmark(&owner); /* also if it failed: this is not tried for ever */
        if (rc < 0)
            daemon_say("%s: cannot switch off its dirty log, which was left on by a process that "
                       "died: %s",
                       record->name, strerror(-rc));
        else
            daemon_say("%s: its dirty log was left on by a process that died: switched off",
                       record->name);
    }
    gw_log_owner_release(&owner);
}

/* Handles a domain that has shut down, and a record whose domain is gone. */
static void check_record(struct daemon *d, const struct gw_record *record)
{
    struct gw_domain_info info;
    struct gw_error err;
    int rc = gw_hv_domain_info(d->hv, record->domid, &info);

    if (rc < 0 && rc != -ESRCH) {
        daemon_say("%s: cannot ask for domain %u: %s", record->name, record->domid, strerror(-rc));
        return; /* in doubt nothing is thrown away */
    }
    if (rc == -ESRCH || memcmp(info.uuid, record->uuid, sizeof(info.uuid)) != 0 ||
        gw_domain_info_dying(&info)) {
        daemon_say("%s: domain %u is gone", record->name, record->domid);
        if (gw_registry_remove(record->name, record->domid, &err) < 0)
            daemon_say("%s: %s", record->name, err.message);
        return;
    }
    if (is_left_behind(record, &info)) {
        daemon_say("%s: left behind by a process that died: destroyed", record->name);
        destroy(d, record);
        return;
    }
    end_left_log(d, record);
    if (gw_domain_info_shutdown(&info))
        act(d, record, gw_domain_info_shutdown_code(&info));
}

void lifecycle_sync(struct daemon *d)
{
    struct gw_record *records;
    struct gw_error err;
    size_t n;

    d->resync_due_ms = 0;
    if (gw_registry_list(&records, &n, &err) < 0) {
        daemon_say("%s", err.message);
        return;
    }
    for (size_t i = 0; i < n; i++)
        check_record(d, &records[i]);
    gw_record_list_free(records, n);
    /* Again: acting has removed and added records. */
    if (gw_registry_list(&records, &n, &err) < 0) {
        daemon_say("%s", err.message);
        return;
    }
    consoles_sync(d, records, n);
    gw_record_list_free(records, n);
}
