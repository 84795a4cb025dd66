/* SPDX-License-Identifier: MIT */
/* What the settings mean: one table of keys, with the function that takes the value. */
#include <ctype.h>
#include <errno.h>
#include <libgodwit/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config_parse.h"
#include "file.h"

#define CONFIG_FILE_BYTES_MAX (256u << 10)
#define CMDLINE_BYTES_MAX     2047u /* Linux' COMMAND_LINE_SIZE on arm64, less the 0 */
#define MEMORY_MIB_MAX        (1024u * 1024u)

/* What parsing knows beyond the configuration. */
struct parse_state {
    struct gw_config *config;
    const char *origin;
    char *root, *extra; /* parts of the command line, when `cmdline` does not give all of it */
    uint64_t maxmem_mib;
    uint32_t maxvcpus;
    bool have_uuid;
};

struct config_key {
    const char *name;
    enum config_type type;
    int (*take)(struct parse_state *s, const struct config_setting *setting, struct gw_error *err);
};

static int value_error(const struct parse_state *s, const struct config_setting *setting,
                       struct gw_error *err, const char *problem)
{
    return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: '%s' %s", s->origin, setting->line,
                        setting->key, problem);
}

static int replace_string(char **slot, const char *value, struct gw_error *err)
{
    char *copy = strdup(value);

    if (!copy)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    free(*slot);
    *slot = copy;
    return 0;
}

bool gw_config_name_valid(const char *name)
{
    bool letter = false;
    size_t n = 0;

    for (; name[n]; n++) {
        if (!isalnum((unsigned char)name[n]) && !strchr("_+.-", name[n]))
            return false;
        letter |= !isdigit((unsigned char)name[n]);
    }
    return n > 0 && n < GW_NAME_BYTES && letter && name[0] != '.' && name[0] != '-';
}

static int take_name(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    if (!gw_config_name_valid(v->string))
        return value_error(s, v, err,
                           "must have 1 to 63 letters, digits and _+.-, and not be a number");
    memcpy(s->config->name, v->string, strlen(v->string) + 1);
    return 0;
}

static int take_uuid(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    s->have_uuid = true;
    return gw_uuid_parse(v->string, s->config->uuid) < 0 ? value_error(s, v, err, "is not a UUID")
                                                         : 0;
}

static int take_kernel(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return replace_string(&s->config->kernel, v->string, err);
}

static int take_ramdisk(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return replace_string(&s->config->ramdisk, v->string, err);
}

static int take_cmdline(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return replace_string(&s->config->cmdline, v->string, err);
}

static int take_root(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return replace_string(&s->root, v->string, err);
}

static int take_extra(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return replace_string(&s->extra, v->string, err);
}

static int take_memory(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    if (v->number < GW_MEMORY_MIB_MIN || v->number > MEMORY_MIB_MAX)
        return value_error(s, v, err, "must be 1 to 1048576 (MiB)");
    if (!strcmp(v->key, "maxmem"))
        s->maxmem_mib = v->number;
    else
        s->config->memory_mib = v->number;
    return 0;
}

static int take_vcpus(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    if (v->number < 1 || v->number > GW_VCPUS_MAX)
        return value_error(s, v, err, "must be 1 to 64");
    if (!strcmp(v->key, "maxvcpus"))
        s->maxvcpus = (uint32_t)v->number;
    else
        s->config->vcpus = (uint32_t)v->number;
    return 0;
}

static const char *const action_names[] = {
    [GW_ACTION_DESTROY] = "destroy",
    [GW_ACTION_RESTART] = "restart",
    [GW_ACTION_PRESERVE] = "preserve",
};

const char *gw_action_name(enum gw_action action)
{
    return action_names[action];
}

static int take_action(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    enum gw_action *slot = !strcmp(v->key, "on_poweroff") ? &s->config->on_poweroff
                           : !strcmp(v->key, "on_reboot") ? &s->config->on_reboot
                                                          : &s->config->on_crash;

    for (unsigned i = 0; i < sizeof(action_names) / sizeof(action_names[0]); i++) {
        if (!strcmp(v->string, action_names[i])) {
            *slot = (enum gw_action)i;
            return 0;
        }
    }
    return value_error(s, v, err, "must be \"destroy\", \"restart\" or \"preserve\"");
}

static const char *const tracking_names[] = {
    [GODWIT_TRACKING_DEFAULT] = "auto",
    [GODWIT_TRACKING_FAULT] = "fault",
    [GODWIT_TRACKING_HARDWARE] = "hardware",
};
#define TRACKING_NAMES_N (sizeof(tracking_names) / sizeof(tracking_names[0]))

static const char *const split_names[] = {
    [GODWIT_SPLIT_DEFAULT] = "auto",
    [GODWIT_SPLIT_LAZY] = "lazy",
    [GODWIT_SPLIT_EAGER] = "eager",
};
#define SPLIT_NAMES_N (sizeof(split_names) / sizeof(split_names[0]))

