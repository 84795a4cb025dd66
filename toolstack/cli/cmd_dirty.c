/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages per second. As owner of the guest's log it takes and clears the bits each interval;
 * beside a save or a migration it peeks, and a count that fell means that the owner cleared
 * meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgodwit/log_owner.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli.h"
#include "counters.h"

#define STEP_MS                                                                                    \
    100u /* how late an interrupt or a migration that wants the log is noticed at most */

static volatile sig_atomic_t interrupted;

struct dirty {
    struct gw_hv *hv;
    struct gw_guest guest;
    uint64_t pages; /* guest frames, as the log's operations count them */
    struct gw_log_owner owner;
    bool own;
    uint64_t last_peek;
    struct godwit_stats counters; /* at the begin of the interval */
    unsigned interval_ms;
    unsigned long lines; /* 0: no end */
    bool json;
};

static void on_signal(int signal)
{
    interrupted = signal;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int log_op(struct dirty *d, uint32_t op, uint32_t *ret_count)
{
    struct gw_shadow shadow = {.op = op, .pages = d->pages};
    int rc = gw_hv_shadow_op(d->hv, d->guest.info.domid, &shadow);

    if (rc == 0 && ret_count)
        *ret_count = shadow.dirty_count;
    return rc;
}

/* Switches the log off and gives it up, if it is ours. */
static void let_go(struct dirty *d)
{
    if (!d->own)
        return;
    int rc = log_op(d, XEN_DOMCTL_SHADOW_OP_OFF, NULL);
    if (rc == 0 || rc == -ESRCH) /* a guest that is gone has no log either */
        gw_log_owner_unmark(&d->owner);
    gw_log_owner_release(&d->owner);
    d->own = false;
    d->last_peek = 0;
}

static int try_to_own(struct dirty *d, struct gw_error *err)
{
    int rc;

    if (d->own)
        return 0;
    rc = gw_log_owner_try(&d->owner, d->guest.info.domid, "godwit dirty", err);
    if (rc <= 0)
        return rc;
    if (gw_log_owner_mark(&d->owner, err)) {
        gw_log_owner_release(&d->owner);
        return -1;
    }
    d->own = true;
    /* Logging that is on without an owner was left by one that was killed. */
    rc = log_op(d, XEN_DOMCTL_SHADOW_OP_OFF, NULL);
    if (rc == 0)
        rc = log_op(d, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL);
    if (rc < 0) {
        let_go(d);
        return gw_error_errno(err, rc, "cannot switch on the dirty log of %s", d->guest.name);
    }
    return 0;
}

static int sample(struct dirty *d, uint64_t *ret_pages, struct gw_error *err)
{
    uint32_t count = 0;
    int rc;

    rc = log_op(d, d->own ? XEN_DOMCTL_SHADOW_OP_CLEAN : XEN_DOMCTL_SHADOW_OP_PEEK, &count);
    if (rc == -EBUSY && !d->own) { /* the owner is in the middle of a harvest */
        *ret_pages = 0;
        return 0;
    }
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot read the dirty log of %s", d->guest.name);
    *ret_pages = d->own || count < d->last_peek ? count : count - d->last_peek;
    d->last_peek = d->own ? 0 : count;
    return 0;
}

static int read_counters(struct dirty *d, struct godwit_stats *ret_stats, struct gw_error *err)
{
    int rc = gw_hv_stats(d->hv, d->guest.info.domid, ret_stats);

    return rc < 0 ? gw_error_errno(err, rc, "cannot read the counters of %s", d->guest.name) : 0;
}

/* Who wrote in this interval, and how many faults that took. */
static void print_writers(const struct godwit_stats *before, const struct godwit_stats *now)
{
    const char *separator = "  by ";
    const char *name;

    for (unsigned i = 0; (name = cli_writer_name(i)); i++) {
        uint64_t pages = now->bits_set[i] - before->bits_set[i];

        if (pages) {
            printf("%s%s %" PRIu64, separator, name, pages);
            separator = ", ";
        }
    }
    printf("; faults %" PRIu64, now->faults_first_write + now->faults_spurious + now->faults_split -
                                    before->faults_first_write - before->faults_spurious -
                                    before->faults_split);
}

static struct json_object *json_counters(const struct godwit_stats *before,
                                         const struct godwit_stats *now)
{
    struct json_object *o = json_object_new_object();

    for (unsigned i = 0; i < CLI_COUNTERS; i++)
        json_object_object_add(o, cli_counters[i].name,
                               json_object_new_uint64(cli_counter_value(&cli_counters[i], now) -
                                                      cli_counter_value(&cli_counters[i], before)));
    return o;
}

static void print_sample(const struct dirty *d, const struct godwit_stats *now, bool own,
                         uint64_t pages, uint64_t elapsed_ms)
{
    uint64_t per_s = elapsed_ms ? pages * 1000 / elapsed_ms : 0;
    struct json_object *o;

    if (!d->json) {
        printf("%s: %8" PRIu64 " pages/s %9.1f MiB/s", d->guest.name, per_s, (double)per_s / 256);
        print_writers(&d->counters, now);
        puts(own ? "" : "  (looking on)");
    } else {
        o = json_object_new_object();
        json_object_object_add(o, "schema", json_object_new_string("godwit.dirty.v1"));
        json_object_object_add(o, "name", json_object_new_string(d->guest.name));
        json_object_object_add(o, "interval_ms", json_object_new_uint64(elapsed_ms));
        json_object_object_add(o, "pages", json_object_new_uint64(pages));
        json_object_object_add(o, "pages_per_s", json_object_new_uint64(per_s));
        json_object_object_add(o, "bytes_per_s", json_object_new_uint64(per_s * GW_PAGE_BYTES));
        json_object_object_add(o, "owner", json_object_new_boolean(own));
        json_object_object_add(o, "counters", json_counters(&d->counters, now));
        puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
        json_object_put(o);
    }
    fflush(stdout);
}

/* Sleeps one interval in steps. Lets go at once when somebody wants the log. */
static void sleep_interval(struct dirty *d, uint64_t end_ms)
{
    for (uint64_t now = now_ms(); now < end_ms && !interrupted; now = now_ms()) {
        uint64_t left = end_ms - now < STEP_MS ? end_ms - now : STEP_MS;
        const struct timespec t = {.tv_nsec = (long)left * 1000000};

        if (d->own && gw_log_owner_wanted(d->guest.info.domid))
            let_go(d);
        nanosleep(&t, NULL);
    }
}

static int watch(struct dirty *d, struct gw_error *err)
{
    struct godwit_stats now;
    unsigned long printed = 0;

    while (!interrupted && (d->lines == 0 || printed < d->lines)) {
        uint64_t start, elapsed, pages = 0;
        bool own;

        if (try_to_own(d, err) < 0)
            return -1;
        own = d->own;
        if (read_counters(d, &d->counters, err) < 0)
            return -1;
        start = now_ms();
        sleep_interval(d, start + d->interval_ms);
        if (interrupted)
            break;
        if (own != d->own)
            continue; /* handed over in the middle: this interval has no number */
        elapsed = now_ms() - start;
        if (sample(d, &pages, err) < 0 || read_counters(d, &now, err) < 0)
            return -1;
        print_sample(d, &now, own, pages, elapsed);
        if (ferror(stdout))
            break;
        printed++;
    }
    return 0;
}

static int dirty_open(struct dirty *d, const char *name, struct gw_error *err)
{
    int rc;

    if (cli_open_guest(name, &d->hv, &d->guest, err) < 0)
        return -1;
    if (d->guest.info.domid == 0)
        return gw_error_set(err, GW_EXIT_USAGE, "the control domain has no dirty log");
    rc = gw_hv_maximum_gfn(d->hv, d->guest.info.domid, &d->pages);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot ask for the memory of %s", d->guest.name);
    d->pages += 1;
    return 0;
}

int cmd_dirty(int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"json", no_argument, NULL, CLI_OPT_JSON},
                                            {0}};
    struct dirty d = {.owner = GW_LOG_OWNER_NONE, .interval_ms = 1000};
    const struct sigaction action = {.sa_handler = on_signal};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "i:n:", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        if (c == 'i' && cli_parse_seconds(optarg, &d.interval_ms) < 0)
            return cli_usage(argv[0], "'%s' is not a number of seconds", optarg);
        if (c == 'n' && cli_parse_number(optarg, 1, 1000000000, &d.lines) < 0)
            return cli_usage(argv[0], "'%s' is not a number of lines", optarg);
        d.json |= c == CLI_OPT_JSON;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    rc = dirty_open(&d, argv[optind], &err);
    if (rc == 0)
        rc = watch(&d, &err);
    let_go(&d);
    gw_hv_close(d.hv);
    return rc < 0 ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
