/* SPDX-License-Identifier: MIT */
/* The fake hosts behind the interface of migrate_host.h. */
#include "fake_host.h"

#include "fake_pages.h"
#include "handover/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool call_fails(struct fake_host *host, struct gw_error *err)
{
    if (1 + atomic_fetch_add(&host->calls, 1) != host->fail_call)
        return false;
    gw_error_errno(err, ENOMEM, "the fake host was called for the %u. time", host->fail_call);
    return true;
}

struct fake_guest *fake_by_domid(struct fake_host *host, uint32_t domid, struct gw_error *err)
{
    if (call_fails(host, err))
        return NULL;
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (host->guests[i].used && host->guests[i].domid == domid)
            return &host->guests[i];
    gw_error_set(err, GW_EXIT_NO_GUEST, "there is no domain %u", domid);
    return NULL;
}

/* As the locks of files: what is on now is meant to be. */
static void fake_close(void *ctx)
{
    struct fake_host *host = ctx;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (host->guests[i].log_owner == getpid()) {
            host->guests[i].log_marked = false;
            host->guests[i].log_owner = 0;
        }
}

static int fake_describe(void *ctx, struct stream_host *ret_host,
                         struct migrate_versions *ret_versions, struct gw_error *err)
{
    if (call_fails(ctx, err))
        return -1;
    *ret_host = ((struct fake_host *)ctx)->facts;
    memset(ret_versions, 0, sizeof(*ret_versions));
    ret_versions->xen_major = 4;
    ret_versions->xen_minor = 17;
    snprintf(ret_versions->text, sizeof(ret_versions->text), "a fake host");
    return 0;
}

static int check_alive(const struct fake_guest *guest, struct gw_error *err)
{
    return guest->shut_down ? gw_error_set(err, GW_EXIT_STATE, "%s has shut down", guest->name) : 0;
}

static int fake_find(void *ctx, const char *name, struct migrate_guest *ret_guest,
                     struct gw_error *err)
{
    struct fake_guest *guest = fake_guest_find(ctx, name);

    if (call_fails(ctx, err))
        return -1;
    if (!guest)
        return gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    if (check_alive(guest, err))
        return -1;
    if (guest->note[0])
        return gw_error_set(err, GW_EXIT_STATE, "%s is held: see godwit resolve", name);
    memset(ret_guest, 0, sizeof(*ret_guest));
    ret_guest->domid = guest->domid;
    ret_guest->config = guest->config;
    snprintf(ret_guest->config.name, sizeof(ret_guest->config.name), "%s", guest->name);
    ret_guest->text = strdup(guest->text);
    if (!ret_guest->text)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    ret_guest->config.text = ret_guest->text;
    ret_guest->config.text_length = (uint32_t)strlen(ret_guest->text);
    return 0;
}

static int fake_pause(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (((struct fake_host *)ctx)->refuse_pause)
        return gw_error_set(err, GW_EXIT_FAILED, "the fake host does not pause");
    struct fake_host *host = ctx;
    host->peer_wrote = host[host->peer].pages_written;
    fake_guest_pause(guest);
    return 0;
}

static int fake_unpause(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (guest->pauses == 0)
        return gw_error_set(err, GW_EXIT_FAILED, "the guest is not paused");
    fake_guest_unpause(guest);
    return 0;
}

static int fake_is_paused(void *ctx, uint32_t domid, bool *ret_paused, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    *ret_paused = guest->pauses > 0;
    return check_alive(guest, err);
}

static int fake_destroy(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (guest)
        fake_guest_remove(ctx, guest);
    return guest ? 0 : -1;
}

static void unthrottle(struct fake_guest *guest)
{
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        atomic_store(&guest->vcpus[i].percent, 0);
    atomic_store(&guest->sampling, false);
}

static bool is_alive(pid_t pid)
{
    char path[32], state = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = pid ? fopen(path, "re") : NULL;
    int n = file ? fscanf(file, "%*d %*s %c", &state) : 0;
    if (file)
        fclose(file);
    return n == 1 && state != 'Z' && state != 'X';
}

/* As the lock files of a real host: the log is a process's until that has ended. */
static int log_take_over(struct fake_guest *guest, struct gw_error *err)
{
    int owner = guest->log_owner;

    if (owner != getpid() && is_alive(owner))
        return gw_error_set(err, GW_EXIT_STATE, "the dirty log is in use");
    if (atomic_compare_exchange_strong(&guest->log_owner, &owner, getpid()))
        return 0;
    return gw_error_set(err, GW_EXIT_STATE, "the dirty log is in use");
}

static void log_off(struct fake_host *host, struct fake_guest *guest)
{
    host->merges += guest->logging;
    guest->log_epoch += guest->logging;
    guest->logging = guest->log_marked = false;
    fake_guest_split(host, guest, false);
    if (!host->forget_unthrottle)
        unthrottle(guest);
}

