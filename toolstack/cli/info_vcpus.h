/* SPDX-License-Identifier: MIT */
/* What logging costs the vCPUs of a guest, for `godwit info`: godwit/ext.h, godwit_vcpu_stats. */
#ifndef GODWIT_INFO_VCPUS_H
#define GODWIT_INFO_VCPUS_H

#include <json.h>
#include <libgodwit/hv.h>

/* One object for each vCPU; none from a hypervisor that does not count them. */
struct json_object *info_vcpus_json(struct gw_hv *hv, uint32_t domid);
/* The same as lines for people. */
void info_vcpus_print(struct gw_hv *hv, uint32_t domid);

#endif
