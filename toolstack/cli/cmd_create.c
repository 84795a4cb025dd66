/* SPDX-License-Identifier: MIT */
#include <libgodwit/console.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "terminal.h"

struct create_options {
    const char *config_path;
    bool console, paused, dry_run, json;
};

static int print_config(const struct gw_config *config)
{
    char *text = gw_config_format(config);

    if (!text)
        return GW_EXIT_FAILED;
    fputs(text, stdout);
    free(text);
    return GW_EXIT_OK;
}

static void print_created(const struct gw_config *config, const struct gw_domain *domain, bool json)
{
    struct json_object *object;

    if (!json) {
        printf("%s is domain %u\n", config->name, domain->domid);
        fflush(stdout);
        return;
    }
    object = json_object_new_object();
    json_object_object_add(object, "schema", json_object_new_string("godwit.create.v1"));
    json_object_object_add(object, "name", json_object_new_string(config->name));
    json_object_object_add(object, "domid", json_object_new_int64(domain->domid));
    cli_print_json(object);
}

/* Attaches before the guest's first instruction, so that nothing of its output is missed. */
static int start_with_console(struct gw_hv *hv, const struct gw_config *config,
                              const struct gw_domain *domain, bool paused, struct gw_error *err)
{
    int fd = gw_console_connect(config->name, err);
    int rc = 0;

    if (fd < 0)
        return gw_error_prefix(err, "%s was created and left paused", config->name);
    if (!paused)
        rc = gw_hv_domain_unpause(hv, domain->domid);
    if (rc < 0)
        gw_error_errno(err, rc, "cannot start %s", config->name);
    else
        rc = terminal_run(fd, 0, err);
    close(fd);
    return rc < 0 ? -1 : 0;
}

static int create(const struct create_options *o, const struct gw_config *config,
                  struct gw_error *err)
{
    struct gw_domain domain;
    struct gw_hv *hv;
    int rc;

    if (gw_hv_open(&hv, err) < 0)
        return -1;
    rc = gw_domain_create(hv, config, o->paused || o->console, &domain, err);
    if (rc == 0) {
        print_created(config, &domain, o->json);
        if (o->console)
            rc = start_with_console(hv, config, &domain, o->paused, err);
    }
    gw_hv_close(hv);
    return rc;
}

int cmd_create(int argc, char **argv)
{
    static const struct option options[] = {
        {"console", no_argument, NULL, 'c'}, {"dry-run", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},    {"json", no_argument, NULL, CLI_OPT_JSON},
        {"paused", no_argument, NULL, 'p'},  {0}};
    struct create_options o = {0};
    struct gw_config config;
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "cnpf:", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        o.console |= c == 'c';
        o.dry_run |= c == 'n';
        o.paused |= c == 'p';
        o.json |= c == CLI_OPT_JSON;
        o.config_path = c == 'f' ? optarg : o.config_path;
    }
    if (!o.config_path) {
        if (optind >= argc)
            return cli_usage(argv[0], "needs a configuration file");
        o.config_path = argv[optind++];
    }
    rc = gw_config_load(&config, o.config_path, (const char *const *)(argv + optind),
                        (size_t)(argc - optind), &err);
    if (rc == 0)
        rc = o.dry_run ? print_config(&config) : create(&o, &config, &err);
    gw_config_free(&config);
    return rc < 0 ? cli_fail(argv[0], &err) : rc;
}