static int fake_log_claim(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);
    int owner = guest ? guest->log_owner : 0;

    if (!guest || log_take_over(guest, err))
        return -1;
    if (guest->log_marked && owner != getpid()) /* by one that was killed */
        log_off(ctx, guest);
    return 0;
}

static int fake_log_is_free(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    return is_alive(guest->log_owner) ? gw_error_set(err, GW_EXIT_STATE, "the dirty log is in use")
                                      : 0;
}

static int fake_log_start(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (log_take_over(guest, err))
        return -1;
    if (guest->logging) { /* left by somebody who was killed, or for a save that has not come */
        ((struct fake_host *)ctx)->merges++;
        guest->logging = false;
    }
    memset(guest->dirty, 0, sizeof(guest->dirty));
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        atomic_store(&guest->vcpus[i].dirty_pages, 0);
    fake_guest_split(ctx, guest, true);
    guest->logging = guest->log_marked = true;
    guest->log_epoch++;
    ((struct fake_host *)ctx)->log_starts++;
    return 0;
}

static int fake_log_mark(void *ctx, uint32_t domid, struct migrate_log_mark *ret_mark,
                         struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest || !guest->logging)
        return gw_error_set(err, GW_EXIT_FAILED, "the log is off");
    memset(ret_mark->boot_id, ((struct fake_host *)ctx)->boot_id, sizeof(ret_mark->boot_id));
    ret_mark->epoch = guest->log_epoch;
    ret_mark->domid = domid;
    return 0;
}

static int fake_log_resume(void *ctx, uint32_t domid, const struct migrate_log_mark *mark,
                           struct gw_error *err)
{
    struct migrate_log_mark now = {0};

    if (fake_log_mark(ctx, domid, &now, err))
        return gw_error_set(err, GW_EXIT_STATE, "the log was switched off: take a full save");
    if (memcmp(now.boot_id, mark->boot_id, sizeof(now.boot_id)) != 0 || now.epoch != mark->epoch ||
        now.domid != mark->domid)
        return gw_error_set(err, GW_EXIT_STATE, "it is another log now: take a full save");
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest || log_take_over(guest, err))
        return -1;
    guest->log_marked = true;
    return 0;
}

static int fake_log_stop(void *ctx, uint32_t domid, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return err->code == GW_EXIT_NO_GUEST ? 0 : -1;
    if (guest->log_owner != getpid() && is_alive(guest->log_owner))
        return 0; /* another has come */
    log_off(ctx, guest);
    guest->log_owner = 0;
    return 0;
}

static int fake_vcpu_stats(void *ctx, uint32_t domid, struct migrate_vcpu *ret_vcpus,
                           unsigned *ret_n, struct gw_error *err)
{
    struct fake_host *host = ctx;
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    *ret_n = host->no_counts ? 0 : FAKE_VCPUS;
    for (unsigned i = 0; guest && i < *ret_n; i++) {
        struct fake_vcpu *vcpu = &guest->vcpus[i];
        ret_vcpus[i] = (struct migrate_vcpu){
            .faults = vcpu->dirty_pages,
            .dirty_pages = vcpu->dirty_pages * (host->hardware ? FAKE_SAMPLE : 1),
            .pages_per_count = host->hardware ? guest->sampling * FAKE_SAMPLE : 1,
            .throttle_percent = vcpu->percent,
            .stall_fault_ns = vcpu->dirty_pages * 1000,
            .stall_throttle_ns = vcpu->throttled * 1000,
        };
    }
    return guest ? 0 : -1;
}

static int fake_vcpu_throttle(void *ctx, uint32_t domid, uint32_t vcpu, unsigned percent,
                              struct gw_error *err)
{
    struct fake_host *host = ctx;
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (percent && (host->no_counts || host->refuse_throttle))
        return gw_error_set(err, GW_EXIT_UNSUPPORTED, "the fake host does not throttle");
    if (!guest)
        return percent || err->code != GW_EXIT_NO_GUEST ? -1 : 0;
    if (!guest->logging)
        return percent ? gw_error_set(err, GW_EXIT_FAILED, "nothing is logged there") : 0;
    host->throttles += percent != 0;
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        if (vcpu == i || vcpu == MIGRATE_ALL_VCPUS)
            atomic_store(&guest->vcpus[i].percent, percent);
    return 0;
}

static int fake_writer_sample(void *ctx, uint32_t domid, bool on, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (guest)
        atomic_store(&guest->sampling, on);
    return guest ? 0 : -1;
}