const char *gw_tracking_name(uint32_t tracking)
{
    return tracking < TRACKING_NAMES_N ? tracking_names[tracking] : "unknown";
}

const char *gw_split_name(uint32_t split)
{
    return split < SPLIT_NAMES_N ? split_names[split] : "unknown";
}

static int take_logdirty(struct parse_state *s, const struct config_setting *v,
                         struct gw_error *err)
{
    for (unsigned i = 0; i < TRACKING_NAMES_N; i++) {
        if (!strcmp(v->string, tracking_names[i])) {
            s->config->logdirty = (enum godwit_tracking)i;
            return 0;
        }
    }
    return value_error(s, v, err, "must be \"auto\", \"fault\" or \"hardware\"");
}

static int take_logdirty_split(struct parse_state *s, const struct config_setting *v,
                               struct gw_error *err)
{
    for (unsigned i = 0; i < SPLIT_NAMES_N; i++) {
        if (!strcmp(v->string, split_names[i])) {
            s->config->logdirty_split = (enum godwit_split)i;
            return 0;
        }
    }
    return value_error(s, v, err, "must be \"auto\", \"lazy\" or \"eager\"");
}

/* Keys that xl's Arm configurations carry and that have one value here. */
static int take_only_pvh(struct parse_state *s, const struct config_setting *v,
                         struct gw_error *err)
{
    return strcmp(v->string, "pvh") ? value_error(s, v, err, "can only be \"pvh\"") : 0;
}

static int take_only_v3(struct parse_state *s, const struct config_setting *v, struct gw_error *err)
{
    return strcmp(v->string, "v3") ? value_error(s, v, err, "can only be \"v3\"") : 0;
}

static const struct config_key keys[] = {
    {"cmdline", CONFIG_STRING, take_cmdline},
    {"extra", CONFIG_STRING, take_extra},
    {"gic_version", CONFIG_STRING, take_only_v3},
    {"kernel", CONFIG_STRING, take_kernel},
    {"logdirty", CONFIG_STRING, take_logdirty},
    {"logdirty_split", CONFIG_STRING, take_logdirty_split},
    {"maxmem", CONFIG_NUMBER, take_memory},
    {"maxvcpus", CONFIG_NUMBER, take_vcpus},
    {"memory", CONFIG_NUMBER, take_memory},
    {"name", CONFIG_STRING, take_name},
    {"on_crash", CONFIG_STRING, take_action},
    {"on_poweroff", CONFIG_STRING, take_action},
    {"on_reboot", CONFIG_STRING, take_action},
    {"ramdisk", CONFIG_STRING, take_ramdisk},
    {"root", CONFIG_STRING, take_root},
    {"type", CONFIG_STRING, take_only_pvh},
    {"uuid", CONFIG_STRING, take_uuid},
    {"vcpus", CONFIG_NUMBER, take_vcpus},
};
#define KEYS_N (sizeof(keys) / sizeof(keys[0]))

/* xl's keys for things that guests of Godwit do not have, with what is missing. */
static const struct {
    const char *name, *missing;
} xl_only[] = {
    {"acpi", "ACPI tables"},
    {"bootloader", "boot loaders"},
    {"channel", "channels"},
    {"cpupool", "CPU pools"},
    {"cpus", "CPU pinning"},
    {"device_tree", "partial device trees"},
    {"disk", "virtual disks"},
    {"dtdev", "device assignment"},
    {"iomem", "device assignment"},
    {"irqs", "device assignment"},
    {"nics", "network devices"},
    {"p9", "file system devices"},
    {"passthrough", "device assignment"},
    {"pci", "device assignment"},
    {"pvcalls", "PV calls"},
    {"tee", "trusted firmware access"},
    {"usbctrl", "USB"},
    {"usbdev", "USB"},
    {"vdispl", "displays"},
    {"vfb", "displays"},
    {"vif", "network devices"},
    {"virtio", "virtio devices"},
    {"vkb", "keyboards"},
    {"vsnd", "sound devices"},
    {"vtpm", "TPMs"},
    {"vuart", "a choice of UART: a PL011 is always there"},
};

static const struct config_key *key_find(const struct parse_state *s,
                                         const struct config_setting *setting, struct gw_error *err)
{
    for (size_t i = 0; i < KEYS_N; i++)
        if (!strcmp(keys[i].name, setting->key))
            return &keys[i];
    for (size_t i = 0; i < sizeof(xl_only) / sizeof(xl_only[0]); i++) {
        if (strcmp(xl_only[i].name, setting->key) != 0)
            continue;
        gw_error_set(err, GW_EXIT_CONFIG,
                     "%s:%u: '%s' is a setting of xl that Godwit lacks: guests have no support "
                     "for %s",
                     s->origin, setting->line, setting->key, xl_only[i].missing);
        return NULL;
    }
    value_error(s, setting, err, "is not a known setting");
    return NULL;
}

