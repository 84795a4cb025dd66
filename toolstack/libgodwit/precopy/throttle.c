/* SPDX-License-Identifier: MIT */
#include "throttle.h"

#include "throttle_sample.h"
#include <string.h>

int throttle_read(struct throttle *t, struct gw_error *err)
{
    return t->host->ops->vcpu_stats(t->host->ctx, t->domid, t->counts, &t->n, err);
}

int throttle_begin(struct throttle *t, struct migrate_host *host, struct handover_guard *guard,
                   uint32_t domid, struct gw_error *err)
{
    memset(t, 0, sizeof(*t));
    t->host = host;
    t->guard = guard;
    t->domid = domid;
    return throttle_read(t, err);
}

/* One count stands for so many pages: the same for all vCPUs of a guest. 0: nothing is known. */
static unsigned pages_per_count(const struct throttle *t)
{
    return t->n ? t->counts[0].pages_per_count : 0;
}

/* The rates since the last reading. What was not counted then has none yet. */
static int read_rates(struct throttle *t, const struct throttle_measure *look, struct gw_error *err)
{
    struct migrate_vcpu before[STREAM_VCPUS_MAX];
    uint64_t pages[STREAM_VCPUS_MAX];

    memcpy(before, t->counts, sizeof(before));
    if (throttle_read(t, err))
        return -1;
    for (unsigned i = 0; i < t->n; i++) {
        bool known = before[i].pages_per_count &&
                     before[i].pages_per_count == t->counts[i].pages_per_count &&
                     t->counts[i].dirty_pages >= before[i].dirty_pages;

        pages[i] = known ? t->counts[i].dirty_pages - before[i].dirty_pages : 0;
        t->vcpus[i].dirty_pages_per_s = pages[i] * 1000 / look->ms;
    }
    if (pages_per_count(t) > 1)
        throttle_sample_rates(look, pages, pages_per_count(t), t->vcpus, t->n);
    return 0;
}

unsigned throttle_look_ms(const struct throttle *t)
{
    unsigned most = 0, ms, sample_ms = 0;

    if (t->n == 0)
        return 0;
    for (unsigned i = 0; i < t->n; i++)
        most = t->vcpus[i].percent > most ? t->vcpus[i].percent : most;
    ms = most > THROTTLE_LONG_PERCENT ? THROTTLE_LONG_LOOK_MS : THROTTLE_LOOK_MS;
    if (t->pressing && pages_per_count(t) > 1)
        sample_ms = throttle_sample_look_ms(t->dirty_pages_per_s, pages_per_count(t), t->n);
    return sample_ms > ms ? sample_ms : ms;
}

/* Only once the guest presses: a page of the sample costs the guest a fault each round. */
static int ask_for_sample(struct throttle *t, struct gw_error *err)
{
    if (t->pressing == 0 || t->sampling || pages_per_count(t))
        return 0;
    t->sampling = true;
    return t->host->ops->writer_sample(t->host->ctx, t->domid, true, err);
}

static int end_sample(struct throttle *t, struct gw_error *err)
{
    if (!t->sampling)
        return 0;
    t->sampling = false;
    return t->host->ops->writer_sample(t->host->ctx, t->domid, false, err);
}

static int apply(struct throttle *t, const struct throttle_vcpu *before, struct gw_error *err)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->vcpus[i].percent == before[i].percent)
            continue;
        handover_guard_add(t->guard, HANDOVER_THROTTLED);
        if (t->host->ops->vcpu_throttle(t->host->ctx, t->domid, i, t->vcpus[i].percent, err))
            return -1;
    }
    return 0;
}

int throttle_round(struct throttle *t, const struct throttle_measure *measure, bool enabled,
                   struct gw_error *err)
{
    struct throttle_measure look = *measure;
    struct throttle_vcpu before[STREAM_VCPUS_MAX];
    bool known = pages_per_count(t), changed;

    if (t->n == 0)
        return 0;
    t->look_ms += measure->ms;
    t->look_millipages += measure->dirty_pages_per_s * measure->ms;
    if (enabled && t->look_ms < throttle_look_ms(t))
        return 0;
    look.ms = t->look_ms ? t->look_ms : 1;
    look.dirty_pages_per_s = t->dirty_pages_per_s = t->look_millipages / look.ms;
    look.ms += t->paced_ms;
    t->look_ms = t->look_millipages = t->paced_ms = 0;
    if (read_rates(t, &look, err))
        return -1;
    look.sampled = pages_per_count(t) != 1;
    memcpy(before, t->vcpus, sizeof(before));
    if (!enabled) {
        for (unsigned i = 0; i < t->n; i++)
            t->vcpus[i].percent = 0;
        t->pressing = 0;
        t->exhausted = false;
        return apply(t, before, err) || end_sample(t, err) ? -1 : 0;
    }
    changed = throttle_decide(&t->pressing, &look, t->vcpus, t->n);
    t->exhausted = !changed && t->pressing >= THROTTLE_PATIENCE && known;
    return apply(t, before, err) || ask_for_sample(t, err) ? -1 : 0;
}

int throttle_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err)
{
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);

    if (!handover_guard_has(guard, HANDOVER_THROTTLED))
        return 0;
    if (host->ops->vcpu_throttle(host->ctx, domid, MIGRATE_ALL_VCPUS, 0, err))
        return -1;
    handover_guard_drop(guard, HANDOVER_THROTTLED);
    return 0;
}
