/* SPDX-License-Identifier: MIT */
/* The dirty log as its contract (core/dirty_log.h) describes it, one byte a page. */
#include <core/dirty_log.h>
#include <core/dirty_track.h>
#include <core/s2.h>
#include <hv/errno.h>
#include <hv/logdirty.h>
#include <hv/p2m.h>
#include <hv/sched.h>
#include <hv/stall.h>

#include "fake_host.h"

struct dirty_log_options logdirty_options(const struct domain *d)
{
    return (struct dirty_log_options){0};
}

int dirty_log_enable(struct s2_vm *vm, const struct dirty_log_options *options)
{
    if (fake.log_state == FAKE_LOG_ON) {
        return -EBUSY;
    }
    fake.log_state = FAKE_LOG_STARTING;
    if (fake.enable_steps > 0) {
        fake.enable_steps--;
        return -ERESTART;
    }
    fake.log_state = FAKE_LOG_ON;
    return 0;
}

int dirty_log_off(struct s2_vm *vm)
{
    fake.log_state = FAKE_LOG_OFF;
    fake.harvest_open = false;
    if (fake.off_steps > 0) {
        fake.off_steps--;
        return -ERESTART;
    }
    return 0;
}

int dirty_log_sample(struct s2_vm *vm, bool on)
{
    if (fake.log_state == FAKE_LOG_OFF) {
        return -EINVAL;
    }
    fake.sampling = on;
    return 0;
}

unsigned dirty_log_pages_per_fault(const struct s2_vm *vm)
{
    return fake.sampling ? DIRTY_LOG_SAMPLE_PAGES : 1;
}

void stall_domain_reset(struct domain *d)
{
    fake.resets++;
}

void stall_vcpu_read(struct vcpu *v, struct stall_report *ret_report)
{
    *ret_report = (struct stall_report){
        .faults = 10 + v->id, .dirty_pages = 20 + v->id, .fault_ns = 30 + v->id, .wait_ns = 40};
}

void sched_domain_may_throttle(struct domain *d, bool may)
{
    fake.may_throttle = may;
    memset(fake.throttle_percent, 0, sizeof(fake.throttle_percent));
}

int sched_throttle(struct domain *d, struct vcpu *v, unsigned percent)
{
    if (!fake.may_throttle) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (v == NULL || v == d->vcpus[i]) {
            fake.throttle_percent[i] = percent;
        }
    }
    return 0;
}

struct sched_holds sched_vcpu_holds(const struct vcpu *v)
{
    return (struct sched_holds){
        .throttle_percent = fake.throttle_percent[v->id], .throttle_ns = 50, .pause_ns = 60};
}

bool dirty_log_is_on(const struct s2_vm *vm)
{
    return fake.log_state != FAKE_LOG_OFF;
}

void dirty_log_mark(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer)
{
    (void)writer;
    fake.marks++;
    if (fake.on_mark != NULL) {
        fake.on_mark(ipa);
    }
    if (ipa_gfn(ipa) < FAKE_LOG_PAGES) {
        fake.dirty[ipa_gfn(ipa)] = 1;
    }
}

int dirty_log_harvest_begin(struct s2_vm *vm)
{
    if (fake.log_state != FAKE_LOG_ON) {
        return fake.log_state == FAKE_LOG_OFF ? -EINVAL : -EBUSY;
    }
    if (fake.harvest_open) {
        return -EBUSY;
    }
    fake.harvest_open = true;
    fake.aborted_to = 0;
    memset(fake.taken, 0, sizeof(fake.taken));
    return 0;
}

unsigned dirty_log_peek_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                              struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages)
{
    unsigned count = 0;

    *ret_pages = 0;
    for (; *gfn < end && *gfn < FAKE_LOG_PAGES; ++*gfn) {
        if (*gfn % 64 == 0 && count == fake.words_per_call) {
            return count;
        }
        if (fake.dirty[*gfn] == 0) {
            continue;
        }
        if (count == 0 || words[count - 1].gfn != (*gfn & ~UINT64_C(63))) {
            words[count++] = (struct dirty_log_word){.gfn = *gfn & ~UINT64_C(63)};
        }
        words[count - 1].bits |= UINT64_C(1) << (*gfn % 64);
        ++*ret_pages;
    }
    *gfn = end;
    return count;
}