/* However busy the machine is that runs the tests: a guest that runs has done something since. */
static void let_it_step(const struct fake_guest *guest)
{
    uint64_t before = guest->steps;

    for (unsigned i = 0; i < 5000 && guest->pauses == 0 && guest->steps < before + 16; i++)
        usleep(1000);
}

static int fake_log_take(void *ctx, uint32_t domid, uint64_t pages, bool final,
                         const uint8_t **ret_bitmap, struct gw_error *err)
{
    static uint64_t bitmap[(FAKE_GFN_LIMIT + 63) / 64];
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (!guest->logging || pages != FAKE_GFN_LIMIT)
        return gw_error_set(err, GW_EXIT_FAILED, "the log is off or of another size");
    if (!final)
        let_it_step(guest);
    if (final) /* the console's ring is always mapped */
        atomic_fetch_or(&guest->dirty[FAKE_CONSOLE_GFN / 64], 1ULL << (FAKE_CONSOLE_GFN % 64));
    for (unsigned i = 0; i < sizeof(bitmap) / sizeof(bitmap[0]); i++)
        bitmap[i] = atomic_exchange(&guest->dirty[i], 0);
    ((struct fake_host *)ctx)->log_takes++;
    guest->log_epoch++;
    *ret_bitmap = (const uint8_t *)bitmap;
    return 0;
}

static int fake_log_peek(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                         bool *ret_dirty, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    for (unsigned i = 0; guest && i < n; i++)
        ret_dirty[i] = atomic_load(&guest->dirty[gfns[i] / 64]) >> (gfns[i] % 64) & 1;
    return guest ? 0 : -1;
}

static int fake_ranges(void *ctx, uint32_t domid, struct stream_memory *ret_memory,
                       struct gw_error *err)
{
    if (!fake_by_domid(ctx, domid, err))
        return -1;
    memset(ret_memory, 0, sizeof(*ret_memory));
    ret_memory->count = 2;
    ret_memory->ranges[0] = (struct stream_range){FAKE_CONSOLE_GFN, 1};
    ret_memory->ranges[1] = (struct stream_range){FAKE_RAM_GFN, FAKE_RAM_PAGES};
    if (((struct fake_host *)ctx)->other_layout)
        ret_memory->ranges[1].first_gfn += 512;
    return 0;
}

/* One page at a time, and sometimes none: a caller must put up with it. */
static int fake_get_readonly(void *ctx, uint32_t domid, uint64_t *gfn,
                             struct stream_range *ret_ranges, unsigned max, unsigned *ret_n,
                             struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    *ret_n = 0;
    if (*gfn <= FAKE_CONSOLE_GFN) {
        *gfn = FAKE_RAM_GFN;
        return 0;
    }
    for (; *gfn < FAKE_GFN_LIMIT && *ret_n < 3 && *ret_n < max; ++*gfn)
        if (guest->readonly[1 + *gfn - FAKE_RAM_GFN])
            ret_ranges[(*ret_n)++] = (struct stream_range){*gfn, 1};
    if (*gfn >= FAKE_GFN_LIMIT)
        *gfn = UINT64_MAX;
    return 0;
}

static int fake_set_readonly(void *ctx, uint32_t domid, const struct stream_range *range,
                             struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (!fake_page_at(guest, range->first_gfn) ||
        !fake_page_at(guest, range->first_gfn + range->pages - 1) || range->pages == 0)
        return fake_no_page(ctx, err);
    for (uint64_t i = 0; i < range->pages && !((struct fake_host *)ctx)->forget_readonly; i++)
        guest->readonly[1 + range->first_gfn + i - FAKE_RAM_GFN] = true;
    return 0;
}

/* No host does it in no time: a downtime of 1 ms is always too short, so there are more rounds. */
#define STATE_US 2000

static int fake_get_state(void *ctx, uint32_t domid, void **ret_state, uint32_t *ret_bytes,
                          struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    usleep(STATE_US);
    *ret_state = malloc(FAKE_STATE_BYTES);
    if (!*ret_state)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    memcpy(*ret_state, guest->state, FAKE_STATE_BYTES);
    *ret_bytes = FAKE_STATE_BYTES;
    return 0;
}

static int fake_set_state(void *ctx, uint32_t domid, const void *state, uint32_t bytes,
                          struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest)
        return -1;
    if (((struct fake_host *)ctx)->refuse_state || bytes != FAKE_STATE_BYTES)
        return gw_error_set(err, GW_EXIT_FAILED, "the hypervisor refuses the guest's state");
    memcpy(guest->state, state, bytes);
    return 0;
}

static void fake_settle_console(void *ctx, uint32_t domid)
{
}

static bool has_room(const struct fake_host *host)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        n += host->guests[i].used;
    return n < (host->room ? host->room : FAKE_GUESTS);
}

