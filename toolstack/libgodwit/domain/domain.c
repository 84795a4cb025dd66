/* SPDX-License-Identifier: MIT */
/* Building a domain: an empty one first, then what runs in it. */
#include <errno.h>
#include <godwit/guest_map.h>
#include <libgodwit/domain.h>
#include <libgodwit/registry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "file.h"
#include "image.h"
#include "ram.h"
#include "tree.h"

/* Allowance above RAM for the console page. */
#define MAGIC_KIB     1024u
#define CONSOLE_PAGES 1u

/* For a domain that has got none of its memory yet. */
static int report_shortage(struct gw_hv *hv, const struct gw_config *config, struct gw_error *err)
{
    uint64_t bytes = (config->memory_mib << 20) + gw_layout_mempool_bytes(config->memory_mib);

    return gw_ram_report_missing(hv, (bytes >> GW_PAGE_SHIFT) + CONSOLE_PAGES, err);
}

static int set_limits(struct gw_hv *hv, const struct gw_config *config, uint32_t domid,
                      struct gw_error *err)
{
    int rc = gw_hv_domain_set_address_size(hv, domid, 64);

    if (rc == 0)
        rc = gw_hv_domain_set_max_vcpus(hv, domid, config->vcpus);
    if (rc == 0)
        rc = gw_hv_domain_set_max_mem(hv, domid, config->memory_mib * 1024 + MAGIC_KIB);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot set up the domain");
    rc = gw_hv_domain_set_mempool(hv, domid, gw_layout_mempool_bytes(config->memory_mib));
    if (rc == -ENOMEM)
        return report_shortage(hv, config, err);
    return rc < 0 ? gw_error_errno(err, rc, "cannot reserve memory for page tables") : 0;
}

static int add_console(struct gw_hv *hv, uint32_t domid, uint32_t *ret_port, struct gw_error *err)
{
    uint64_t gfn = gw_layout_console_gfn();
    unsigned done = 0;
    int rc = gw_hv_populate(hv, domid, &gfn, 1, 0, &done);

    if (rc == 0 && done == 0)
        return gw_ram_report_missing(hv, CONSOLE_PAGES, err);
    if (rc == 0)
        rc = gw_hv_vuart_init(hv, domid, gfn, ret_port);
    return rc < 0 ? gw_error_errno(err, rc, "cannot set up the console") : 0;
}

/* A hypervisor that was not asked for anything need not know the call. */
static int set_logdirty(struct gw_hv *hv, const struct gw_config *config,
                        enum gw_logdirty_policy policy, struct gw_domain *domain,
                        struct gw_error *err)
{
    enum godwit_tracking tracking = config->logdirty;
    int rc;

    if (tracking == GODWIT_TRACKING_DEFAULT && config->logdirty_split == GODWIT_SPLIT_DEFAULT)
        return 0;
    rc = gw_hv_set_logdirty(hv, domain->domid, tracking, config->logdirty_split);
    if (rc == -EOPNOTSUPP && policy == GW_LOGDIRTY_ADAPT) {
        domain->logdirty_changed = true;
        rc = gw_hv_set_logdirty(hv, domain->domid, GODWIT_TRACKING_DEFAULT, config->logdirty_split);
    }
    if (rc == -EOPNOTSUPP)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED,
                            "logdirty = \"hardware\" needs CPUs that note writes themselves "
                            "(FEAT_HAFDBS), and not all CPUs of this host do: say \"auto\"");
    return rc < 0 ? gw_error_errno(err, rc, "cannot set how the guest's writes are noticed") : 0;
}

int gw_domain_create_empty(struct gw_hv *hv, const struct gw_config *config,
                           enum gw_logdirty_policy policy, struct gw_domain *ret_domain,
                           struct gw_error *err)
{
    struct gw_hv_create create = {.vcpus = config->vcpus, .spis = GODWIT_GUEST_SPIS};
    struct gw_domain domain = {0};
    int rc;

    memcpy(create.uuid, config->uuid, sizeof(create.uuid));
    rc = gw_hv_domain_create(hv, &create, &domain.domid);
    if (rc == -ENOMEM)
        return report_shortage(hv, config, err);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot create a domain");
    if (set_limits(hv, config, domain.domid, err) < 0 ||
        set_logdirty(hv, config, policy, &domain, err) < 0 ||
        gw_ram_populate(hv, domain.domid, config->memory_mib, err) < 0 ||
        add_console(hv, domain.domid, &domain.console_port, err) < 0) {
        gw_hv_domain_destroy(hv, domain.domid);
        return -1;
    }
    *ret_domain = domain;
    return 0;
}

/* Everything that goes into the guest's RAM, with where it goes. */
struct payload {
    struct gw_image image;
    struct gw_file ramdisk;
    uint8_t tree[GW_TREE_BYTES_MAX];
    size_t tree_bytes;
    struct gw_placement place;
};

static int payload_prepare(struct payload *p, const struct gw_config *config, struct gw_error *err)
{
    struct gw_ram_bank banks[GW_RAM_BANKS];
    struct gw_tree_spec tree = {.banks = banks, .vcpus = config->vcpus, .cmdline = config->cmdline};

    gw_layout_ram(config->memory_mib, banks);
    if (gw_image_load(&p->image, config->kernel, banks[0].bytes, err) < 0)
        return -1;
    if (config->ramdisk && gw_file_read(&p->ramdisk, config->ramdisk, banks[0].bytes, err) < 0)
        return gw_error_prefix(err, "ramdisk");
    if (getrandom(tree.rng_seed, sizeof(tree.rng_seed), 0) != (ssize_t)sizeof(tree.rng_seed))
        return gw_error_errno(err, errno, "cannot get random numbers");
    /* The tree's size must be known before the ramdisk below it has an address: place for the most.
     */
    if (gw_image_place(&p->image, p->ramdisk.bytes, GW_TREE_BYTES_MAX, &banks[0], &p->place, err) <
        0)
        return -1;
    tree.ramdisk_base = p->place.ramdisk;
    tree.ramdisk_bytes = p->ramdisk.bytes;
    return gw_tree_build(&tree, p->tree, sizeof(p->tree), &p->tree_bytes, err);
}