unsigned dirty_log_harvest_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                                 struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages)
{
    uint64_t first = *gfn;
    unsigned count;

    assert_true(fake.harvest_open && fake.aborted_to == 0 && first % 64 == 0);
    count = dirty_log_peek_words(vm, gfn, end, words, ret_pages);
    for (uint64_t i = first; i < *gfn && i < FAKE_LOG_PAGES; i++) {
        fake.taken[i] |= fake.dirty[i];
        fake.dirty[i] = 0;
    }
    return count;
}

void dirty_log_harvest_untake(struct s2_vm *vm, uint64_t first, uint64_t pages)
{
    for (uint64_t i = first; i < first + pages && i < FAKE_LOG_PAGES; i++) {
        fake.dirty[i] |= fake.taken[i];
        fake.taken[i] = 0;
    }
}

void dirty_log_harvest_commit(struct s2_vm *vm)
{
    assert_true(fake.harvest_open && fake.aborted_to == 0);
    fake.harvest_open = false;
}

int dirty_log_harvest_abort(struct s2_vm *vm)
{
    if (!fake.harvest_open) { /* turning the log off has ended it */
        return 0;
    }
    fake.aborts++;
    if (fake.abort_pages != 0 && fake.aborted_to + fake.abort_pages < FAKE_LOG_PAGES) {
        dirty_log_harvest_untake(vm, fake.aborted_to, fake.abort_pages);
        fake.aborted_to += fake.abort_pages;
        return -ERESTART;
    }
    dirty_log_harvest_untake(vm, 0, FAKE_LOG_PAGES);
    fake.harvest_open = false;
    return 0;
}

int dirty_track_start(struct s2_vm *vm, uint64_t first_gfn, uint64_t pages)
{
    if (fake.out_of_memory) {
        return -ENOMEM;
    }
    fake.track_first = first_gfn;
    fake.track_pages = pages;
    memset(fake.written, 1, sizeof(fake.written));
    return 0;
}

void dirty_track_stop(struct s2_vm *vm)
{
    fake.track_pages = 0;
}

bool dirty_track_is_on(const struct s2_vm *vm, uint64_t first_gfn, uint64_t pages)
{
    return fake.track_pages != 0 && fake.track_first == first_gfn && fake.track_pages == pages;
}

int dirty_track_scan(struct s2_vm *vm, uint64_t *cursor)
{
    fake.track_scans += *cursor == 0;
    return (*cursor)++ < fake.track_steps ? -ERESTART : 0;
}

void dirty_track_report(struct s2_vm *vm, uint64_t offset, uint64_t words, uint8_t *bits)
{
    memset(bits, 0, words * 8);
    for (uint64_t i = 0; i < words * 64 && offset + i < fake.track_pages; i++) {
        uint64_t gfn = fake.track_first + offset + i;

        bits[i / 8] |= (uint8_t)(fake.written[gfn] << (i % 8));
        fake.reported[gfn] |= fake.written[gfn];
        fake.written[gfn] = 0;
    }
}

void dirty_track_finish(struct s2_vm *vm, bool delivered)
{
    for (unsigned i = 0; i < FAKE_LOG_PAGES; i++) {
        fake.written[i] |= !delivered && fake.reported[i];
        fake.reported[i] = 0;
    }
}

int p2m_set_type(struct domain *d, uint64_t gfn, uint64_t pages, enum s2_type type)
{
    assert_ptr_equal(d, fake.guest);
    assert_true(pages > 0 && gfn / 512 == (gfn + pages - 1) / 512);
    if (++fake.set_type_calls == fake.set_type_fails_at) {
        return -ENOMEM;
    }
    memset(&fake.types[gfn], (int)type, (size_t)pages);
    return 0;
}

void s2_stats_get(struct s2_vm *vm, struct s2_stats *ret_stats)
{
    *ret_stats = (struct s2_stats){.tables = 3};
}
