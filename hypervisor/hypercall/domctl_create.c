/* SPDX-License-Identifier: MIT */
/*
 * createdomain: an empty, paused machine with Xen's guest map. Its argument has had three layouts
 * since 4.17; they are turned into one before anything is checked.
 */
#include <godwit/guest_map.h>
#include <hv/console.h>
#include <hv/vgic.h>
#include <hv/vpl011.h>
#include <hv/vpl061.h>
#include <stddef.h>
#include <string.h>

#include "domctl.h"

/* 4.19 to 4.21 and 4.22 on: altp2m was added. The bytes behind arch (72 to 75) came without a new
 * version. */
struct createdomain_419 {
    uint32_t ssidref;
    uint8_t handle[16];
    uint32_t flags;
    uint32_t iommu_opts;
    uint32_t max_vcpus;
    uint32_t max_evtchn_port;
    int32_t max_grant_frames;
    int32_t max_maptrack_frames;
    uint32_t grant_opts;
    uint32_t altp2m;
    uint32_t vmtrace_size;
    uint32_t cpupool_id;
    struct xen_arch_domainconfig arch;
};

_Static_assert(sizeof(struct xen_domctl_createdomain) == 68, "4.17");
_Static_assert(offsetof(struct xen_domctl_createdomain, arch) == 56, "4.17");
_Static_assert(sizeof(struct createdomain_419) == 72, "4.19");
_Static_assert(offsetof(struct createdomain_419, altp2m) == 48, "4.19");
_Static_assert(offsetof(struct createdomain_419, arch) == 60, "4.19");
_Static_assert(offsetof(struct createdomain_419, grant_opts) ==
                   offsetof(struct xen_domctl_createdomain, grant_opts),
               "the same up to here");

#define FLAGS_NEEDED (XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap)
#define FLAGS_KNOWN  (FLAGS_NEEDED | XEN_DOMCTL_CDF_xs_domain)

/* What the checks look at, whatever the layout. */
struct request {
    struct xen_domctl_createdomain *common; /* valid up to and including grant_opts */
    struct xen_arch_domainconfig *arch;
    uint32_t altp2m;
    uint32_t vmtrace_size;
    uint32_t cpupool_id;
};

static struct request parse(struct xen_domctl *op)
{
    struct createdomain_419 *later = (struct createdomain_419 *)(void *)&op->u;
    struct xen_domctl_createdomain *first = &op->u.createdomain;

    if (op->interface_version >= DOMCTL_VERSION_419) {
        return (struct request){first, &later->arch, later->altp2m, later->vmtrace_size,
                                later->cpupool_id};
    }
    return (struct request){first, &first->arch, 0, first->vmtrace_size, first->cpupool_id};
}

static long check(const struct request *request)
{
    const struct xen_domctl_createdomain *common = request->common;

    if ((common->flags & FLAGS_NEEDED) != FLAGS_NEEDED || (common->flags & ~FLAGS_KNOWN) != 0 ||
        common->iommu_opts != 0 || common->max_vcpus == 0 || common->max_vcpus > DOMAIN_VCPUS_MAX ||
        common->max_grant_frames < -1 || common->max_maptrack_frames < -1 ||
        (common->grant_opts & ~15u) != 0 || request->altp2m != 0 || request->vmtrace_size != 0 ||
        request->cpupool_id != 0) {
        return -EINVAL;
    }
    if ((request->arch->gic_version != XEN_DOMCTL_CONFIG_GIC_NATIVE &&
         request->arch->gic_version != XEN_DOMCTL_CONFIG_GIC_V3) ||
        request->arch->tee_type != XEN_DOMCTL_CONFIG_TEE_NONE ||
        request->arch->nr_spis > VGIC_SPIS_MAX) {
        return -EINVAL;
    }
    return 0;
}

/* Which id: a free one for the values that have meant "pick one", else the one that is asked for.
 */
static domid_t wanted_id(domid_t asked)
{
    return asked == 0 || asked >= DOMID_FIRST_RESERVED ? DOMID_INVALID : asked;
}

static long add_devices(struct domain *d, uint32_t spis)
{
    long error;

    spis = spis > GODWIT_GUEST_SPIS ? spis : GODWIT_GUEST_SPIS;
    error = vgic_domain_init(d, spis, ipa_make(GUEST_GICV3_GICD_BASE),
                             ipa_make(GUEST_GICV3_GICR0_BASE));
    if (error == 0) {
        error = vpl011_init(d, ipa_make(GUEST_PL011_BASE), GUEST_VPL011_SPI);
    }
    if (error == 0) {
        error = vpl061_init(d, ipa_make(GODWIT_PL061_BASE), GODWIT_PL061_SPI);
    }
    return error;
}

/* Nobody else has seen the domain do anything yet: destruction has no work that takes long. */
static void undo(struct domain *d)
{
    while (domain_destroy_step(d) == -ERESTART) {
    }
}

long domctl_create(struct domctl *domctl)
{
    struct request request = parse(&domctl->op);
    struct domain *d;
    long error = check(&request);

    if (error != 0) {
        return error;
    }
    error = domain_create(wanted_id(domctl->op.domain), request.common->max_vcpus, false, &d);
    if (error != 0) {
        return error;
    }
    memcpy(d->handle, request.common->handle, sizeof(d->handle));
    d->evtchn_upcall_ppi = GUEST_EVTCHN_PPI;
    error = add_devices(d, request.arch->nr_spis);
    if (error != 0) {
        undo(d);
        return error;
    }
    domctl->op.domain = d->id;
    request.arch->gic_version = XEN_DOMCTL_CONFIG_GIC_V3;
    request.arch->clock_frequency = 0; /* CNTFRQ_EL0 is right, the tree needs no property */
    domctl->copy_back = true;
    return 0;
}
