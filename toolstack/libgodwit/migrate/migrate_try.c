/* SPDX-License-Identifier: MIT */
/*
 * godwit migrate --dry-run: the way of migrate_send.c as far as ACCEPT, and what is said of it. The
 * destination builds the guest without its pages, since only that shows whether it has room for it.
 * One that knows HANDOVER_BEGIN_TRY takes it back before it answers; an older one when the
 * connection ends, as after any migration that was given up.
 */
#include "migrate_try.h"

#include "migrate_json.h"
#include "migrate_sender.h"
#include "migrate_status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* A line of the result; with --json, an event. */
static void tell(struct migrate_sender *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct migrate_sender *s, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    migrate_report_event(&s->report, "%s", line);
    if (!s->options->json)
        puts(line);
    fflush(stdout);
}

/* What migrate itself would be refused for here. */
static int look_here(struct migrate_sender *s)
{
    const struct stream_config *config = &s->source.guest.config;
    const struct migrate_opener *opener = migrate_sender_opener(s->options);

    if (opener->open(opener->arg, &s->host, s->err) ||
        save_source_open(&s->source, &s->host, &s->transport.io, s->options->name, s->err))
        return -1;
    if (migrate_status_is_locked(config->name))
        return gw_error_set(s->err, GW_EXIT_STATE,
                            "%s is being migrated already: see godwit migrate-status %s",
                            config->name, config->name);
    if (s->host.ops->log_is_free(s->host.ctx, s->source.guest.domid, s->err))
        return -1;
    s->report.memory_pages = s->source.memory_pages;
    tell(s, "%s is here: %llu MiB, %u vCPU%s, %s", config->name,
         (unsigned long long)(s->source.memory_pages >> 8), config->vcpus,
         config->vcpus == 1 ? "" : "s", config->paused ? "paused" : "not paused");
    return 0;
}

static int ask_there(struct migrate_sender *s)
{
    const char *host = s->options->host;
    bool can_try;

    s->source.guest.config.paused |= s->options->paused;
    if (migrate_sender_connect(s))
        return -1;
    can_try = s->hello.capabilities & HANDOVER_CAN_TRY;
    tell(s, "%s answers, and speaks the same version%s", host,
         can_try ? "" : "; it is older, and does not know dry runs");
    if (migrate_sender_introduce(s))
        return -1;
    tell(s, "%s would take it: name and UUID are free, CPUs and devices fit, memory is there",
         host);
    if (!can_try)
        tell(s, "%s was not told that this is a dry run: it takes back what it has built", host);
    return 0;
}

static void tell_way(struct migrate_sender *s)
{
    const struct gw_migrate_limits *l = &s->precopy.limits;
    unsigned streams = s->source.streams;
    char speed[48] = "without a limit";

    if (l->bandwidth_bytes_per_s)
        snprintf(speed, sizeof(speed), "at %llu bytes/s at most",
                 (unsigned long long)l->bandwidth_bytes_per_s);
    tell(s, "its pages would be sent over %u connection%s, %s, %s", streams,
         streams == 1 ? "" : "s", s->source.compress_level ? "compressed" : "not compressed",
         speed);
}

static void tell_end(struct migrate_sender *s)
{
    const struct gw_migrate_limits *l = &s->precopy.limits;
    char time[48] = "";

    if (l->timeout_ms)
        snprintf(time, sizeof(time), " or %u ms", l->timeout_ms);
    tell(s, "it would be stopped once the rest takes %u ms; after %u rounds%s without that, %s",
         l->max_downtime_ms, l->max_rounds, time,
         l->on_timeout == GW_ON_TIMEOUT_STOP ? "it would be stopped all the same"
                                             : "it would stay here");
    tell(s, "it would %s at %s; nothing was moved",
         s->source.guest.config.paused ? "stay paused" : "run on", s->options->host);
}

/* The code is the refusal's own. That of a guest that ended meanwhile is right as it is. */
static void explain(struct migrate_sender *s, int status)
{
    uint32_t refusal = s->transport.io.refusal;
    size_t used;

    migrate_transport_explain(&s->transport, s->err);
    if (status > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 255)
        gw_error_prefix(s->err, "no connection to %s", s->options->host);
    for (unsigned i = 0; i < s->streams.n && !refusal; i++)
        refusal = s->streams.side[i].io.refusal;
    if (refusal)
        s->err->code = refusal <= GW_EXIT_TIMEOUT ? (enum gw_exit)refusal : GW_EXIT_FAILED;
    used = strlen(s->err->message);
    snprintf(s->err->message + used, sizeof(s->err->message) - used, "; nothing was moved");
}

static void finish(struct migrate_sender *s, bool possible)
{
    int status = migrate_sender_disconnect(s);

    if (!possible)
        explain(s, status);
    migrate_report_count(&s->report, &s->source);
    s->report.result = possible                                    ? "possible"
                       : s->err->code == GW_EXIT_MIGRATE_CANCELLED ? "cancelled"
                                                                   : "refused";
    migrate_report_event(&s->report, "%s", s->report.result);
    if (!s->options->json)
        return;
    struct json_object *json = migrate_json(&s->report, &s->precopy, s->err, true);
    puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY));
    json_object_put(json);
}

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_migrate_options *options = arg;
    struct migrate_sender s = {
        .options = options,
        .guard = guard,
        .err = &guard->error,
        .bandwidth = RATE_LIMIT_INIT,
        .precopy = {.limits = precopy_limits_fill(options->limits)},
    };
    bool possible;

    migrate_report_begin(&s.report, options->name, options->host, options->progress);
    possible = look_here(&s) == 0 && ask_there(&s) == 0;
    if (possible) {
        tell_way(&s);
        tell_end(&s);
    }
    finish(&s, possible);
    save_source_close(&s.source);
    if (s.host.ops)
        s.host.ops->close(s.host.ctx);
    return (int)s.err->code;
}

static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    (void)arg;
    gw_error_set(&guard->error, GW_EXIT_FAILED, "the dry run was killed by signal %d",
                 signal_number);
    return GW_EXIT_FAILED;
}

int migrate_try(const struct gw_migrate_options *options, struct gw_error *err)
{
    const struct handover_work trying = {
        .run = work, .mend = mend, .arg = (void *)(uintptr_t)options};

    return handover_guard_run(&trying, err);
}
