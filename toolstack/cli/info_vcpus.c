/* SPDX-License-Identifier: MIT */
#include "info_vcpus.h"

#include <inttypes.h>
#include <stdio.h>

/* Names as in the report of a migration. */
static void fill(struct json_object *object, const struct godwit_vcpu_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"vcpu", s->vcpu},
        {"throttle_percent", s->throttle_percent},
        {"faults", s->faults},
        {"stall_fault_ns", s->fault_ns},
        {"stall_throttle_ns", s->throttle_ns},
        {"stall_harvest_ns", s->harvest_ns},
        {"stall_pause_ns", s->pause_ns},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        json_object_object_add(object, fields[i].name, json_object_new_uint64(fields[i].value));
    if (s->pages_per_count) /* else nobody knows */
        json_object_object_add(object, "dirty_pages",
                               json_object_new_uint64(s->dirty_pages * s->pages_per_count));
}

struct json_object *info_vcpus_json(struct gw_hv *hv, uint32_t domid)
{
    struct json_object *array = json_object_new_array();
    struct godwit_vcpu_stats stats;

    for (uint32_t id = 0; gw_hv_vcpu_stats(hv, domid, id, &stats) == 0; id++) {
        struct json_object *object = json_object_new_object();

        fill(object, &stats);
        json_object_array_add(array, object);
    }
    return array;
}

void info_vcpus_print(struct gw_hv *hv, uint32_t domid)
{
    struct godwit_vcpu_stats s;

    for (uint32_t id = 0; gw_hv_vcpu_stats(hv, domid, id, &s) == 0; id++) {
        char pages[32] = "unknown";

        if (s.pages_per_count)
            snprintf(pages, sizeof(pages), "%" PRIu64, s.dirty_pages * s.pages_per_count);
        printf("vcpu %-20" PRIu32 "dirty pages %s, faults %" PRIu64 ", throttle %" PRIu32
               " %%; us lost to faults %" PRIu64 ", throttle %" PRIu64 ", harvests %" PRIu64
               ", pauses %" PRIu64 "\n",
               id, pages, s.faults, s.throttle_percent, s.fault_ns / 1000, s.throttle_ns / 1000,
               s.harvest_ns / 1000, s.pause_ns / 1000);
    }
}