static int fake_create(void *ctx, const struct stream_config *config, const char *name,
                       uint32_t *ret_domid, struct gw_error *err)
{
    struct fake_host *host = ctx;
    struct fake_guest *guest = host->guests;

    if (call_fails(host, err))
        return -1;
    if (fake_guest_find(host, name))
        return gw_error_set(err, GW_EXIT_STATE, "%s is being built by another process", name);
    while (atomic_exchange(&host->creating, true))
        usleep(100);
    if (host->refuse_create || !has_room(host)) {
        host->creating = false;
        return gw_error_set(err, GW_EXIT_FAILED, "not enough memory for the guest");
    }
    while (guest->used)
        guest++;
    memset(guest, 0, sizeof(*guest));
    guest->domid = ++host->next_domid;
    guest->config = *config;
    guest->config.text = NULL;
    memcpy(guest->text, config->text,
           config->text_length < sizeof(guest->text) ? config->text_length
                                                     : sizeof(guest->text) - 1);
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    guest->pauses = 1;
    atomic_fetch_add(&host->frames, FAKE_GUEST_FRAMES);
    guest->used = true;
    host->creating = false;
    *ret_domid = guest->domid;
    return 0;
}

static int fake_hold(void *ctx, uint32_t domid, const char *note, struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (guest)
        snprintf(guest->note, sizeof(guest->note), "%s", note ? note : "");
    else if (!note && err->code == GW_EXIT_NO_GUEST)
        return 0;
    return guest ? 0 : -1;
}

static int fake_held(void *ctx, const char *name, struct migrate_held *ret_held,
                     struct gw_error *err)
{
    struct fake_guest *guest = fake_guest_find(ctx, name);

    if (!guest)
        return gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    if (!guest->note[0])
        return gw_error_set(err, GW_EXIT_STATE, "%s is not held", name);
    ret_held->domid = guest->domid;
    memcpy(ret_held->uuid, guest->config.uuid, sizeof(ret_held->uuid));
    ret_held->note = strdup(guest->note);
    return 0;
}

static int fake_locate(void *ctx, const uint8_t uuid[16], uint32_t *ret_where, struct gw_error *err)
{
    struct fake_host *host = ctx;

    *ret_where = HANDOVER_NOT_HERE;
    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        if (host->guests[i].used && !memcmp(host->guests[i].config.uuid, uuid, 16))
            *ret_where =
                strstr(host->guests[i].name, "--incoming") ? HANDOVER_NEVER_RAN : HANDOVER_HERE;
    return 0;
}

static int fake_rename(void *ctx, uint32_t domid, const char *from, const char *to,
                       struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    if (!guest || strcmp(guest->name, from) != 0)
        return gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", from);
    if (fake_guest_find(ctx, to))
        return gw_error_set(err, GW_EXIT_STATE, "there is already a guest '%s'", to);
    snprintf(guest->name, sizeof(guest->name), "%s", to);
    return 0;
}

static const struct migrate_host_ops fake_ops = {
    .close = fake_close,
    .describe = fake_describe,
    .find = fake_find,
    .pause = fake_pause,
    .unpause = fake_unpause,
    .is_paused = fake_is_paused,
    .destroy = fake_destroy,
    .log_claim = fake_log_claim,
    .log_is_free = fake_log_is_free,
    .log_start = fake_log_start,
    .log_stop = fake_log_stop,
    .log_take = fake_log_take,
    .log_mark = fake_log_mark,
    .log_resume = fake_log_resume,
    .log_peek = fake_log_peek,
    .vcpu_stats = fake_vcpu_stats,
    .vcpu_throttle = fake_vcpu_throttle,
    .writer_sample = fake_writer_sample,
    .ranges = fake_ranges,
    .read_pages = fake_read_pages,
    .write_pages = fake_write_pages,
    .get_readonly = fake_get_readonly,
    .set_readonly = fake_set_readonly,
    .get_state = fake_get_state,
    .set_state = fake_set_state,
    .settle_console = fake_settle_console,
    .create = fake_create,
    .hold = fake_hold,
    .held = fake_held,
    .locate = fake_locate,
    .rename = fake_rename,
};

static int fake_open(void *arg, struct migrate_host *ret_host, struct gw_error *err)
{
    *ret_host = (struct migrate_host){.ops = &fake_ops, .ctx = arg};
    return 0;
}

struct migrate_opener fake_opener(struct fake_world *world, unsigned host)
{
    return (struct migrate_opener){.open = fake_open, .arg = &world->hosts[host]};
}

/* The code under test falls back on the real host when no opener is given: the tests always give
 * one. */
const struct migrate_opener migrate_this_host = {.open = NULL};

void migrate_guest_free(struct migrate_guest *guest)
{
    free(guest->text);
    guest->text = NULL;
}