static int parse_text(struct parse_state *s, const char *text, size_t len, struct gw_error *err)
{
    static const char *const type_names[] = {"a string", "a number", "a list"};
    unsigned seen_line[KEYS_N] = {0};
    struct config_reader reader;
    struct config_setting setting;
    int rc;

    config_reader_init(&reader, s->origin, text, len);
    while ((rc = config_read_key(&reader, &setting, err)) > 0) {
        const struct config_key *key = key_find(s, &setting, err);

        if (!key || config_read_value(&reader, &setting, err) < 0)
            return -1;
        if (seen_line[key - keys])
            return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: '%s' was already set in line %u",
                                s->origin, setting.line, setting.key, seen_line[key - keys]);
        seen_line[key - keys] = setting.line;
        if (setting.type != key->type)
            return gw_error_set(err, GW_EXIT_CONFIG, "%s:%u: '%s' must be %s, not %s", s->origin,
                                setting.line, setting.key, type_names[key->type],
                                type_names[setting.type]);
        if (key->take(s, &setting, err) < 0)
            return -1;
    }
    return rc;
}

/* cmdline, or else root= and extra, as xl puts them together. */
static int finish_cmdline(struct parse_state *s, struct gw_error *err)
{
    char line[2 * CONFIG_VALUE_BYTES + 16];

    if (!s->config->cmdline) {
        snprintf(line, sizeof(line), "%s%s%s%s", s->root ? "root=" : "", s->root ? s->root : "",
                 s->root && s->extra ? " " : "", s->extra ? s->extra : "");
        s->config->cmdline = strdup(line);
        if (!s->config->cmdline)
            return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    }
    if (strlen(s->config->cmdline) > CMDLINE_BYTES_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "%s: the command line is longer than %u characters", s->origin,
                            CMDLINE_BYTES_MAX);
    return 0;
}

static int finish(struct parse_state *s, struct gw_error *err)
{
    struct gw_config *c = s->config;

    if (!c->name[0] || !c->kernel || !c->kernel[0] || !c->memory_mib)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: '%s' is missing", s->origin,
                            !c->name[0]                   ? "name"
                            : !c->kernel || !c->kernel[0] ? "kernel"
                                                          : "memory");
    if (s->maxmem_mib && s->maxmem_mib != c->memory_mib)
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "%s: 'maxmem' must equal 'memory': guests have no balloon", s->origin);
    if (s->maxvcpus && s->maxvcpus != c->vcpus)
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "%s: 'maxvcpus' must equal 'vcpus': a guest starts its vCPUs itself",
                            s->origin);
    if (!s->have_uuid && getrandom(c->uuid, sizeof(c->uuid), 0) != (ssize_t)sizeof(c->uuid))
        return gw_error_errno(err, errno, "cannot make up a UUID");
    if (!s->have_uuid) { /* RFC 4122: random, variant 1 */
        c->uuid[6] = (uint8_t)((c->uuid[6] & 0x0f) | 0x40);
        c->uuid[8] = (uint8_t)((c->uuid[8] & 0x3f) | 0x80);
    }
    return finish_cmdline(s, err);
}

int gw_config_parse(struct gw_config *config, const char *origin, const char *text, size_t len,
                    const char *const *overrides, size_t n, struct gw_error *err)
{
    struct parse_state s = {.config = config, .origin = origin};
    int rc;

    memset(config, 0, sizeof(*config));
    config->vcpus = 1;
    config->on_reboot = GW_ACTION_RESTART;
    rc = parse_text(&s, text, len, err);
    s.origin = "command line";
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = parse_text(&s, overrides[i], strlen(overrides[i]), err);
    s.origin = origin;
    if (rc == 0)
        rc = finish(&s, err);
    free(s.root);
    free(s.extra);
    return rc;
}

int gw_config_load(struct gw_config *config, const char *path, const char *const *overrides,
                   size_t n, struct gw_error *err)
{
    struct gw_file file;
    int rc;

    memset(config, 0, sizeof(*config));
    if (gw_file_read(&file, path, CONFIG_FILE_BYTES_MAX, err) < 0) {
        if (err->code == GW_EXIT_FAILED)
            err->code = GW_EXIT_CONFIG;
        return -1;
    }
    rc = gw_config_parse(config, path, (const char *)file.data, file.bytes, overrides, n, err);
    gw_file_free(&file);
    return rc;
}

void gw_config_free(struct gw_config *config)
{
    free(config->kernel);
    free(config->ramdisk);
    free(config->cmdline);
    config->kernel = config->ramdisk = config->cmdline = NULL;
}
