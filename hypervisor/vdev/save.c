/* SPDX-License-Identifier: MIT */
/* Lists of save records: writing, checking, loading. What is in them is in save_*.c. */
#include "save_internal.h"

#include <hv/console.h>
#include <hv/errno.h>
#include <hv/save.h>
#include <string.h>

static const struct save_kind *const kinds[GODWIT_SAVE_TYPES] = {
    [GODWIT_SAVE_HEADER] = &save_kind_header, [GODWIT_SAVE_VCPU] = &save_kind_vcpu,
    [GODWIT_SAVE_CLOCK] = &save_kind_clock,   [GODWIT_SAVE_TIMER] = &save_kind_timer,
    [GODWIT_SAVE_GICD] = &save_kind_gicd,     [GODWIT_SAVE_GICR] = &save_kind_gicr,
    [GODWIT_SAVE_PL011] = &save_kind_pl011,   [GODWIT_SAVE_PL061] = &save_kind_pl061,
    [GODWIT_SAVE_HIDDEN] = &save_kind_hidden,
};

_Static_assert(DOMAIN_VCPUS_MAX <= GODWIT_SAVE_VCPUS_MAX, "instances fit into a word of bits");

/* What a list has been found to hold: a bit per instance of each type. */
struct seen {
    uint64_t instances[GODWIT_SAVE_TYPES];
};

static unsigned instances_of(const struct domain *d, unsigned type)
{
    if (!kinds[type] || !kinds[type]->bytes(d)) {
        return 0;
    }
    return kinds[type]->per_vcpu ? d->max_vcpus : 1;
}

static bool can_be_saved(const struct domain *d)
{
    bool complete = !d->is_control && d->max_vcpus > 0;
    for (uint32_t i = 0; complete && i < d->max_vcpus; i++) {
        complete = d->vcpus[i] != NULL;
    }
    return complete;
}

static size_t total_bytes(const struct domain *d)
{
    size_t bytes = sizeof(struct godwit_save_descriptor); /* END */
    for (unsigned type = 1; type < GODWIT_SAVE_TYPES; type++) {
        unsigned instances = instances_of(d, type);
        if (instances) {
            bytes += instances * (sizeof(struct godwit_save_descriptor) + kinds[type]->bytes(d));
        }
    }
    return bytes;
}

static uint8_t *write_record(struct domain *d, unsigned type, unsigned instance, uint8_t *at)
{
    struct godwit_save_descriptor *descriptor = (struct godwit_save_descriptor *)at;
    size_t bytes = kinds[type]->bytes(d);

    *descriptor =
        (struct godwit_save_descriptor){(uint16_t)type, (uint16_t)instance, (uint32_t)bytes};
    memset(descriptor + 1, 0, bytes);
    kinds[type]->save(d, instance, descriptor + 1);
    return (uint8_t *)(descriptor + 1) + bytes;
}

int hv_save_context(struct domain *d, void *buf, size_t bytes, size_t *ret_bytes)
{
    uint8_t *at = buf;

    if (!can_be_saved(d)) {
        return -EINVAL;
    }
    size_t needed = total_bytes(d);
    if (buf && bytes < needed) {
        return -ENOSPC;
    }
    *ret_bytes = needed;
    if (!buf) {
        return 0;
    }
    for (unsigned type = 1; type < GODWIT_SAVE_TYPES; type++) {
        for (unsigned i = 0; i < instances_of(d, type); i++) {
            at = write_record(d, type, i, at);
        }
    }
    *(struct godwit_save_descriptor *)at = (struct godwit_save_descriptor){GODWIT_SAVE_END, 0, 0};
    return 0;
}

/* Walks the list: NULL at its end or at a truncated record, which *ret_error tells apart. */
static const struct godwit_save_descriptor *next_record(const uint8_t **at, const uint8_t *end,
                                                        int *ret_error)
{
    const struct godwit_save_descriptor *record = (const void *)*at;
    size_t left = (size_t)(end - *at);

    *ret_error = -ENODATA;
    if (left < sizeof(*record) || left - sizeof(*record) < record->length) {
        return NULL;
    }
    if (record->type == GODWIT_SAVE_END) {
        *ret_error = record->instance || record->length || left != sizeof(*record) ? -EINVAL : 0;
        return NULL;
    }
    *at += sizeof(*record) + record->length;
    return record;
}

static const char *check_record(const struct domain *d, struct seen *seen,
                                const struct godwit_save_descriptor *record)
{
    unsigned instances = record->type < GODWIT_SAVE_TYPES ? instances_of(d, record->type) : 0;

    if (!seen->instances[GODWIT_SAVE_HEADER] && record->type != GODWIT_SAVE_HEADER) {
        return "comes before the header";
    }
    if (!instances) {
        return "is of a type that this domain has not";
    }
    if (record->instance >= instances) {
        return "is of a vCPU that this domain has not";
    }
    if (seen->instances[record->type] >> record->instance & 1) {
        return "is there twice";
    }
    if (record->length != kinds[record->type]->bytes(d)) {
        return "has another length in this domain";
    }
    seen->instances[record->type] |= UINT64_C(1) << record->instance;
    return kinds[record->type]->check(d, record->instance, record + 1);
}

static int check_list(const struct domain *d, const uint8_t *at, const uint8_t *end)
{
    const struct godwit_save_descriptor *record;
    struct seen seen = {{0}};
    int error;

    while ((record = next_record(&at, end, &error))) {
        const char *wrong = check_record(d, &seen, record);
        if (wrong) {
            printk("d%u: save record %u.%u %s\n", d->id, record->type, record->instance, wrong);
            return -EINVAL;
        }
    }
    for (unsigned type = 1; !error && type < GODWIT_SAVE_TYPES; type++) {
        unsigned instances = instances_of(d, type);
        uint64_t all = instances == 64 ? ~UINT64_C(0) : (UINT64_C(1) << instances) - 1;
        if (seen.instances[type] != all && !(kinds[type]->optional && !seen.instances[type])) {
            printk("d%u: save records of type %u are missing\n", d->id, type);
            error = -EINVAL;
        }
    }
    return error;
}

int hv_load_context(struct domain *d, const void *buf, size_t bytes)
{
    const uint8_t *at = buf;
    const uint8_t *end = at + bytes;
    const struct godwit_save_descriptor *record;
    int error;

    /* Records are 8 bytes aligned if the list is. */
    if (!can_be_saved(d) || ((uintptr_t)buf & 7) || (bytes & 7)) {
        return -EINVAL;
    }
    error = check_list(d, at, end);
    if (error) {
        return error;
    }
    save_reset_interrupts(d);
    while ((record = next_record(&at, end, &error))) {
        kinds[record->type]->load(d, record->instance, record + 1);
    }
    save_recompute(d);
    return 0;
}