static int write_and_flush(struct gw_hv *hv, uint32_t domid, uint64_t ipa, const void *data,
                           uint64_t bytes, const char *what, struct gw_error *err)
{
    uint64_t first = ipa >> GW_PAGE_SHIFT;
    uint64_t last = (ipa + bytes + GW_PAGE_BYTES - 1) >> GW_PAGE_SHIFT;
    int rc;

    if (bytes == 0)
        return 0;
    rc = gw_hv_guest_write(hv, domid, ipa, data, bytes);
    if (rc == 0)
        rc = gw_hv_cache_flush(hv, domid, first, last - first);
    return rc < 0 ? gw_error_errno(err, rc, "cannot load the %s into the guest", what) : 0;
}

static int payload_load(struct gw_hv *hv, uint32_t domid, const struct payload *p,
                        struct gw_error *err)
{
    struct vcpu_guest_context context = {
        .flags = VGCF_online,
        .user_regs = {.x0 = p->place.tree, .pc64 = p->place.kernel, .cpsr = PSR_GUEST64_INIT},
        .sctlr = SCTLR_GUEST_INIT,
    };
    int rc;

    if (write_and_flush(hv, domid, p->place.kernel, p->image.data, p->image.bytes, "kernel", err) <
            0 ||
        write_and_flush(hv, domid, p->place.ramdisk, p->ramdisk.data, p->ramdisk.bytes, "ramdisk",
                        err) < 0 ||
        write_and_flush(hv, domid, p->place.tree, p->tree, p->tree_bytes, "device tree", err) < 0)
        return -1;
    rc = gw_hv_vcpu_set_context(hv, domid, 0, &context);
    return rc < 0 ? gw_error_errno(err, rc, "cannot set the guest's first vCPU") : 0;
}

static void payload_free(struct payload *p)
{
    if (!p)
        return;
    gw_image_free(&p->image);
    gw_file_free(&p->ramdisk);
    free(p);
}

static struct payload *payload_new(const struct gw_config *config, struct gw_error *err)
{
    struct payload *p = calloc(1, sizeof(*p));

    if (!p) {
        gw_error_set(err, GW_EXIT_FAILED, "out of memory");
        return NULL;
    }
    if (payload_prepare(p, config, err) < 0) {
        payload_free(p);
        return NULL;
    }
    return p;
}

int gw_domain_load(struct gw_hv *hv, const struct gw_config *config, const struct gw_domain *domain,
                   struct gw_error *err)
{
    struct payload *p = payload_new(config, err);
    int rc;

    if (!p)
        return -1;
    rc = payload_load(hv, domain->domid, p, err);
    payload_free(p);
    return rc;
}

static int domain_register(const struct gw_config *config, const struct gw_domain *domain,
                           struct gw_error *err)
{
    struct gw_record record = {.domid = domain->domid, .console_port = domain->console_port};
    int rc;

    memcpy(record.name, config->name, sizeof(record.name));
    memcpy(record.uuid, config->uuid, sizeof(record.uuid));
    record.config_text = gw_config_format(config);
    if (!record.config_text)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    rc = gw_registry_add(&record, err);
    free(record.config_text);
    return rc;
}

static int build(struct gw_hv *hv, const struct gw_config *config, bool paused,
                 enum gw_logdirty_policy policy, struct gw_domain *ret_domain, struct gw_error *err)
{
    /* Files are read and checked before anything is created. */
    struct payload *p = payload_new(config, err);
    struct gw_domain domain = {0};
    bool registered = false;
    int rc;

    if (!p)
        return -1;
    rc = gw_domain_create_empty(hv, config, policy, &domain, err);
    if (rc < 0) {
        payload_free(p);
        return rc;
    }
    rc = payload_load(hv, domain.domid, p, err);
    payload_free(p);
    if (rc == 0) {
        rc = domain_register(config, &domain, err);
        registered = rc == 0;
    }
    if (rc == 0 && !paused) {
        int hv_rc = gw_hv_domain_unpause(hv, domain.domid);

        if (hv_rc < 0)
            rc = gw_error_errno(err, hv_rc, "cannot start the guest");
    }
    if (rc == 0) {
        *ret_domain = domain;
        return 0;
    }
    if (registered) {
        struct gw_error ignored;

        gw_registry_remove(config->name, domain.domid, &ignored);
    }
    gw_hv_domain_destroy(hv, domain.domid);
    return rc;
}

int gw_domain_create(struct gw_hv *hv, const struct gw_config *config, bool paused,
                     struct gw_domain *ret_domain, struct gw_error *err)
{
    return build(hv, config, paused, GW_LOGDIRTY_REFUSE, ret_domain, err);
}

int gw_domain_restart(struct gw_hv *hv, const struct gw_config *config,
                      struct gw_domain *ret_domain, struct gw_error *err)
{
    return build(hv, config, false, GW_LOGDIRTY_ADAPT, ret_domain, err);
}
